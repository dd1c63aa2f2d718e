"""A job: everything the user decided, checked at once, before anything is read or loaded."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fewtune.augment.options import AugmentOptions
from fewtune.base.errors import UsageError, one_of
from fewtune.base.options import build, unknown_option
from fewtune.data.options import DataOptions
from fewtune.evaluate.options import EvaluateOptions
from fewtune.methods import parse, parts_of
from fewtune.methods.base import Method, options_of
from fewtune.models.decoding import DecodingOptions
from fewtune.models.options import ModelOptions, is_endpoint
from fewtune.record.options import RunOptions
from fewtune.tasks import LABELLED, TASKS
from fewtune.tasks.options import GenerateOptions
from fewtune.train.options import TrainOptions
from fewtune.trials.options import TextPrompt, TrialOptions
from fewtune.trials.sections import SECTIONS, WAYS

AUTO = "auto"
GIVEN = "method_options"  # in the plan: those of a named method, where a search chooses the others

#: The recipe that many guides give for small data. What the user gives wins.
CAUTIOUS: dict[str, Any] = {
    "learning_rate": 1e-5,
    "per_device_train_batch_size": 8,
    "num_train_epochs": 3,
    "early_stopping_patience": 1,
    "weight_decay": 0.01,
    "max_grad_norm": 1.0,
    "warmup_ratio": 0.1,
    "lora_r": 8,
    "lora_alpha": 32,
    "lora_dropout": 0.1,
}


@dataclass(frozen=True)
class Job:
    """What to do, in sections that the rooms obey.

    Attributes:
        path: the training file.
        task: one of TASKS, or `auto` until the file was looked at.
        method: `auto` or a method as spelled; `method_options`: those given for it.
        given: what the user gave, flat, for the command that runs the job again.
    """

    path: str
    task: str
    method: str
    method_options: Mapping[str, Any]
    given: Mapping[str, Any]
    data: DataOptions
    model: ModelOptions
    train: TrainOptions
    augment: AugmentOptions
    trials: TrialOptions
    evaluate: EvaluateOptions
    generate: GenerateOptions
    decoding: DecodingOptions
    run: RunOptions

    @property
    def writes(self) -> bool:
        """Whether answers are learned, and not labels; no while the task is not known."""
        return self.task in TASKS and TASKS[self.task].writes

    @property
    def command(self) -> str:
        """What to type to run the job again."""
        return " ".join(["fewtune train", shlex.quote(self.path), *map(_flag, self.given.items())])

    def sections(self) -> dict[str, dict[str, Any]]:
        """Every section's options as plain values, for the plan."""
        return {name: getattr(self, name).model_dump() for name in SECTIONS}


def make_job(path: str, given: Mapping[str, Any]) -> Job:
    """Check everything the user said.

    Args:
        path: the training file.
        given: options by name, flat, as flags and files have them; None means not given.

    Raises:
        UsageError: every mistake at once, one a line.
    """
    given = {name: value for name, value in given.items() if value is not None}
    plain = dict(given)
    task, method = str(plain.pop("task", AUTO)), str(plain.pop("method", AUTO))
    if method == AUTO and is_endpoint(str(plain.get("model", ""))):
        method = TextPrompt.name  # what stands behind an address can be asked and not changed
    wrong = [] if task in (AUTO, *TASKS) else [one_of("task", task, (AUTO, *TASKS))]
    own = options_of(WAYS.values())
    fields = (name for cls in SECTIONS.values() for name in cls.model_fields)
    known = dict.fromkeys([*fields, *own])
    wrong += [
        unknown_option(name, [*known, "task", "method"]) for name in plain if name not in known
    ]
    plain = {name: value for name, value in plain.items() if name in known}
    options = {name: value for name, value in plain.items() if name in own}
    if plain.get("preset") == "cautious":
        plain, options = _cautious(plain, options, method, own)
    built: list[Any] = []
    for attempt in (
        lambda: parse(*(("lora", {}) if method == AUTO else (method, options)), WAYS),
        lambda: built.extend(
            build(SECTIONS.values(), {n: v for n, v in plain.items() if n not in own})
        ),
    ):
        try:
            attempt()
        except UsageError as error:
            wrong.append(str(error))
    if method == AUTO and options:
        wrong.append(f"{', '.join(options)}: only with --method NAME.")
    if wrong:
        raise UsageError("\n".join([*wrong, *_missing(path, plain)]))
    return Job(path, task, method, options, given, *built)


