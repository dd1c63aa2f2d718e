"""Optuna's proposals for a race: where in the methods' own spaces the next candidate lies.

The sampler is the tree-structured Parzen estimator (Bergstra et al. 2011, NeurIPS), multivariate
and grouped: a method's options are drawn together, and those of another method do not blur them.
Nothing of Optuna's is kept. A proposal is a function of the seed, its number and the losses seen so
far, and the study is built anew for each; so a race that was killed asks for the same again
(docs/decisions/0014).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from fewtune.base.errors import UsageError
from fewtune.methods import METHODS, parse
from fewtune.methods.base import Method, options_of
from fewtune.methods.space import Space, Span
from fewtune.trials.entrants import Contender
from fewtune.trials.runners import Entrant, Seen

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

METHOD = "method"  # the name under which Optuna knows which method a candidate is of
STARTUP = 5  # candidates seen, before which proposals are drawn at random
OWN = options_of(METHODS.values())  # options of methods; all others are of the fit
TRIES = 20  # draws for one proposal; a space of few values gives the same ones again

Values = Mapping[str, float]
Place = tuple[str, tuple[tuple[str, float], ...]]


@dataclass(frozen=True)
class Point:
    """A candidate as Optuna is told of it.

    Attributes:
        method: as spelled.
        values: of the options that are searched.
        seen: its losses so far.
    """

    method: str
    values: Values
    seen: Seen


def place_of(method: str, values: Values) -> Place:
    """Where a candidate lies, to tell two of them apart."""
    return method, tuple(sorted(values.items()))


def refuse_missing() -> None:
    """Say what to install.

    Raises:
        UsageError: there is no Optuna.
    """
    if find_spec("optuna") is None:
        raise UsageError(
            "search: the proposals are Optuna's, which is not installed; run "
            '`pip install "fewtune[search]"`, or leave --search out.'
        )


def propose(
    spaces: Mapping[str, Space],
    points: Sequence[Point],
    seed: int,
    number: int,
    taken: Collection[Place] = (),
) -> tuple[str, dict[str, float]] | None:
    """The method and the values of the next candidate; None where nothing new is found.

    Args:
        spaces: of each method, as spelled.
        points: what is known; those outside the spaces do not count.
        seed: of the run.
        number: of the proposal, from 0.
        taken: where nothing more is to be tried.
    """
    for attempt in range(TRIES):
        drawn = int(np.random.SeedSequence([seed, number, attempt]).generate_state(1)[0])
        method, values = _drawn(spaces, points, drawn)
        if place_of(method, values) not in taken:
            return method, values
    return None


def _drawn(
    spaces: Mapping[str, Space], points: Sequence[Point], seed: int
) -> tuple[str, dict[str, float]]:
    """One draw of the sampler that has seen the points."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        # `group` may change between versions of Optuna, which pyproject.toml bounds
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=seed, multivariate=True, group=True, n_startup_trials=STARTUP
        )
    study = optuna.create_study(sampler=sampler)
    for point in points:
        if _lies_in(spaces, point):
            study.add_trial(_told(spaces, point))
    trial = study.ask()
    names = [*spaces]
    method = trial.suggest_categorical(METHOD, names) if len(names) > 1 else names[0]
    space = spaces[str(method)]
    values = {name: _value(trial, f"{method}.{name}", span) for name, span in space.items()}
    return str(method), values


def _value(trial: Trial, name: str, span: Span) -> float:
    if span.whole:
        return trial.suggest_int(name, int(span.low), int(span.high), log=span.log)
    found = trial.suggest_float(name, span.low, span.high, step=span.step, log=span.log)
    return span.rounded(found)


def _lies_in(spaces: Mapping[str, Space], point: Point) -> bool:
    space = spaces.get(point.method, {})
    return space.keys() == point.values.keys() and all(
        span.holds(point.values[name]) for name, span in space.items()
    )


