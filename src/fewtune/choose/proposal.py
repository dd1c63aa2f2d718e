"""Methods in the order in which to try them, each with its price and its reasons.

rank(facts)        every method that was counted, the best first
unmet(...)         why none of them is recommended, where none is
candidates(...)    the few of them that a race compares, with their learning rates
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING, Any

from fewtune.base.amounts import told_bytes
from fewtune.base.options import take
from fewtune.choose.cost import Seconds, Work, seconds_of, work_of
from fewtune.choose.facts import Facts
from fewtune.choose.fit import copies_of, fitted, frozen_count
from fewtune.choose.option_rules import options_for
from fewtune.choose.recipe import decide
from fewtune.choose.rules import Rule, applying
from fewtune.methods.count import Count
from fewtune.train.order import steps_per_epoch

if TYPE_CHECKING:
    from fewtune.choose.memory import Memory
    from fewtune.methods.base import Method
    from fewtune.train.options import TrainOptions

MOST = 8  # candidates of a race: with more, the best of them looks better than it is
ALWAYS = ("tfidf", "probe")  # seconds of work, and sometimes not beaten
TOO_DEAR, NO_ROOM = 3.0, 100.0  # points less for what takes longer, or more memory, than there is
LOWEST = -1  # points; what has no more is not raced
OTHER_RATE = 0.5  # of the default rate, for a candidate's second try


SPARE = 1.05  # of the memory that is asked for: a limit given changes the past runs that count


@dataclass(frozen=True)
class Proposed:
    """A method as it would be used here.

    Attributes:
        method: as spelled on the command line.
        rank: 1 is to be tried first; 0 where it cannot be used.
        score: the rules' points.
        options: what to give to `fewtune train` beside the method; what is not named keeps its
            default.
        decided: the numbers of the fit that `fewtune train` would come to.
        trained, total: parameters; None where nobody knows.
        memory: predicted, by part; None without a neural model.
        bytes: predicted peak of the process.
        fits: whether that is within what may be used.
        meets: whether it is what the user needs; no need speaks against it.
        seconds: predicted time; None where nobody knows. `time` has its parts.
        refused: why it cannot be used, as a sentence.
        reasons: why it stands where it stands, with the numbers.
        room: what was changed to fit, or what would make it fit.
        slower: times the time that it takes for the change, told by the last sentence of `room`;
            None where nothing was changed or nobody knows.
        rules: name -> points.
    """

    method: str
    rank: int = 0
    score: float = 0.0
    options: dict[str, Any] = field(default_factory=dict)
    decided: dict[str, Any] = field(default_factory=dict)
    trained: int | None = None
    total: int | None = None
    memory: Memory | None = None
    bytes: int | None = None
    fits: bool = True
    meets: bool = True
    seconds: float | None = None
    time: Seconds | None = None
    refused: str | None = None
    reasons: tuple[str, ...] = ()
    room: tuple[str, ...] = ()
    slower: float | None = None
    rules: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The method with the options that tell it from its default."""
        told = ",".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.method}({told})" if told else self.method

    def as_json(self) -> dict[str, Any]:
        """As `plan --json` prints it."""
        return {
            "method": self.method,
            "rank": self.rank,
            "score": round(self.score, 2),
            "trainable_parameters": self.trained,
            "total_parameters": self.total,
            "share": self.trained / self.total if self.trained and self.total else None,
            "memory": self._memory(),
            "fits": self.fits,
            "meets_needs": self.meets,
            "seconds": None if self.seconds is None else float(f"{self.seconds:.4g}"),
            "time": self._time(),
            "options": self.options,
            "decided": self.decided,
            "refused": self.refused,
            "reasons": list(self.reasons),
            "room": list(self.room),
            "slower": self.slower and round(self.slower, 3),
            "rules": {name: round(points, 2) for name, points in self.rules.items()},
        }

    def _time(self) -> dict[str, float] | None:
        """By part, to four digits."""
        if self.time is None:
            return None
        parts = {part: getattr(self.time, part) for part in ("probe", "trunk", "steps")}
        return {part: float(f"{seconds:.4g}") for part, seconds in parts.items()}

    def _memory(self) -> dict[str, int] | None:
        if self.memory is None:
            return None
        return self.memory.as_json() | {"predicted": self.bytes or self.memory.peak}


