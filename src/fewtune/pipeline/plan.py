"""What is decided before anything is loaded: method, base, refusals, the plan's first words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewtune.base.amounts import seconds_of
from fewtune.base.errors import UsageError, one_of
from fewtune.choose.method import default_method
from fewtune.choose.recipe import decide
from fewtune.data.columns import Role
from fewtune.data.holdout import parted
from fewtune.data.hub import paths_of
from fewtune.data.load import Dataset
from fewtune.data.read import read_rows, shape_of
from fewtune.methods import METHODS
from fewtune.methods.base import Method
from fewtune.pipeline.extra import refuse_extra
from fewtune.pipeline.job import AUTO, GIVEN, Job, method_of, races, says
from fewtune.pipeline.mark import mark_of
from fewtune.pipeline.prompt_job import asked_method, refuse_prompt
from fewtune.pipeline.run import watchable_rows
from fewtune.tasks import LABELLED
from fewtune.tasks.classify import Classify
from fewtune.tasks.generate import Generate

if TYPE_CHECKING:
    from fewtune.models.source import Source


def with_task(job: Job) -> Job:
    """The job with its task named: the user's, else what the file's columns say.

    A file of texts without labels could be labels forgotten, so only a dialogue means generation.
    """
    task = _inferred(job) if job.task == AUTO else job.task
    if task not in LABELLED:
        return replace(job, task=task)
    return replace(job, task=task, data=LABELLED[task].reading(job.data))


def _inferred(job: Job) -> str:
    """The task by the file's columns."""
    try:
        paths = paths_of(job.path, None, None)
        shape = shape_of(paths["train"], job.data)
    except UsageError:
        return Classify.name  # what reads labels says best what it misses
    if shape.task == Generate.name and any(role.name != "text" for role in shape.roles):
        return Generate.name
    if shape.task == Generate.name:
        _refuse_texts_alone(paths["train"], job)
    if shape.task == "vision-chat":
        raise UsageError(
            f"{job.path} holds dialogues with images, and `fewtune train` does not learn from "
            "images; `fewtune check` looks at them."
        )
    if any(role.name == "text_pair" for role in shape.roles) and not job.data.text:
        raise UsageError(
            f"{job.path} holds two texts and a label a row ({shape.name}), and a model here reads "
            "one text; write both into one column, or name the one to learn from with --text."
        )
    return shape.task if shape.task in LABELLED else Classify.name


def reads(job: Job) -> Sequence[Role] | None:
    """What the task reads of every row; None takes whatever shape the file has."""
    return LABELLED[job.task].reads if job.task in LABELLED else None


def _refuse_texts_alone(path: str | Path, job: Job) -> None:
    """Say which column is missing, and that texts alone can be learned too.

    Raises:
        UsageError: no column holds labels.
    """
    try:
        read_rows(path, Classify.reads, job.data)
    except UsageError as error:
        raise UsageError(
            f"{error} To learn to go on from texts without labels, give --task generate."
        ) from error


def choose(job: Job) -> tuple[Method, Source | None, list[str]]:
    """The method and the pretrained folder, looked at but not loaded."""
    if job.method in METHODS and not METHODS[job.method].needs_model:
        return method_of(job), None, []
    if asked := asked_method(job):
        return asked, None, []
    from fewtune.models.source import count_parameters, find

    source = find(job.model)
    if job.method != AUTO:
        method = method_of(job)
        source.room(method.reserved_tokens)
        return method, source, []
    name, reason = default_method(count_parameters(source) or 0)
    method = method_of(replace(job, method=name, method_options={}))
    return method, source, [] if races(job) else [reason]  # the race has its own


def refuse_early(job: Job, data: Dataset, method: Method) -> None:
    """What would be refused later, said before there is a run folder."""
    if not method.tunes:
        refuse_prompt(job, data, method)
    elif job.writes:
        _refuse_silent(job, data, method)
    if job.evaluate.metric and not job.writes:
        raise UsageError("metric: for generated texts only; classification has its own metrics.")
    if job.trials.budget:
        seconds_of(job.trials.budget)
    if method.needs_steps:
        decide(method, job.train, len(data.train), watchable_rows(data))
    refuse_extra(job, method, data.train)
    _refuse_search(job, method, len(data.train))
    if job.task in LABELLED and LABELLED[job.task].decides and job.evaluate.positive is not None:
        raise UsageError("positive: names one of two classes, and these rows have several labels.")
    if job.evaluate.positive is not None and job.evaluate.positive not in data.labels:
        raise UsageError(one_of("positive", job.evaluate.positive, data.labels))
    if job.evaluate.positive is not None and len(data.labels) != 2:
        raise UsageError(
            f"positive: names one of two classes, and this data has {len(data.labels)}; leave it "
            "out."
        )


