"""What makes a job the same job: the options that differ from the defaults, and what is read.

An option that a later version adds changes nothing as long as it stands at its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fewtune.augment.options import AugmentOptions
from fewtune.base.files import at, fingerprint, found
from fewtune.data.load import Dataset
from fewtune.methods.base import Method
from fewtune.pipeline.job import AUTO, Job
from fewtune.pipeline.prompt_job import marks
from fewtune.trials.sections import SECTIONS

if TYPE_CHECKING:
    from fewtune.models.source import Source

ELSEWHERE = ("output", "again")  # options of the run that change nothing of what comes out


def options_told(job: Job, method: Method) -> str:
    """The options that are not at their defaults, by section and by part of the method."""
    told = {name: getattr(job, name).model_dump(exclude_defaults=True) for name in SECTIONS}
    for name in ELSEWHERE:
        told["run"].pop(name, None)
    parts = () if job.method == AUTO else method.parts()
    own = [(one.name, one.model_dump(exclude_defaults=True)) for one in parts]
    return repr([(name, sorted(options.items())) for name, options in [*told.items(), *own]])


def inputs_of(job: Job, data: Dataset, method: Method, source: Source | None) -> dict[str, str]:
    """The fingerprint of everything that is read, by what it is."""
    from fewtune.methods.artefact import fingerprint_of

    read = {one["path"]: one["fingerprint"] for one in data.files.values()}
    asked = {"unlabelled": job.trials.unlabelled}
    if job.writes:
        asked |= {"replay": job.generate.replay, "general": job.generate.general}
    read |= {path: fingerprint(found(path, option)) for option, path in asked.items() if path}
    read |= _for_recipes(job.augment) if job.augment.augment else {}
    if job.data.split:
        read["the split"] = fingerprint(repr(data.as_json()["parts"]))
    if source:
        read["the base model"] = fingerprint_of(source.folder)
    if not method.tunes:
        read |= {f"the prompt's input {k}": one for k, one in enumerate(marks(job, method), 1)}
    return read


def _for_recipes(options: AugmentOptions) -> dict[str, str]:
    """The same of what recipes read; a model's hub id tells itself."""
    from fewtune.methods.artefact import fingerprint_of

    named = [options.lexicon, options.protect]
    files = {path: at(path) for path in named if path}
    names = [options.augment_model or "", *(options.translators or "").split(",")]
    models = {name: at(name) for name in map(str.strip, names) if name}
    told = {name: fingerprint(path) for name, path in files.items() if path.exists()}
    return told | {
        name: fingerprint_of(folder)
        for name, folder in models.items()
        if (folder / "config.json").is_file()
    }


def mark_of(job: Job, method: Method, inputs: Mapping[str, str]) -> str:
    """The same for the same job on the same files; where they lie and go does not matter."""
    name = AUTO if job.method == AUTO else method.spell()
    return fingerprint(name, options_told(job, method), job.task, *inputs.values())


def changed(plan: Mapping[str, Any], inputs: Mapping[str, str]) -> list[str]:
    """What of a run's inputs is not what it was when it was planned.

    A run resumes with the options of its own plan, so nothing else can differ.
    """
    then = plan["inputs"]
    return [name for name in {**then, **inputs} if then.get(name) != inputs.get(name)]
