"""The journey of the data: read, split, plan, fit, save, baselines, evaluate, record.

Everything that happens is told as an event; who listens (terminal, Python, page) changes nothing.
Closing the generator cancels the run, which can then be resumed from its last checkpoint.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from pydantic import ValidationError

from fewtune.base.errors import Interrupted, UsageError
from fewtune.base.events import Event, tell
from fewtune.check.look import Look, shown
from fewtune.check.run import check
from fewtune.data.load import PARTS, Dataset, given_back, load
from fewtune.methods.base import Method
from fewtune.models.ladder import with_news
from fewtune.models.waiting import wait_as_the_machine_allows
from fewtune.pipeline.classify import classify
from fewtune.pipeline.generate import generate
from fewtune.pipeline.idle import in_vain
from fewtune.pipeline.job import Job, held_out_from, job_of_plan, races
from fewtune.pipeline.learning import CURVE
from fewtune.pipeline.mark import changed, inputs_of, mark_of
from fewtune.pipeline.plan import (
    choose,
    first_plan,
    reads,
    refuse_early,
    with_task,
    with_valid_rows,
)
from fewtune.pipeline.run import Run
from fewtune.pipeline.setting import FITS
from fewtune.pipeline.text_prompt import text_prompt
from fewtune.record.environment import environment
from fewtune.record.folder import RUNS, RunFolder
from fewtune.record.names import default_name, make_folder
from fewtune.record.trouble import writing
from fewtune.tasks import TASKS

if TYPE_CHECKING:
    from fewtune.models.source import Source

#: What the reading itself tells of.
TOLD = ("format", "empty", "truncated", "balance-single", "balance-unseen")
MOST_ROWS = 20  # of a finding that a run keeps; `fewtune check` names all


def start(job: Job) -> tuple[RunFolder, Iterator[Event]]:
    """Make the run folder of a job and give the events that carry it out.

    Nothing is loaded before the first event is asked for. A run that is finished already gives no
    events, unless the job says `again`; one that was begun goes on.

    Raises:
        UsageError, FewtuneError: the job is impossible, or its folder is another run's.
    """
    begun = perf_counter()
    job = with_task(job)
    data = _load(job)
    method, source, reasons = choose(job)
    refuse_early(job, data, method)
    inputs = inputs_of(job, data, method, source)
    spelled = job.method if races(job) else method.spell()
    mark = mark_of(job, method, inputs)
    folder = make_folder(
        job.run.output,
        lambda: default_name(job.path, spelled, RUNS, mark),
        lambda name: first_plan(job, name, method, reasons, inputs),
    )
    if folder.state == "finished" and not job.run.again:
        folder.close()
        return folder, iter(())
    if job.run.again:
        folder.forget(first_plan(job, folder.path.name, method, reasons, inputs), (FITS, CURVE))
    elif folder.state != "resumable":
        folder.start_anew()
    return folder, _told(_run(job, folder, data, method, source, begun))


def _load(job: Job) -> Dataset:
    least = held_out_from(job)
    data = load(job.path, reads(job), job.data, job.run.seed, hold_out_from=least)
    return with_valid_rows(data, job)


def resume(path: Path) -> tuple[RunFolder, Iterator[Event]]:
    """Go on with a run: from its checkpoint, or anew where there is none.

    Raises:
        UsageError: it is no run.
        FewtuneError: its data or its base model have changed.
    """
    begun = perf_counter()
    folder = RunFolder.open(path)
    if folder.state == "finished":
        return folder, iter(())
    folder.lock()
    try:
        if folder.state == "finished":  # by another process, before it let the lock go
            folder.close()
            return folder, iter(())
        return folder, _told(_taken_up(folder, begun))
    except BaseException:
        folder.close()
        raise


def _planned(folder: RunFolder) -> Job:
    """The job of a run that another version may have planned.

    Raises:
        UsageError: it has other options than this version, or tells less of what was read.
    """
    plan = folder.plan
    who = f"{folder.path}: fewtune {plan.get('fewtune')} planned this run"
    try:
        job = job_of_plan(plan)
    except ValidationError as error:
        names = ", ".join(str(one["loc"][-1]) for one in error.errors())
        raise UsageError(
            f"{who} with options that this version does not have, or takes otherwise ({names}); "
            "go on with that version, or start a new run."
        ) from error
    if "inputs" not in plan:
        raise UsageError(
            f"{who} and did not write down what tells this version that its files and its base "
            "model are what they were; go on with that version, or start a new run."
        )
    return job


def _taken_up(folder: RunFolder, begun: float) -> Run:
    plan = folder.plan
    job = _planned(folder)
    method, source, _ = choose(job)
    told = folder.data
    data = given_back(job.path, reads(job), job.data, told) if told else _load(job)
    if other := changed(plan, inputs_of(job, data, method, source)):
        raise UsageError(
            f"{folder.path}: since this run was planned {', '.join(other)} changed, so it cannot "
            "go on as the same run; bring back what was there, or start a new one."
        )
    if folder.state != "resumable":
        folder.start_anew()
    return _run(job, folder, data, method, source, begun)


def _run(
    job: Job, folder: RunFolder, data: Dataset, method: Method, source: Source | None, begun: float
) -> Run:
    """A run with what its plan says was chosen already, and why."""
    plan = folder.plan
    chosen, reasons = dict(plan.get("chosen") or {}), list(plan.get("reasons") or ())
    return Run(
        job, folder, data, method, source, begun, reasons, chosen=chosen, earlier=folder.spent
    )


def _told(run: Run) -> Iterator[Event]:
    """The stages in their order; every event is written down before it is handed on."""
    wait_as_the_machine_allows()
    with run.folder:
        try:
            for event in with_news(_stages(run)):
                if event.name == "warned":
                    run.warnings.append(event["message"])
                run.folder.append(event)
                yield event
        except (Interrupted, KeyboardInterrupt) as error:
            told = str(error) or "stopped; what was done is kept."
            how = f"`fewtune resume {shlex.quote(str(run.folder.path))}` goes on."
            raise Interrupted(f"{told} {how}") from error


def _stages(run: Run) -> Iterator[Event]:
    yield tell("started", run=str(run.folder.path), command=run.job.command)
    with writing(run.folder.path):
        run.folder.write_environment(environment())
    yield from _read(run)
    if not run.method.tunes:
        yield from text_prompt(run)
    else:
        yield from (generate if run.job.writes else classify)(run)


def _read(run: Run) -> Iterator[Event]:
    data = run.data
    run.folder.write_data(data.as_json())
    yield tell("read", **data.ledger.counts(), files={k: v["path"] for k, v in data.files.items()})
    for note in (*data.notes, *in_vain(run.job, run.method)):
        yield tell("warned", message=note)
    sizes = {part: len(data.part(part)) for part in ("train", "valid", "test")}
    yield tell("split", **sizes, classes=len(data.labels), how=data.split["how"])
    yield from _checked(run)


def _checked(run: Run) -> Iterator[Event]:
    """What the linter's rules without a model say of the rows as they were split."""
    data = run.data
    parts = {part: data.part(part) for part in PARTS if data.part(part)}
    shown_parts = {part: [*map(shown, rows)] for part, rows in parts.items()}
    shape = TASKS[run.job.task].shape
    look = Look(shown_parts, data.ledger, data.columns, group=run.job.data.group, shape=shape)
    aside = {entry.origin for entry in data.ledger.quarantined}
    findings = [
        one.as_json()
        for one in check(look)
        # of rows that are learned nobody has told, such as those whose label is a word for nothing
        if not one.code.startswith(TOLD) or (one.code.startswith("empty") and {*one.rows} - aside)
    ]
    for one in findings:
        del one["rows"][MOST_ROWS:]
    yield tell("checked", findings=findings)
