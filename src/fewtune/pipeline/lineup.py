"""Who is compared: methods by presets, and one thing at a time changed from the first."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from fewtune.augment.context import context_of
from fewtune.base.amounts import seconds_of
from fewtune.base.errors import FewtuneError, UsageError, did_you_mean, one_of
from fewtune.base.files import new_file
from fewtune.base.options import build, take, unknown_option
from fewtune.methods import METHODS, parse
from fewtune.methods.base import Method, options_of
from fewtune.models.options import is_endpoint
from fewtune.pipeline.extra import recipes_of
from fewtune.pipeline.job import AUTO, SECTIONS, Job, make_job
from fewtune.train.options import TrainOptions
from fewtune.trials.options import CompareOptions

if TYPE_CHECKING:
    from fewtune.models.load import Source

PRESETS = ("default", "cautious")
#: Options of `train` that mean nothing here: what is compared, on which rows, is said otherwise.
NOT_HERE = {
    "method", "preset", "repeats", "unlabelled", "self_training_rounds",
    "self_training_confidence", "valid", "valid_share", "metric", "positive",
    "early_stopping_patience", "eval_steps", "load_best_model_at_end", "metric_for_best_model",
    "save_steps", "examples", "replay", "replay_share", "general", "answered_rows",
}  # fmt: skip
#: What can be varied beside the options of the loop and of the method.
ALSO = ("augment", "augment_copies", "preset")
NONE = "none"


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


@dataclass(frozen=True)
class LineUp:
    """Everything that the user decided.

    Attributes:
        job: what all have in common; its method is the first's.
        options: of the comparison.
        entries: those of the table, then the steps.
        given: what the user gave, flat.
        named: whether the user named the methods.
    """

    job: Job
    options: CompareOptions
    entries: list[Entry]
    given: Mapping[str, Any]
    named: bool = True

    @property
    def budget(self) -> float | None:
        """Seconds for all fits; None for no limit."""
        return seconds_of(self.job.trials.budget) if self.job.trials.budget else None

    @property
    def command(self) -> str:
        """What to type to compare again, or to go on."""
        told = [word for item in self.given.items() for word in _flags(*item)]
        return " ".join(["fewtune compare", shlex.quote(self.job.path), *told])


def _flags(name: str, value: Any) -> list[str]:
    """An option as it is typed."""
    if name == "vary":
        (options,) = build([CompareOptions], {"vary": value})
        steps = cast(CompareOptions, options).vary.items()
        return [f"--vary {shlex.quote('='.join((key, ','.join(each))))}" for key, each in steps]
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, Mapping):
        value = [f"{key}={one}" for key, one in value.items()]
    several = value if isinstance(value, list | tuple) else [value]
    return [f"--{name} {shlex.quote(','.join(map(str, several)))}"]


@dataclass
class _Wrong:
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


def line_up(path: str, given: Mapping[str, Any]) -> LineUp:
    """Check everything the user said.

    Args:
        path: the training file.
        given: options by name, flat; None means not given.

    Raises:
        UsageError: every mistake at once, one a line.
    """
    given = {name: value for name, value in given.items() if value is not None}
    own, wrong = take(CompareOptions, given), _Wrong()
    rest = {name: value for name, value in given.items() if name not in own}
    options = _options(own, wrong)
    methods = _known(options.methods or tuple(METHODS), wrong)
    if options.vary and not options.methods:
        methods = _usual(path, rest, wrong)
    presets = options.presets or PRESETS[:1]
    wrong.lines += [one_of("presets", one, PRESETS) for one in presets if one not in PRESETS]
    rest = _of_here(rest, methods, bool(options.methods or options.vary), wrong)
    entries = _entries(
        path, rest, methods, [p for p in presets if p in PRESETS] or PRESETS[:1], wrong
    )
    if entries and options.vary:
        entries += _steps(path, rest, entries[0], options.vary, wrong)
    _look_ahead(path, options, entries, wrong)
    wrong.tell()
    if not entries:
        raise UsageError("methods: name at least one to compare.")
    return LineUp(entries[0].job, options, entries, given, bool(options.methods))


def _options(own: Mapping[str, Any], wrong: _Wrong) -> CompareOptions:
    """What is right of the options; the rest is a mistake, and hides no other one."""
    right = {n: v for n, v in own.items() if wrong.tried(build, [CompareOptions], {n: v})}
    return CompareOptions(**right)


def _known(methods: Sequence[str], wrong: _Wrong) -> list[str]:
    """Those that there are, each once."""
    found = []
    for name in dict.fromkeys(methods):
        lacking = [part for part in name.split("+") if part.strip() not in METHODS]
        wrong.lines += [one_of("methods", part, METHODS) for part in lacking]
        if not lacking and wrong.tried(parse, name, {}):
            found.append(name)
    return found


def _usual(path: str, rest: Mapping[str, Any], wrong: _Wrong) -> list[str]:
    """The method to vary where none is named: what suits the size of the model."""
    from fewtune.choose.method import default_method
    from fewtune.models.load import count_parameters, find

    job = wrong.tried(make_job, path, {"model": rest["model"]} if "model" in rest else {})
    if job is None or is_endpoint(job.model.model):
        return []
    source = wrong.tried(find, job.model)
    return [default_method(count_parameters(source) or 0)[0]] if source else []


def _of_here(
    rest: Mapping[str, Any], methods: Sequence[str], named: bool, wrong: _Wrong
) -> dict[str, Any]:
    """The options that a comparison takes; those of methods that nobody compares are mistakes."""
    own = options_of(METHODS.values())
    sections = [cls for name, cls in SECTIONS.items() if name != "decoding"]  # nothing is written
    known = {name for cls in sections for name in cls.model_fields} | own.keys()
    known = (known | {"task", *CompareOptions.model_fields}) - NOT_HERE
    wrong.lines += [unknown_option(name, known) for name in rest if name not in known]
    parts = {part.strip() for name in methods for part in name.split("+")}
    for name in rest if parts else ():
        if named and name in own and not parts & {*own[name]}:
            wrong.lines.append(
                f"{name}: no method compared has it; it belongs to {', '.join(own[name])}."
            )
    return {name: value for name, value in rest.items() if name in known}


def _job(path: str, rest: Mapping[str, Any], method: str, preset: str, wrong: _Wrong) -> Job | None:
    """A job of one method, which takes of the methods' options those that it has."""
    own = options_of(METHODS.values())
    parts = {part.strip() for part in method.split("+")}
    mine = {n: v for n, v in rest.items() if n not in own or parts & {*own[n]}}
    job = wrong.tried(make_job, path, mine | {"method": method})
    if job and preset == "cautious":
        job = wrong.tried(make_job, path, mine | {"method": method, "preset": preset})
    return cast(Job | None, job)