def rank(facts: Facts) -> list[Proposed]:
    """Every method of the facts, the best first; those that cannot be used stand last.

    What meets the needs stands before what does not, and then what fits before what does not:
    memory can be had elsewhere, and a need that is not met is no use at any price.

    Args:
        facts: with counts for the methods that have a neural model.
    """
    rules = applying(facts)
    found = [_proposed(facts, name, method, rules) for name, method in facts.methods.items()]
    usable = sorted(
        (one for one in found if not one.refused),
        key=lambda one: (not one.meets, not one.fits, -round(one.score, 1), one.seconds or 0.0),
    )
    ranked = [replace(one, rank=place) for place, one in enumerate(usable, start=1)]
    return ranked + [one for one in found if one.refused]


def unmet(facts: Facts, ranked: Sequence[Proposed]) -> str | None:
    """Why nothing is recommended, as a sentence; None where something meets the needs and fits."""
    usable = [one for one in ranked if not one.refused]
    if not usable:
        return f"no method can tune {facts.model} for these rows; plan another model."
    if any(one.fits and one.meets for one in usable):
        return None
    needs = " and ".join(sorted(facts.needs))
    meeting = [one for one in usable if one.meets]
    if not meeting:
        ways = "ask for one need at a time" if len(facts.needs) > 1 else "plan another model"
        return f"nothing that {facts.model} can be tuned by meets {needs}; {ways}."
    least = min(meeting, key=lambda one: one.bytes or 0)
    need = least.bytes or 0
    said = f"meets {needs} and fits" if needs else "fits"
    enough = f"{ceil(SPARE * need / 10**7)}0MB"
    return (
        f"nothing {said} into {told_bytes(facts.hardware.memory)}; the least that "
        f"{'meets it' if needs else 'there is'} is `{least.method}` and needs {told_bytes(need)}: "
        f"give --memory {enough} where there is as much, or plan a smaller model."
    )


def candidates(
    ranked: Sequence[Proposed], most: int = MOST, other_rates: bool = True
) -> list[Proposed]:
    """Whom a race compares: the cheap ones, then the best by rank, then other rates of the best.

    Args:
        ranked: as `rank` gives them.
        most: how many.
        other_rates: whether the rate is ours to vary.
    """
    usable = [one for one in ranked if not one.refused and one.seconds is not None]
    cheap = [one for one in usable if one.method in ALWAYS]
    fits = [one for one in usable if one.decided and one.fits]
    tuned = [one for one in fits if one.score > LOWEST][: most - len(cheap) - 2]
    if not tuned:  # what is predicted not to fit may do so all the same
        tuned = (fits or [one for one in usable if one.decided])[:1]
    room = min(2, most - len(cheap) - len(tuned)) if other_rates else 0
    return cheap + tuned + [_other_rate(one) for one in tuned[:room]]


def with_options(facts: Facts, given: Mapping[str, Any]) -> dict[str, Method]:
    """The methods of the facts with the options that suit the case.

    Args:
        given: options that the user gave, of whatever method; they win where a method has them.
    """
    found = {}
    for name, method in facts.methods.items():
        suited, _ = options_for(name, facts)
        own = {**method.model_dump(), **suited, **take(type(method), given)}
        found[name] = type(method)(**own)
    return found


def _other_rate(one: Proposed) -> Proposed:
    rate = float(f"{OTHER_RATE * max(one.decided['learning_rate'].values()):.3g}")
    return replace(
        one,
        options=one.options | {"learning_rate": rate},
        decided=one.decided | {"learning_rate": dict.fromkeys(one.decided["learning_rate"], rate)},
    )


def _proposed(facts: Facts, name: str, method: Method, rules: Sequence[Rule]) -> Proposed:
    """One method: what it costs, what it is worth."""
    count = facts.counts.get(name)
    if reason := _refusal(facts, method, count):
        return Proposed(name, refused=reason)
    points = {rule.name: added for rule in rules if (added := rule.adds(name))}
    reasons = [rule.reason(facts, name) for rule in rules if rule.name in points]
    one = Proposed(
        name,
        score=sum(points.values()),
        meets=all(rule.adds(name) >= 0 for rule in rules if rule.kind == "need"),
        rules=points,
        reasons=tuple(reasons),
    )
    if count is None or not method.tunes or not method.needs_model:
        return _without_model(facts, method, one, count)
    return _weighed(facts, _priced(facts, method, count, one))


