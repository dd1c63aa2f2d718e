"""Those that are compared, as the user names them: a job each, all mistakes told at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from fewtune.base.errors import FewtuneError, UsageError, did_you_mean, one_of
from fewtune.methods import METHODS, parse, parts_of
from fewtune.methods.base import Method, options_of
from fewtune.pipeline.job import Job, make_job
from fewtune.train.options import TrainOptions

if TYPE_CHECKING:
    from fewtune.models.source import Source

PRESETS = ("default", "cautious")
#: Options of `train` that mean nothing here: what is compared, on which rows, is said otherwise.
NOT_HERE = {
    "method", "preset", "repeats", "unlabelled", "self_training_rounds",
    "self_training_confidence", "valid", "valid_share", "metric", "positive",
    "early_stopping_patience", "eval_steps", "load_best_model_at_end", "metric_for_best_model",
    "search", "save_steps", "examples", "replay", "replay_share", "slice", "learning_curve",
}  # fmt: skip
#: What can be varied beside the options of the loop and of the method.
ALSO = ("augment", "augment_copies", "preset")
NONE = "none"
ROWS = 32  # that each answers in words, where nobody says how many


@dataclass(frozen=True)
class Entry:
    """One of those that are compared, before anything was read.

    Attributes:
        name: in tables.
        job: by which it would be trained alone.
        preset: of PRESETS.
        step: the option and the value in which it differs from the base.
    """

    name: str
    job: Job
    preset: str
    step: tuple[str, str] | None = None

    @property
    def method(self) -> Method:
        """With its options."""
        return parse(self.job.method, self.job.method_options)

    @property
    def trains(self) -> bool:
        """Whether steps are taken on a pretrained model."""
        return self.method.needs_model and self.method.needs_steps


@dataclass
class Wrong:
    """Mistakes, gathered to be told at once."""

    lines: list[str] = field(default_factory=list)

    def tried(self, read: Callable[..., Any], *given: Any) -> Any:
        """What is read, or None and a mistake more."""
        try:
            return read(*given)
        except UsageError as error:
            self.lines += str(error).splitlines()
            return None

    def tell(self) -> None:
        """Raise what was gathered, each mistake once."""
        if self.lines:
            raise UsageError("\n".join(dict.fromkeys(self.lines)))


def _job(path: str, rest: Mapping[str, Any], method: str, preset: str, wrong: Wrong) -> Job | None:
    """A job of one method, which takes of the methods' options those that it has."""
    own = options_of(METHODS.values())
    parts = {*parts_of(method)}
    mine = {n: v for n, v in rest.items() if n not in own or parts & {*own[n]}}
    job = wrong.tried(make_job, path, mine | {"method": method})
    if job and preset == "cautious":
        job = wrong.tried(make_job, path, mine | {"method": method, "preset": preset})
    return cast(Job | None, job)


def entries_of(
    path: str,
    rest: Mapping[str, Any],
    methods: Sequence[str],
    presets: Sequence[str],
    wrong: Wrong,
) -> list[Entry]:
    found = []
    for method in methods:
        # a recipe of training is nothing to what takes no steps
        ways = presets if parse(method, {}).needs_steps else presets[:1]
        for preset in ways:
            if job := _job(path, rest, method, preset, wrong):
                told = f", {preset}" if len(ways) > 1 or preset != PRESETS[0] else ""
                name = method if not parse(method, {}).needs_steps else f"{method}{told}"
                found.append(Entry(name, job, preset))
    return found


def steps_of(
    path: str,
    rest: Mapping[str, Any],
    base: Entry,
    vary: Mapping[str, Sequence[str]],
    wrong: Wrong,
) -> list[Entry]:
    """One thing at a time changed from the base."""
    can = [*_own(base.method), *_of_training(base)]
    found = []
    for option, values in vary.items():
        if option not in can:
            wrong.lines.append(_not_varied(option, base, can))
            continue
        for value in dict.fromkeys(values):
            if job := _varied(path, rest, base, option, value, wrong):
                preset = value if option == "preset" else base.preset
                found.append(Entry(f"{option}={value}", job, preset, (option, value)))
    return found


def _not_varied(option: str, base: Entry, can: Sequence[str]) -> str:
    """Why folds cannot compare values of an option, as a sentence.

    Args:
        can: the options that could be varied instead.
    """
    method = base.job.method
    if option in ALSO[:2] and not base.method.needs_model:
        return (
            f"vary: `{method}` counts the n-grams of your own rows and cannot learn made ones, so "
            f"{option!r} changes nothing; name a method with steps, such as --methods full."
        )
    if option == "augment_copies" and base.method.needs_model:
        return (
            f"vary: {option!r} counts what recipes make, and `{method}` is compared without; name "
            "recipes, as in --augment typing."
        )
    return (
        f"vary: {option!r} is no option of training or of `{method}` that folds can compare; "
        f"`fewtune compare --help` lists them.{did_you_mean(option, can)}"
    )


def _varied(
    path: str, rest: Mapping[str, Any], base: Entry, option: str, value: str, wrong: Wrong
) -> Job | None:
    """The base's job with one option changed."""
    if option == "preset":
        if value in PRESETS:
            return _job(path, rest, base.job.method, value, wrong)
        wrong.lines.append(one_of("vary: preset", value, PRESETS))
        return None
    others = {name: one for name, one in rest.items() if name != option}
    if value == NONE and (option == "augment" or _may_be_left(option)):
        return _job(path, others, base.job.method, base.preset, wrong)
    told = value.replace("+", ",") if option == "augment" else value
    mine = Wrong()
    job = _job(path, others | {option: told}, base.job.method, base.preset, mine)
    own = f"{option}:"
    wrong.lines += [f"vary: {one}" if one.startswith(own) else one for one in mine.lines]
    return job


def _of_training(base: Entry) -> list[str]:
    """The options beside its method's own that the base's fit obeys."""
    made = ALSO[:2] if base.job.augment.augment else ALSO[:1]
    if base.method.needs_steps:
        return [*TrainOptions.model_fields.keys() - NOT_HERE, *made, "preset"]
    return ["class_weights", *(made if base.method.needs_model else ())]


def _own(method: Method) -> list[str]:
    """The names of a method's options."""
    return [name for part in method.parts() for name in type(part).model_fields]


def _may_be_left(option: str) -> bool:
    """Whether None is the default, so that `none` is no value of its own."""
    field = TrainOptions.model_fields.get(option)
    return field is not None and field.default is None


def refused(entries: Sequence[Entry], source: Source, classes: int | None) -> dict[str, str]:
    """Name -> why a method cannot be used on a model.

    Args:
        source: the pretrained folder.
        classes: of the labels; None for a language model that learns to answer.
    """
    from fewtune.methods.count import count
    from fewtune.models.empty import empty

    make = partial(empty, source, classes)
    found: dict[str, str] = {}
    for one in entries:
        if classes is None and not one.trains:
            found[one.name] = f"`{one.method.spell()}` chooses among labels and cannot write."
            continue
        if not one.method.needs_model:
            continue
        try:
            source.room(one.method.reserved_tokens)
            reason = count(make, one.method).refusal
        except FewtuneError as error:
            reason = str(error)
        if reason:
            found[one.name] = reason
    return found