def _entries(
    path: str,
    rest: Mapping[str, Any],
    methods: Sequence[str],
    presets: Sequence[str],
    wrong: _Wrong,
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


def _steps(
    path: str,
    rest: Mapping[str, Any],
    base: Entry,
    vary: Mapping[str, Sequence[str]],
    wrong: _Wrong,
) -> list[Entry]:
    """One thing at a time changed from the base."""
    method = base.job.method
    can = [*_own(base.method), *_of_training(base.method)]
    found = []
    for option, values in vary.items():
        if option not in can:
            hint = did_you_mean(option, can)
            wrong.lines.append(
                f"vary: {option!r} is no option of training or of `{method}` that folds can "
                f"compare.{hint}"
            )
            continue
        for value in dict.fromkeys(values):
            if job := _varied(path, rest, base, option, value, wrong):
                preset = value if option == "preset" else base.preset
                found.append(Entry(f"{option}={value}", job, preset, (option, value)))
    return found


def _varied(
    path: str, rest: Mapping[str, Any], base: Entry, option: str, value: str, wrong: _Wrong
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
    mine = _Wrong()
    job = _job(path, others | {option: told}, base.job.method, base.preset, mine)
    own = f"{option}:"
    wrong.lines += [f"vary: {one}" if one.startswith(own) else one for one in mine.lines]
    return job


def _of_training(method: Method) -> list[str]:
    """The options beside its own that a method's fit obeys."""
    if method.needs_steps:
        return [*TrainOptions.model_fields.keys() - NOT_HERE, *ALSO]
    return ["class_weights", *(ALSO[:2] if method.needs_model else ())]


def _own(method: Method) -> list[str]:
    """The names of a method's options."""
    return [name for part in method.parts() for name in type(part).model_fields]


def _may_be_left(option: str) -> bool:
    """Whether None is the default, so that `none` is no value of its own."""
    field = TrainOptions.model_fields.get(option)
    return field is not None and field.default is None


def _look_ahead(
    path: str, options: CompareOptions, entries: Sequence[Entry], wrong: _Wrong
) -> None:
    """What would be refused after the work, said before it."""
    for option, suffix in (("csv", ".csv"), ("markdown", ".md")):
        if given := getattr(options, option):
            wrong.tried(new_file, given, option, [suffix], [path])
    if not entries:
        return
    job = entries[0].job
    if is_endpoint(job.model.model):
        wrong.lines.append(
            "model: what answers behind an address is not trained, so there is nothing to compare; "
            "give a pretrained model (--model)."
        )
    if job.trials.budget:
        wrong.tried(seconds_of, job.trials.budget)
    if any(one.job.augment.augment == AUTO for one in entries):
        wrong.lines.append(
            "augment: `auto` tries recipes on folds itself; name them, as in --vary "
            "augment=none,synonym."
        )
        return
    for one in entries:
        if one.job.augment.augment:
            wrong.tried(_recipes, one.job)


def _recipes(job: Job) -> None:
    """See that the recipes are there, with what they need."""
    context_of(job.augment, recipes_of(job))


def refused(entries: Sequence[Entry], source: Source, classes: int | None) -> dict[str, str]:
    """Name -> why a method cannot be used on a model.

    Args:
        source: the pretrained folder.
        classes: of the labels; None for a language model that learns to answer.
    """
    from functools import partial

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
