"""How every run ends, whatever its task: what all scores hold, the record, the card, the report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fewtune.base.events import Event, tell
from fewtune.base.files import write_atomic
from fewtune.models.footprint import highest
from fewtune.pipeline.learning import curve_of
from fewtune.pipeline.memory import memory_of, remember
from fewtune.record.trouble import writing
from fewtune.report.card import model_card
from fewtune.report.diagnosis import told_of
from fewtune.report.page import write_report

if TYPE_CHECKING:
    from fewtune.pipeline.run import Run


def recorded(run: Run, scored: dict[str, Any], **counted: int) -> dict[str, Any]:
    """The block that `train --json` prints and `scores.json` holds.

    Args:
        scored: what the task says of the rows: scores, gain, verdict and what else it measures.
        counted: further numbers of rows, such as how many were answered.
    """
    parts = {part: len(run.data.part(part)) for part in ("train", "valid", "test")}
    return {
        "run": str(run.folder.path),
        "task": run.job.task,
        "method": run.method.spell(),
        "rows": run.data.ledger.counts() | parts | counted,
        **scored,
        "seconds": {},
        "peak_memory_bytes": highest(),
        **memory_of(run),
        "trainable_parameters": run.facts["trainable"],
        "total_parameters": run.facts["total"],
        "train": {"tokens": 0} | {k: run.facts[k] for k in ("tokens", "moved") if k in run.facts},
        **curve_of(run),
        "warnings": list(run.warnings),
    }


def ended(run: Run, scores: dict[str, Any]) -> Iterator[Event]:
    """Write the scores, the card and the report; the run is finished.

    Args:
        scores: as `recorded`; gets the seconds of the stages and the diagnosis.
    """
    yield tell("scored", scores=scores["test"], gain=scores["gain"])
    if run.earlier:
        run.seconds["before_it_was_stopped"] = run.earlier
    run.seconds["total"] = run.earlier + perf_counter() - run.begun
    scores["seconds"] = {name: round(value, 3) for name, value in run.seconds.items()}
    scores["diagnosis"] = told_of(run.folder, scores)
    run.folder.write_scores(scores)
    _write_card(run, scores)
    # a run is finished when all of it is there, so the report says so a moment before
    write_report(run.folder, "finished")
    remember(run)
    yield tell("finished", verdict=scores["verdict"], seconds=run.seconds["total"])


def _write_card(run: Run, scores: dict[str, Any]) -> None:
    """The model card, from what was measured."""
    about = run.facts["about"]
    code = run.method.code(about)
    card = model_card(run.folder.plan, run.folder.data, scores, code, about.max_length)
    path = Path(run.folder.model) / "README.md"
    with writing(path):
        write_atomic(path, card)
