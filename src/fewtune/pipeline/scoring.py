"""The last stages of a run with labels: what the reloaded artefact answers, scores, verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fewtune.base.events import Event, tell
from fewtune.data.row import Row
from fewtune.evaluate.classify import positive_class
from fewtune.evaluate.options import EvaluateOptions
from fewtune.evaluate.verdict import SEVERAL, TRAINED, verdict
from fewtune.methods.predictor import load_predictor
from fewtune.pipeline.ending import ended, recorded
from fewtune.pipeline.judge import judged
from fewtune.pipeline.parted import by_group, group_of, label_slices
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
    if note := by_group(rows, run.job.data.group):
        yield tell("warned", message=note)
    scores = recorded(run, _scored(run, task, rows, found, where))
    run.seconds["evaluate"] = perf_counter() - begun
    yield from ended(run, scores)


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
            **group_of(row),
        }


def _scored(
    run: Run, task: Labelled, rows: Sequence[Row], answered: Answered, where: str
) -> dict[str, Any]:
    """What the answers to some rows are worth."""
    own = run.method.spell()
    options = _with_positive(run, task)
    found = judged(task, rows, answered, run.baselines, own, options, run.seed)
    wording = SEVERAL if task.several else TRAINED
    errors: dict[str, Any] = {k: found[k] for k in ("per_class", "confusion") if k in found}
    return {
        "primary": task.primary,
        "scored_on": where,
        "scored": len(rows),
        **({"positive": options.positive} if options.positive else {}),
        "test": found["test"],
        "baselines": found["baselines"],
        "gain": found["gain"],
        "verdict": verdict(
            own, len(rows), found["test"], found["gain"], task.primary, where, wording
        ),
        "slices": label_slices(task, rows, answered, run.job.data.group),
        **errors,
    }


def _with_positive(run: Run, task: Labelled) -> EvaluateOptions:
    """The options with the positive class of two, as the training rows have it."""
    options = run.job.evaluate
    if task.decides:
        return options
    positive = positive_class(task.targets(run.data.train), task.labels, options.positive)
    named = None if positive is None else task.labels[positive]
    return options.model_copy(update={"positive": named})
