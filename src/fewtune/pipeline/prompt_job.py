"""What a search for a prompt is asked to do, looked at before there is a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from fewtune.base.errors import UsageError
from fewtune.base.files import fingerprint, found
from fewtune.data.load import Dataset
from fewtune.evaluate.named import resolve_metrics, try_out
from fewtune.methods.base import Method
from fewtune.models.options import is_endpoint
from fewtune.pipeline.job import Job, method_of
from fewtune.pipeline.prompt_scores import refuse_heat
from fewtune.tasks.classify import Classify
from fewtune.tasks.generate import Generate, asked
from fewtune.train.options import TrainOptions
from fewtune.trials.options import TextPrompt
from fewtune.trials.prompted import look_at


def asked_method(job: Job) -> Method | None:
    """The search, where that is what is asked for; else None.

    Raises:
        UsageError: the model cannot be asked; or it can only be asked, and is to be trained.
    """
    model, name = job.model.model, TextPrompt.name
    if job.method == name:
        look_at(model)
        return method_of(job)
    if is_endpoint(model):
        raise UsageError(
            f"method: {model} can be asked and not changed, so `{job.method}` has nothing to train "
            f"there; choose `{name}`, or give a folder or hub id."
        )
    return None


def refuse_prompt(job: Job, data: Dataset, method: Method) -> None:
    """What cannot be done, in a sentence.

    Raises:
        UsageError: options of training, rows that ask nothing, a model that cannot be asked.
    """
    if job.task not in (Classify.name, Generate.name):
        raise UsageError(
            f"task: `{method.spell()}` is for {Classify.name} and {Generate.name}; got {job.task}."
        )
    trained = [name for name in job.given if name in TrainOptions.model_fields]
    if trained or job.augment.augment or job.trials.unlabelled:
        more = [n for n in ("augment", "unlabelled") if n in job.given]
        raise UsageError(
            f"{', '.join([*trained, *more])}: `{method.spell()}` trains nothing; leave it out."
        )
    refuse_heat(job.given, method.spell())
    if job.writes:
        metrics = resolve_metrics(job.evaluate.metric)
        talks = [row for row in data.train if "messages" in row.fields]
        if not talks:
            raise UsageError(f"task: {job.path} holds no questions with answers to learn from.")
        try_out(metrics, asked(talks[0])[1])
    given_instructions(method)


def marks(job: Job, method: Method) -> list[str]:
    """What tells the same job on other instructions, or another local model, apart."""
    from fewtune.methods.artefact import fingerprint_of
    from fewtune.models.source import find

    told = [] if is_endpoint(job.model.model) else [fingerprint_of(find(job.model).folder)]
    path = cast(TextPrompt, method).instructions
    return told + ([fingerprint(found(path, "instructions"))] if path else [])


def given_instructions(method: Method) -> list[str]:
    """The instructions in the user's file: paragraphs, or lines where it has no empty ones.

    Raises:
        UsageError: there is no such file, or nothing in it.
    """
    path = cast(TextPrompt, method).instructions
    if path is None:
        return []
    try:
        text = found(path, "instructions").read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"instructions: {path} is not UTF-8 text; save it as that.") from error
    parts = ["\n".join(one).strip() for one in _paragraphs(text.splitlines())]
    parts = parts if len(parts) > 1 else text.splitlines()
    told = [one.strip() for one in dict.fromkeys(parts) if one.strip()]
    if not told:
        raise UsageError(f"instructions: {path} is empty; write one instruction a line.")
    return told


def _paragraphs(lines: Sequence[str]) -> list[list[str]]:
    found: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [one for one in found if one]