def _refuse_search(job: Job, method: Method, rows: int) -> None:
    """A search without Optuna, or without anything to vary.

    Raises:
        UsageError: it says what to do instead.
    """
    if not job.trials.search:
        return
    from fewtune.trials.search import refuse_missing

    if not method.tunes:
        raise UsageError(
            f"search: `{method.spell()}` searches instructions by itself; --proposals says how "
            "many the model proposes."
        )
    if not method.needs_steps:
        raise UsageError(
            f"search: `{method.spell()}` has no training to vary; leave --method out, or name one "
            "that trains, such as `full` or `lora`."
        )
    space = method.space(rows, None, 1)
    if job.method != AUTO and all(says(job, name) for name in space):
        raise UsageError(
            f"search: every option that is varied for `{method.spell()}` ({', '.join(space)}) is "
            "given; leave one of them out."
        )
    refuse_missing()


def _refuse_silent(job: Job, data: Dataset, method: Method) -> None:
    """What cannot learn to write.

    Raises:
        UsageError: the method trains no language model, or the model or the rows do not speak.
    """
    from fewtune.models.source import is_causal

    if not method.needs_model or not method.needs_steps:
        raise UsageError(
            f"method: `{method.spell()}` chooses among labels and cannot write; try `lora`."
        )
    if not is_causal(job.model):
        raise UsageError(
            f"model: {job.model.model} reads and does not write; give a causal language model, "
            "such as a folder or hub id of the Qwen or Llama family (--model)."
        )
    if job.trials.unlabelled or job.augment.augment == AUTO:
        raise UsageError(
            "unlabelled, augment=auto: for classification only; name recipes, such as "
            "--augment typing."
        )
    if not any({"messages", "text"} & row.fields.keys() for row in data.train):
        raise UsageError(
            f"task: {job.path} holds no dialogues and no texts to write; see `fewtune check` for "
            "what it holds."
        )
    refuse_files(job, data)


def refuse_files(job: Job, data: Dataset) -> None:
    """What is only needed after training, and would end the run there.

    Raises:
        UsageError, FewtuneError: rows, files or functions that could not be used then.
    """
    from fewtune.evaluate.named import resolve_metrics, try_out
    from fewtune.pipeline.forgetting import general_rows
    from fewtune.pipeline.generate import replayable_rows
    from fewtune.tasks.generate import asked

    metrics = resolve_metrics(job.evaluate.metric)
    if talks := [row for row in data.train if "messages" in row.fields]:
        try_out(metrics, asked(talks[0])[1])
    for part in ("valid", "test"):
        rows = data.part(part)
        if talks and rows and not any("messages" in row.fields for row in rows):
            path = data.files.get(part, data.files["train"])["path"]
            raise UsageError(
                f"{part}: the training rows are questions with answers, and no row of {path} is; "
                "give rows of the same kind."
            )
    if job.generate.replay:
        replayable_rows(job)
    if job.generate.general:
        general_rows(job.generate.general)
    if job.generate.replay and job.generate.replay == job.generate.general:
        raise UsageError(
            "replay: the texts that are learned cannot also measure what is forgotten; give "
            "--general another file."
        )


def with_valid_rows(data: Dataset, job: Job) -> Dataset:
    """Keep a share of the training rows for validation, where asked for."""
    if data.valid or not job.data.valid_share:
        return data
    train, held = parted(data.train, job.data.valid_share, job.run.seed + 1)
    how = f"{data.split['how']}; {len(held)} training rows kept for validation"
    return replace(
        data,
        train=tuple(data.train[i] for i in train),
        valid=tuple(data.train[i] for i in held),
        split={**data.split, "how": how},
    )


def first_plan(
    job: Job, name: str, method: Method, reasons: Sequence[str], inputs: Mapping[str, str]
) -> Mapping[str, Any]:
    """The plan as it stands before anything was measured.

    Args:
        inputs: from `inputs_of`.
    """
    from fewtune import __version__

    sections = job.sections()
    sections["data"] = {"path": job.path, **sections["data"]}
    return {
        "fewtune": __version__,
        "name": name,
        "task": job.task,
        "command": job.command,
        "options": dict(job.given),
        "asked": job.method,
        "method": _named(job, method),
        **sections,
        **({GIVEN: dict(job.method_options)} if races(job) and job.method != AUTO else {}),
        "chosen": {},
        "reasons": list(reasons),
        "inputs": dict(inputs),
        "fingerprint": mark_of(job, method, inputs),
    }


def _named(job: Job, method: Method) -> dict[str, Any]:
    """The method with its options; the race names one later."""
    if job.method == AUTO:
        return {"name": AUTO}
    return {"name": method.spell(), **_own_options(method)}


def _own_options(method: Method) -> dict[str, Any]:
    return {k: v for part in method.parts() for k, v in part.model_dump().items()}
