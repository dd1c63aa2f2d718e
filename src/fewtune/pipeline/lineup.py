"""Everything that a comparison is told, checked at once before anything is read or loaded."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from fewtune.augment.context import context_of
from fewtune.base.amounts import seconds_of
from fewtune.base.errors import UsageError, one_of
from fewtune.base.files import new_file
from fewtune.base.options import build, take, unknown_option
from fewtune.methods import METHODS, parse, parts_of
from fewtune.methods.base import options_of
from fewtune.models.options import ModelOptions, is_endpoint
from fewtune.pipeline.entries import NOT_HERE, PRESETS, Entry, Wrong, entries_of, steps_of
from fewtune.pipeline.extra import recipes_of
from fewtune.pipeline.job import AUTO, Job, make_job
from fewtune.trials.options import CompareOptions
from fewtune.trials.sections import SECTIONS

#: Options that name what is read; the translators beside them are two in one.
INPUTS = ("test", "split", "general", "model", "lexicon", "protect", "augment_model")


@dataclass(frozen=True)
class LineUp:
    """Everything that the user decided.

    Attributes:
        job: what all have in common; its method is the first's.
        options: of the comparison.
        entries: those of the table, then the steps.
        given: what the user gave, flat.
    """

    job: Job
    options: CompareOptions
    entries: list[Entry]
    given: Mapping[str, Any]

    @property
    def budget(self) -> float | None:
        """Seconds for all fits of folds; None for no limit."""
        return seconds_of(self.job.trials.budget) if self.job.trials.budget else None

    @property
    def command(self) -> str:
        """What to type to go on; without --again, which would forget the fits that are kept."""
        options = {name: one for name, one in self.given.items() if name != "again"}
        told = [word for item in options.items() for word in _flags(*item)]
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


def line_up(path: str, given: Mapping[str, Any]) -> LineUp:
    """Check everything the user said.

    Args:
        path: the training file.
        given: options by name, flat; None means not given.

    Raises:
        UsageError: every mistake at once, one a line.
    """
    given = {name: value for name, value in given.items() if value is not None}
    own, wrong = take(CompareOptions, given), Wrong()
    rest = {name: value for name, value in given.items() if name not in own}
    options = _options(own, wrong)
    methods = _known(options.methods or tuple(METHODS), wrong)
    if options.vary and not options.methods:
        methods = _usual(path, rest, wrong)
    presets = options.presets or PRESETS[:1]
    wrong.lines += [one_of("presets", one, PRESETS) for one in presets if one not in PRESETS]
    rest = _of_here(rest, methods, bool(options.methods or options.vary), wrong)
    entries = entries_of(
        path, rest, methods, [p for p in presets if p in PRESETS] or PRESETS[:1], wrong
    )
    if entries and options.vary:
        entries += steps_of(path, rest, entries[0], options.vary, wrong)
    _look_ahead(options, entries, [path, *_read(given)], wrong)
    wrong.tell()
    if not entries:
        raise UsageError("methods: name at least one to compare.")
    return LineUp(entries[0].job, options, entries, given)


def _options(own: Mapping[str, Any], wrong: Wrong) -> CompareOptions:
    """What is right of the options; the rest is a mistake, and hides no other one."""
    right = {n: v for n, v in own.items() if wrong.tried(build, [CompareOptions], {n: v})}
    return CompareOptions(**right)


def _known(methods: Sequence[str], wrong: Wrong) -> list[str]:
    """Those that there are, each once."""
    found = []
    for name in dict.fromkeys(methods):
        lacking = [part for part in parts_of(name) if part not in METHODS]
        wrong.lines += [one_of("methods", part, METHODS) for part in lacking]
        if not lacking and wrong.tried(parse, name, {}):
            found.append(name)
    return found


def _usual(path: str, rest: Mapping[str, Any], wrong: Wrong) -> list[str]:
    """The method to vary where none is named: what suits the size of the model."""
    from fewtune.choose.method import default_method
    from fewtune.models.source import count_parameters, find

    told = {name: rest[name] for name in ModelOptions.model_fields if name in rest}
    job = wrong.tried(make_job, path, told)
    if job is None or is_endpoint(job.model.model):
        return []
    source = wrong.tried(find, job.model)
    return [default_method(count_parameters(source) or 0)[0]] if source else []


def _of_here(
    rest: Mapping[str, Any], methods: Sequence[str], named: bool, wrong: Wrong
) -> dict[str, Any]:
    """The options that a comparison takes; those of methods that nobody compares are mistakes."""
    own = options_of(METHODS.values())
    sections = [cls for name, cls in SECTIONS.items() if name != "decoding"]  # nothing is written
    fields = (name for cls in sections for name in cls.model_fields)
    every = dict.fromkeys([*fields, *own, "task", *CompareOptions.model_fields])
    known = [name for name in every if name not in NOT_HERE]
    wrong.lines += [unknown_option(name, known) for name in rest if name not in known]
    parts = {part for name in methods for part in parts_of(name)}
    for name in rest if parts else ():
        if named and name in own and not parts & {*own[name]}:
            wrong.lines.append(
                f"{name}: no method compared has it; it belongs to {', '.join(own[name])}."
            )
    return {name: value for name, value in rest.items() if name in known}


def _read(given: Mapping[str, Any]) -> list[str]:
    """The files and folders that options name."""
    named = [str(given[name]) for name in INPUTS if given.get(name)]
    return [*named, *filter(None, map(str.strip, str(given.get("translators") or "").split(",")))]


def _look_ahead(
    options: CompareOptions, entries: Sequence[Entry], inputs: Sequence[str], wrong: Wrong
) -> None:
    """What would be refused after the work, said before it."""
    for option, suffix in (("csv", ".csv"), ("markdown", ".md")):
        if given := getattr(options, option):
            wrong.tried(new_file, given, option, [suffix], inputs)
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