def _refusal(facts: Facts, method: Method, count: Count | None) -> str | None:
    if facts.writes and method.tunes and not (method.needs_model and method.needs_steps):
        return f"`{method.spell()}` chooses among labels and cannot write."
    if not method.tunes and not facts.shape.causal:
        return (
            f"{facts.model} reads and does not write; a prompt is searched for a model that "
            "answers (--model endpoint:URL#NAME, or a causal language model)."
        )
    return count.refusal if count else None


def _without_model(facts: Facts, method: Method, one: Proposed, count: Count | None) -> Proposed:
    """N-grams, and prompts of a model that stays as it is."""
    if not method.tunes:
        room = fitted(facts, method, Count(), facts.train, 0)
        one = replace(one, trained=0, total=facts.parameters, memory=room.memory, room=room.told)
        return _weighed(facts, replace(one, bytes=room.bytes, fits=room.fits))
    trained = count.trained if count else None
    one = replace(one, trained=trained, total=trained)
    if facts.timings is None:
        return one
    work = Work(facts.lengths, facts.classes, 0.0, 1, 1, 0)
    time = seconds_of(method, count or Count(), facts.shape, work, facts.timings)
    return _weighed(facts, replace(one, seconds=time.total, time=time))


def _priced(facts: Facts, method: Method, count: Count, one: Proposed) -> Proposed:
    """With memory, time and the numbers of its fit."""
    recipe = decide(method, facts.train, facts.rows, facts.has_valid, facts.width)
    copies = copies_of(recipe.options, facts.hardware.device)
    room = fitted(facts, method, count, recipe.options, copies if method.needs_steps else 0)
    train = recipe.options.model_copy(update=room.train)
    options, why = _own_options(facts, one.method, method)
    if room.layers:
        count, options = frozen_count(facts, room.layers), {**options, "layers": room.layers}
    options |= room.train
    one = replace(
        one,
        trained=count.trained,
        total=count.total,
        memory=room.memory,
        bytes=room.bytes,
        fits=room.fits,
        room=room.told,
        slower=room.slower,
        options=options,
        reasons=(*one.reasons, *why, *(recipe.reasons if method.needs_steps else ())),
    )
    if method.needs_steps:
        one = replace(one, decided=_decided(facts, recipe.head, recipe.parts, train))
    if facts.timings is None:
        return one
    time = seconds_of(method, count, facts.shape, work_of(facts, train), facts.timings)
    return replace(one, seconds=time.total, time=time)


def _own_options(facts: Facts, name: str, method: Method) -> tuple[dict[str, Any], list[str]]:
    """By which options a method differs from its default, and why it has those that suit."""
    own = {k: v for part in method.parts() for k, v in part.model_dump().items()}
    defaults = {k: v.default for part in method.parts() for k, v in type(part).model_fields.items()}
    suited, says = options_for(name, facts)
    why = [said for (k, v), said in zip(suited.items(), says, strict=True) if own[k] == v]
    return {k: v for k, v in own.items() if v != defaults[k]}, why


def _decided(
    facts: Facts, head: float, rates: dict[str, float], train: TrainOptions
) -> dict[str, Any]:
    """The numbers of a fit, by the options' names."""
    batch, times = train.per_device_train_batch_size, train.gradient_accumulation_steps
    steps = train.max_steps or 1
    return {
        "learning_rate": dict(rates),
        "head_learning_rate": head if not facts.writes else None,
        "num_train_epochs": round(steps / steps_per_epoch(facts.rows, batch, times), 6),
        "max_steps": steps,
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": times,
        "gradient_checkpointing": train.gradient_checkpointing,
        "average_last": train.average_last,
        "wise_ft_alpha": train.wise_ft_alpha,
    }


def _weighed(facts: Facts, one: Proposed) -> Proposed:
    """Points less for what takes more memory or time than there is."""
    if not one.fits:
        one = replace(one, score=one.score - NO_ROOM, rules=one.rules | {"memory": -NO_ROOM})
    if facts.budget and one.seconds and one.seconds > facts.budget:
        told = f"about {one.seconds:,.0f} s are more than the {facts.budget:,.0f} s of the budget."
        one = replace(
            one,
            score=one.score - TOO_DEAR,
            rules=one.rules | {"budget": -TOO_DEAR},
            reasons=(*one.reasons, told),
        )
    return one


__all__ = ["Proposed", "candidates", "rank", "unmet", "with_options"]