def _told(spaces: Mapping[str, Space], point: Point) -> Any:
    """A point as one of Optuna's trials: finished, or pruned with what it reached."""
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import TrialState, create_trial

    space = spaces[point.method]
    params: dict[str, Any] = {f"{point.method}.{name}": v for name, v in point.values.items()}
    kinds: dict[str, BaseDistribution] = {
        f"{point.method}.{name}": _kind(span) for name, span in space.items()
    }
    if len(spaces) > 1:
        params[METHOD], kinds[METHOD] = point.method, CategoricalDistribution([*spaces])
    told: dict[str, Any] = {"params": params, "distributions": kinds}
    told["intermediate_values"] = dict(enumerate(point.seen.losses, start=1))
    if point.seen.whole:
        return create_trial(state=TrialState.COMPLETE, value=point.seen.losses[-1], **told)
    return create_trial(state=TrialState.PRUNED, **told)


def _kind(span: Span) -> BaseDistribution:
    from optuna.distributions import FloatDistribution, IntDistribution

    if span.whole:
        return IntDistribution(int(span.low), int(span.high), log=span.log)
    return FloatDistribution(span.low, span.high, log=span.log, step=span.step)


# ---- proposals as candidates of a race


@dataclass(frozen=True)
class Field:
    """A method that is searched.

    Attributes:
        base: the candidate as the plan has it, whose other options a proposal keeps.
        space: what varies.
        usual: the base's own values of that.
    """

    base: Contender
    space: Space
    usual: Values

    @property
    def longest(self) -> Method:
        """The method with the largest of its own sizes."""
        return self._method({name: span.high for name, span in self.space.items()})

    def candidate(self, values: Values) -> Contender:
        """The base with other values.

        Of the method's own options those are named that differ from the base's; of the fit's all
        but zeros, for what one of them is by default depends on the others.
        """
        other = {
            name: value
            for name, value in values.items()
            if (value != self.usual.get(name) if name in OWN else value)
        }
        spelled = self.base.method.spell()
        told = ",".join(f"{name}={value:g}" for name, value in other.items())
        return replace(
            self.base,
            stays=False,
            name=f"{spelled}({told})" if told else spelled,
            method=self._method(other),
            train={**self.base.train, **{k: v for k, v in other.items() if k not in OWN}},
            values=dict(values),
        )

    def _method(self, values: Values) -> Method:
        """The base's with those of the values that are its own options."""
        method = self.base.method
        given = {k: v for part in method.parts() for k, v in part.model_dump().items()}
        return parse(method.spell(), given | {k: v for k, v in values.items() if k in OWN})


@dataclass
class Search:
    """Where a race gets its proposals.

    Attributes:
        fields: of each method, as spelled.
        count: most proposals.
        seed: of the run.
        entrant: makes a candidate run.
        known: the plan's candidates, with values where they are of a field.
        made: proposals so far; those of an interrupted race, which are not asked for again.
        keep: writes a new one down.
        entrants: those that were handed out.
    """

    fields: Mapping[str, Field]
    count: int
    seed: int
    entrant: Callable[[Contender], Entrant]
    known: Sequence[Contender]
    made: list[Contender] = field(default_factory=list)
    keep: Callable[[Contender], None] = lambda one: None
    entrants: list[Entrant] = field(default_factory=list)

    def next(self, seen: Mapping[str, Seen]) -> Entrant | None:
        """The next proposal, or None where there is none.

        Args:
            seen: the losses of every candidate so far, by name.
        """
        number = len(self.entrants)
        if number >= self.count:
            return None
        if number >= len(self.made):
            found = self._found(seen, number)
            if found is None:
                return None
            self.made.append(found)
            self.keep(found)
        self.entrants.append(self.entrant(self.made[number]))
        return self.entrants[-1]

    def _found(self, seen: Mapping[str, Seen], number: int) -> Contender | None:
        spaces = {name: one.space for name, one in self.fields.items()}
        if not spaces:
            return None
        placed = [one for one in [*self.known, *self.made] if one.values]
        points = [
            Point(one.method.spell(), one.values, seen[one.name])
            for one in placed
            if one.name in seen
        ]
        taken = {place_of(one.method.spell(), one.values) for one in placed}
        found = propose(spaces, points, self.seed, number, taken)
        return None if found is None else self.fields[found[0]].candidate(found[1])
