"""The last stages: predictions of the reloaded artefact, scores, verdict, record, report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fewtune.base.events import Event, tell
from fewtune.data.row import Row
from fewtune.evaluate.classify import positive_class
from fewtune.evaluate.options import EvaluateOptions
from fewtune.evaluate.verdict import verdict
from fewtune.methods.predictor import load_predictor
from fewtune.models.footprint import highest
from fewtune.pipeline.judge import judged
from fewtune.pipeline.learning import curve_of
from fewtune.pipeline.memory import memory_of
from fewtune.pipeline.parted import by_group, label_slices
from fewtune.record.trouble import writing
from fewtune.report.card import model_card
from fewtune.report.diagnosis import told_of
from fewtune.report.page import write_report
from fewtune.tasks.labelled import Answered, Labelled

if TYPE_CHECKING:
    from fewtune.pipeline.run import Run


def finish(run: Run, task: Labelled) -> Iterator[Event]:
    """Score the saved artefact on the test rows and write everything down."""
    begun = perf_counter()
    rows = run.data.test
    predictor = load_predictor(
        run.folder.model, run.chosen.get("device", "auto"), run.chosen.get("bf16")
    )
    probabilities = predictor.probabilities([row["text"] for row in rows])
    found = task.answered(probabilities)
    run.folder.write_predictions(predictions(rows, found, task))
    yield from write_scores(run, task, rows, found, begun)


def write_scores(
    run: Run,
    task: Labelled,
    rows: Sequence[Row],
    found: Answered,
    begun: float,
    where: str = "test rows",
) -> Iterator[Event]:
    """Scores, verdict, card and report.

    Args:
        rows: those that were answered.
        found: what was answered to them.
        begun: when scoring began.
        where: what the rows are, in a sentence.
    """
    yield from by_group(task, rows, found, run.job.data.group)
    scores = _scores(run, task, rows, found, where)
    run.seconds["evaluate"] = perf_counter() - begun
    yield tell("scored", scores=scores["test"], gain=scores["gain"])
    run.seconds["total"] = perf_counter() - run.begun
    scores["seconds"] = {name: round(value, 3) for name, value in run.seconds.items()}
    scores["diagnosis"] = told_of(run.folder, scores)
    run.folder.write_scores(scores)
    write_card(run, scores)
    # a run is finished when all of it is there, so the report says so a moment before
    write_report(run.folder, "finished")
    yield tell("finished", verdict=scores["verdict"], seconds=run.seconds["total"])


def predictions(rows: Sequence[Row], found: Answered, task: Labelled) -> Iterator[dict[str, Any]]:
    """One object a row, in the file's order."""
    answers = task.named(found.chosen)
    for row, answer, one in zip(rows, answers, found.probabilities, strict=True):
        yield {
            "prediction": answer,
            "label": task.expected(row),
            "origin": str(row.origin),
            "probability": {
                label: round(float(p), 6) for label, p in zip(task.labels, one, strict=True)
            },
            "text": row["text"],
        }


def _scores(
    run: Run, task: Labelled, rows: Sequence[Row], answered: Answered, where: str
) -> dict[str, Any]:
    """The block that `train --json` prints and `scores.json` holds."""
    own = run.method.spell()
    options = _with_positive(run, task)
    found = judged(task, rows, answered, run.baselines, own, options, run.seed)
    errors: dict[str, Any] = {k: found[k] for k in ("per_class", "confusion") if k in found}
    return {
        "run": str(run.folder.path),
        "task": task.name,
        "method": own,
        "primary": task.primary,
        "scored_on": where,
        "rows": run.data.ledger.counts()
        | {part: len(run.data.part(part)) for part in ("train", "valid", "test")},
        "test": found["test"],
        "baselines": found["baselines"],
        "gain": found["gain"],
        "verdict": verdict(own, len(rows), found["test"], found["gain"], task.primary, where),
        "seconds": {},
        "peak_memory_bytes": highest(),
        **memory_of(run),
        "trainable_parameters": run.facts["trainable"],
        "total_parameters": run.facts["total"],
        "train": {"tokens": run.facts.get("tokens", 0)},
        **curve_of(run),
        "slices": label_slices(task, rows, answered, run.job.data.group),
        **errors,
        "warnings": list(run.warnings),
    }


def _with_positive(run: Run, task: Labelled) -> EvaluateOptions:
    """The options with the positive class of two, as the training rows have it."""
    options = run.job.evaluate
    if task.decides:
        return options
    positive = positive_class(task.targets(run.data.train), task.labels, options.positive)
    named = None if positive is None else task.labels[positive]
    return options.model_copy(update={"positive": named})


def write_card(run: Run, scores: dict[str, Any]) -> None:
    """The model card, from what was measured."""
    from fewtune.base.files import write_atomic

    code = run.method.code(run.facts["about"])
    card = model_card(run.folder.plan, run.folder.data, scores, code)
    path = Path(run.folder.model) / "README.md"
    with writing(path):
        write_atomic(path, card)
