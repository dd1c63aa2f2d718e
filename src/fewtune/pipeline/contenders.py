"""Who runs in the race of a run, and how long it may take: what the plan proposes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fewtune.base.amounts import seconds_of, told_bytes
from fewtune.choose.facts import Facts
from fewtune.choose.prior import Belief, believed
from fewtune.choose.proposal import ALWAYS, LOWEST, MOST, NO_ROOM, Proposed, candidates, rank
from fewtune.choose.recipe import decide
from fewtune.methods import METHODS, parse
from fewtune.methods.base import options_of
from fewtune.methods.space import Space
from fewtune.models.shape import shape_of
from fewtune.pipeline.job import AUTO, method_of, says
from fewtune.pipeline.run import Run

if TYPE_CHECKING:
    from fewtune.trials.entrants import Contender
    from fewtune.trials.search import Field

LEAST = 60.0  # seconds of a race that nobody gave a budget
#: Passes of `full` whose time a race may take: those of ten passes as the usual trainer makes them
#: (float32, random batches; benchmarks/speed), which is what people wait for today.
PASSES = 50
USUAL = "full"
#: Options without whose defaults nothing is known of a method.
DECISIVE = ("learning_rate", "num_train_epochs", "max_steps", "wise_ft_alpha")
#: Seconds of a race for answers that nobody gave a budget. There is no probe to fall back on, and a
#: race between models of billions of weights would take days where `lora` alone takes an hour.
LONGEST = 1200.0


@dataclass(frozen=True)
class Start:
    """With what a race begins.

    Attributes:
        contenders: the candidates, baselines first.
        budget: its seconds; `soft` says that they may be passed so that one candidate at least is
            seen to its end.
        beliefs: what is known of the candidates before; empty where nothing is.
    """

    contenders: list[Contender]
    budget: float
    soft: bool
    beliefs: dict[str, Belief]


def start_of(run: Run) -> Start:
    """The candidates that the plan ranks first, and how long they may take.

    The seconds are the user's, else those of PASSES passes of `full` on this machine, and a minute
    at least, and proposals of a search come on top. Between answers they may not be passed, and a
    search has as much more as its proposals are to the candidates of a full race. Baselines come
    first: gains are told over the first of them.

    With a method that the user named they are its baselines and it. Otherwise the run's reasons say
    what was changed to fit into the memory, and who stays away for want of it.
    """
    facts = _facts(run)
    ranked = rank(facts)
    ours = not says(run.job, "learning_rate")
    chosen = [one for one in candidates(ranked, other_rates=ours) if _may_run(run, one)]
    chosen.sort(key=lambda one: [*ALWAYS[::-1]].index(one.method) if one.method in ALWAYS else 9)
    found = [_contender(one) for one in chosen]
    if run.job.method == AUTO:
        run.reasons += _for_memory(facts, ranked, chosen)
    else:
        baselines = [one for one in found if one.method.name in ALWAYS]
        found = [*(replace(one, wins=False) for one in baselines), _named(run, ranked)]
    budget = run.job.trials.budget
    if budget:
        given = seconds_of(budget)
    else:
        given = max(LEAST, _usual_seconds(ranked))
        if run.job.writes:
            given = min(given, LONGEST) * (1 + run.job.trials.search / MOST)
    return Start(found, given, not budget and not run.job.writes, _beliefs(run, found, facts))


def _beliefs(run: Run, found: Sequence[Contender], facts: Facts) -> dict[str, Belief]:
    """What is known of candidates that may be chosen, by their names; it is told over the probe."""
    if run.job.method != AUTO or found[0].method.name != "probe":
        return {}
    if any(says(run.job, name) for name in DECISIVE):
        return {}
    known = {
        one.name: believed(one.method.spell(), facts, usual=not one.train.keys() & {*DECISIVE})
        for one in found[1:]
    }
    return {name: belief for name, belief in known.items() if belief is not None}


def _named(run: Run, ranked: list[Proposed]) -> Contender:
    """The method that the user named, with the options given for it."""
    from fewtune.trials.entrants import Contender

    method = method_of(run.job)
    known = (one.seconds for one in ranked if one.method == method.spell() and one.seconds)
    return Contender(method.spell(), method, {}, next(known, 0.0), stays=True)


def fields_of(
    run: Run, contenders: Sequence[Contender]
) -> tuple[dict[str, Field], list[Contender]]:
    """What a search varies, by method, and the candidates with their places in it.

    The first candidate of a method is what its proposals differ from. What the user gave is left
    as it is.
    """
    from fewtune.trials.search import Field

    assert run.source is not None
    rows, width = len(run.data.train), run.answer_width
    blocks = shape_of(run.source.config).layers
    fields: dict[str, Field] = {}
    known = []
    for one in contenders:
        spelled = one.method.spell()
        if one.wins and spelled not in fields:
            space = one.method.space(rows, width, blocks)
            space = {name: span for name, span in space.items() if not says(run.job, name)}
            field = _that_fits(run, Field(one, space, _usual(run, one, space)))
            fields |= {spelled: field} if field.space else {}
        searched = fields[spelled].space if one.wins and spelled in fields else {}
        known.append(replace(one, values=_usual(run, one, searched)))
    return fields, known


def _that_fits(run: Run, field: Field) -> Field:
    """Without the method's sizes where they could take more than a third of the model's room."""
    assert run.source is not None
    if 3 * field.longest.reserved_tokens <= run.source.positions:
        return field
    own = type(field.base.method).model_fields
    return replace(field, space={k: v for k, v in field.space.items() if k not in own})


def _usual(run: Run, one: Contender, space: Space) -> dict[str, float]:
    """The values of a candidate: its own, or what is decided where it says nothing."""
    if not space:
        return {}
    from fewtune.trials.folds import alone

    width = run.answer_width
    options = alone(one.options(run.job.train))
    recipe = decide(one.method, options, len(run.data.train), False, width)
    decided = recipe.options.model_dump() | {"learning_rate": max(recipe.parts.values())}
    found = {name: decided.get(name, one.method.usual(name, width)) for name in space}
    return {name: value or 0 for name, value in found.items()}


def _facts(run: Run) -> Facts:
    """As `fewtune plan` has them, of the memory that the user gives and of what runs taught."""
    from fewtune.models.device import find_machine
    from fewtune.pipeline.facts import facts_of, timed
    from fewtune.pipeline.machine import hardware_of
    from fewtune.pipeline.memory import with_factor

    find_machine(run.job.model.device, run.job.model.bf16)  # a plan may be for another machine
    hardware = with_factor(hardware_of(run.job.model, run.job.model.budget))
    facts, source = facts_of(run.job, run.data, hardware)
    return timed(facts, source, False)


def _for_memory(
    facts: Facts, ranked: Sequence[Proposed], chosen: Sequence[Proposed]
) -> Iterator[str]:
    """What was changed to fit, who is tried all the same, and who stays away."""
    room = told_bytes(facts.hardware.memory)
    entered = {one.method: one for one in chosen if one.decided}
    for one in entered.values():
        if not one.fits:
            yield (
                f"`{one.method}` races though it takes {told_bytes(one.bytes or 0)} at the least "
                f"and {room} may be used: nothing that trains is predicted to fit."
            )
        elif one.room:
            yield f"`{one.method}`: {' '.join(one.room)}"
    away = [
        f"`{one.method}` ({told_bytes(one.bytes or 0)} at the least)"
        for one in ranked
        if one.decided and not one.fits and one.method not in entered
        if one.score + NO_ROOM > LOWEST  # others would not race with more memory either
    ]
    if away:
        yield f"not in the race, for {room} may be used: {', '.join(away)}."


def _may_run(run: Run, one: Proposed) -> bool:
    """N-grams cannot learn the rows of recipes and of self-training."""
    extra = run.job.augment.augment or run.job.trials.unlabelled
    method = METHODS.get(one.method)
    return method is not None and (method.needs_model or not extra)


def _usual_seconds(ranked: list[Proposed]) -> float:
    one = next((one for one in ranked if one.method == USUAL and one.seconds), None)
    if one is None or one.seconds is None:
        return LEAST
    return one.seconds * PASSES / one.decided["num_train_epochs"]


def _contender(one: Proposed) -> Contender:
    from fewtune.trials.entrants import Contender

    own = options_of(METHODS.values())
    method = parse(one.method, {k: v for k, v in one.options.items() if k in own})
    train = {k: v for k, v in one.options.items() if k not in own}
    return Contender(one.name, method, train, one.seconds or 0.0)