def job_of_plan(plan: Mapping[str, Any]) -> Job:
    """The job that a run folder's plan describes."""
    data = dict(plan["data"])
    path = data.pop("path")
    method = dict(plan["method"])
    name = method.pop("name")
    if plan.get("asked") == AUTO:  # what was found is replayed from what was chosen
        name, method = AUTO, {}
    elif GIVEN in plan:
        name, method = plan["asked"], dict(plan[GIVEN])
    sections = {"data": data} | {name: plan.get(name) or {} for name in SECTIONS if name != "data"}
    built = [SECTIONS[name](**sections[name]) for name in SECTIONS]
    return Job(path, plan["task"], name, method, plan["options"], *built)  # type: ignore[arg-type]


def says(job: Job, name: str) -> bool:
    """Whether the user, or a preset, says what an option of the method or of its fit is."""
    loop = TrainOptions.model_fields
    if name in loop:
        return getattr(job.train, name) != loop[name].default
    return name in job.method_options


#: Rows to test on, or a wish about how they are held out.
ASKED_TO_HOLD_OUT = ("test", "split", "time", "test_share")
#: What rules out folds as test rows: these, or rows that the final fit learns and the fits of the
#: race do not, so that folds would score another fit.
HELD_OUT = (*ASKED_TO_HOLD_OUT, "augment", "unlabelled")
FOLDS_BELOW = 2000  # rows; from here on a fifth of them is enough to score on


def races(job: Job) -> bool:
    """Whether folds of the training rows choose: the method, or the options of a named one."""
    return (job.method == AUTO or job.trials.search > 0) and job.task in TASKS


def held_out_from(job: Job) -> int:
    """From how many rows on some are held out for the test; below, folds score the choice."""
    asked = any(job.given.get(name) is not None for name in HELD_OUT)
    return 0 if asked or not races(job) or job.task not in LABELLED else FOLDS_BELOW


def method_of(job: Job) -> Method:
    """The method that a job names.

    Raises:
        UsageError: its name or its options are wrong.
    """
    return parse(job.method, job.method_options, WAYS)


def _missing(path: str, given: Mapping[str, Any]) -> list[str]:
    """A sentence for every file that is not there, beside what else is wrong.

    Where nothing else is wrong, reading tells them; a data set of the hub is not looked for here.
    """
    from fewtune.base.files import at
    from fewtune.data.hub import is_hub_id
    from fewtune.data.read import refuse_missing

    parts = [str(given[part]) for part in ("valid", "test") if given.get(part)]
    try:
        refuse_missing(at(one) for one in [*([] if is_hub_id(path) else [path]), *parts])
    except UsageError as error:
        return [str(error)]
    return []


def _cautious(
    plain: dict[str, Any], options: dict[str, Any], method: str, own: Mapping[str, list[str]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    parts = set(parts_of(method))
    for_method = {n: v for n, v in CAUTIOUS.items() if n in own and parts & set(own[n])}
    for_loop = {n: v for n, v in CAUTIOUS.items() if n not in own}
    if "valid" not in plain:
        for_loop["valid_share"] = 0.1  # early stopping watches rows that are not trained on
    return for_loop | plain, for_method | options


def _flag(item: tuple[str, Any]) -> str:
    name, value = item
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    if isinstance(value, Mapping):
        value = ",".join(f"{k}={v}" for k, v in value.items())
    if isinstance(value, list | tuple):
        value = ",".join(map(str, value))
    return f"--{name} {shlex.quote(str(value))}"
