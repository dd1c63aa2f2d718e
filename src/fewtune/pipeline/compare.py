"""`fewtune compare`: methods on the same folds of the user's rows, and the table of it.

The folder has the plan, the fits (so that the same command goes on where it was stopped), the table
as comparison.json, .csv and .md, and report.html. Test rows choose nothing: ranks are those of the
folds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fewtune.base.errors import Interrupted, UsageError
from fewtune.base.events import Event
from fewtune.base.files import at, fingerprint, write_new
from fewtune.data.load import Dataset, load
from fewtune.models.ladder import with_news
from fewtune.models.waiting import wait_as_the_machine_allows
from fewtune.pipeline.comparing import ASIDE, COSTS, FITS, Comparing
from fewtune.pipeline.entries import Entry, refused
from fewtune.pipeline.idle import OF_LABELS
from fewtune.pipeline.job import ASKED_TO_HOLD_OUT
from fewtune.pipeline.lineup import LineUp, line_up
from fewtune.pipeline.mark import inputs_of, options_told
from fewtune.pipeline.plan import reads, refuse_files, with_task
from fewtune.record.folder import RUNS, RunFolder
from fewtune.record.names import default_name, make_folder
from fewtune.report.comparison import COMPARISON, read
from fewtune.report.standing_files import csv_text, markdown_text
from fewtune.tasks import LABELLED

if TYPE_CHECKING:
    from fewtune.models.source import Source


def start_comparison(path: str, given: Mapping[str, Any]) -> tuple[RunFolder, Iterator[Event]]:
    """Make the folder of a comparison and give the events that carry it out.

    One that is finished gives no events, unless `again` is given; one that was begun goes on.

    Args:
        path: the training file.
        given: options by name, flat.

    Raises:
        UsageError: wrong options, every mistake at once.
        FewtuneError: no method can be compared on these rows.
    """
    from fewtune.models.source import find

    begun = perf_counter()
    lineup = line_up(path, given)
    lineup = _with_task(lineup)
    _refuse_task(lineup)
    job = lineup.job
    asked = any(job.given.get(name) is not None for name in ASKED_TO_HOLD_OUT)
    data = load(job.path, reads(job), job.data, job.run.seed, hold_out_from=0 if asked else None)
    if job.writes:
        refuse_files(job, data)
    source = find(job.model)
    classes = len(data.labels) if job.task in LABELLED else None
    out = refused(lineup.entries, source, classes)
    kept = [one for one in lineup.entries if one.name not in out]
    _refuse_none(lineup, kept, out)
    lineup = replace(lineup, entries=kept)
    mark = _mark(lineup, data, source)
    folder = make_folder(
        job.run.output,
        lambda: default_name(job.path, "compare", RUNS, mark),
        lambda name: _plan(lineup, name, mark, out),
    )
    whole = folder.state == "finished" and (folder.path / COMPARISON).is_file()
    if whole and not job.run.again:
        folder.close()
        return folder, iter(())
    if job.run.again:
        plan = _plan(lineup, folder.path.name, mark, out)
        folder.forget(plan, (FITS, COSTS, ASIDE, COMPARISON))
    # what it took before it was stopped counts too
    return folder, _told(Comparing(lineup, data, source, folder, out, begun - folder.spent))


def compared(folder: RunFolder, given: Mapping[str, Any]) -> dict[str, Any]:
    """The table of a comparison that is over, copied to where the user wants it too.

    Raises:
        UsageError: it was stopped before.
        FewtuneError: the files cannot be written.
    """
    told = read(folder)
    for option, text in (("csv", csv_text), ("markdown", markdown_text)):
        if path := given.get(option):
            write_new(at(path), text(told))
    return told


def _with_task(lineup: LineUp) -> LineUp:
    """The same with the task named, for each too: what a job reads goes by its task."""
    job = with_task(lineup.job)
    each = [replace(one, job=replace(one.job, task=job.task)) for one in lineup.entries]
    return replace(lineup, job=job, entries=each)


def _refuse_task(lineup: LineUp) -> None:
    from fewtune.models.source import is_causal

    if lineup.job.task in LABELLED:
        return
    if not is_causal(lineup.job.model):
        raise UsageError(
            f"model: {lineup.job.model.model} reads and does not write; give a causal language "
            "model, such as a folder or hub id of the Qwen or Llama family (--model)."
        )
    if idle := [one.step[0] for one in lineup.entries if one.step and one.step[0] in OF_LABELS]:
        raise UsageError(
            f"vary: {', '.join(dict.fromkeys(idle))}: for labels, and these rows have answers, of "
            "which it changes nothing; leave it out."
        )
    if any(one.job.augment.augment for one in lineup.entries):
        raise UsageError(
            "augment: recipes are compared on rows with labels so far, and not on answers; leave "
            "it out, or try `fewtune train` with and without."
        )


def _refuse_none(lineup: LineUp, kept: list[Entry], out: dict[str, str]) -> None:
    """Refuse where nothing can be compared, or the base of the steps cannot be used.

    Raises:
        UsageError: with the reasons of all that cannot be used.
    """
    without_base = lineup.options.vary and lineup.entries[0].name in out
    if without_base or not any(one.step is None for one in kept):
        raise UsageError("\n".join(f"{name}: {reason}" for name, reason in out.items()))


def _mark(lineup: LineUp, data: Dataset, source: Source) -> str:
    """The same for the same comparison of the same files."""
    told = [one.name + options_told(one.job, one.method) for one in lineup.entries]
    read: dict[str, str] = {}
    for one in lineup.entries:
        read |= inputs_of(one.job, data, one.method, source)
    seeds = str(lineup.options.seeds)
    return fingerprint("compare", lineup.job.task, seeds, *read.values(), *told)


def _plan(lineup: LineUp, name: str, mark: str, out: dict[str, str]) -> dict[str, Any]:
    from fewtune import __version__

    job = lineup.job
    sections = job.sections()
    sections["data"] = {"path": job.path, **sections["data"]}
    compared = [
        {
            "name": one.name,
            "method": one.method.spell(),
            "preset": one.preset,
            "step": list(one.step) if one.step else None,
        }
        for one in lineup.entries
    ]
    return {
        "fewtune": __version__,
        "name": name,
        "task": job.task,
        "command": lineup.command,
        "options": dict(lineup.given),
        "method": {"name": "compare"},
        "compared": compared,
        "refused": out,
        "seeds": lineup.options.seeds,
        **{key: value for key, value in sections.items() if key != "decoding"},
        "chosen": {},
        "reasons": [],
        "fingerprint": mark,
    }


def _told(work: Comparing) -> Iterator[Event]:
    """The events; every one is written down before it is handed on."""
    wait_as_the_machine_allows()
    with work.folder:
        try:
            for event in with_news(work.events()):
                work.folder.append(event)
                yield event
        except (Interrupted, KeyboardInterrupt) as error:
            told = "stopped; what was fitted is kept."
            raise Interrupted(f"{told} `{work.lineup.command}` goes on.") from error
