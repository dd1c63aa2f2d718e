"""The last stages: predictions of the reloaded artefact, scores, verdict, record, report."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from fewtune.base.events import Event, tell
from fewtune.data.row import Row
from fewtune.evaluate.classify import confusion, gain, per_class, positive_class, score
from fewtune.evaluate.verdict import verdict
from fewtune.methods.predictor import load_predictor
from fewtune.record.trouble import writing
from fewtune.report.card import model_card
from fewtune.report.page import write_report
from fewtune.tasks.classify import Classify

if TYPE_CHECKING:
    from fewtune.pipeline.run import Run


def finish(run: Run, task: Classify) -> Iterator[Event]:
    """Score the saved artefact on the test rows and write everything down."""
    begun = perf_counter()
    rows = run.data.test
    predictor = load_predictor(
        run.folder.model, run.chosen.get("device", "auto"), run.chosen.get("bf16")
    )
    probabilities = predictor.probabilities([row["text"] for row in rows])
    run.folder.write_predictions(predictions(rows, probabilities, task.labels))
    scores = _scores(run, task, probabilities)
    run.seconds["evaluate"] = perf_counter() - begun
    yield tell("scored", scores=scores["test"], gain=scores["gain"])
    run.seconds["total"] = perf_counter() - run.begun
    scores["seconds"] = {name: round(value, 3) for name, value in run.seconds.items()}
    run.folder.write_scores(scores)
    write_card(run, scores)
    # a run is finished when all of it is there, so the report says so a moment before
    write_report(run.folder, "finished")
    yield tell("finished", verdict=scores["verdict"], seconds=run.seconds["total"])


def predictions(
    rows: Sequence[Row], probabilities: np.ndarray, labels: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """One object a row, in the file's order."""
    for row, one in zip(rows, probabilities, strict=True):
        yield {
            "prediction": labels[int(one.argmax())],
            "label": row.get("label"),
            "origin": str(row.origin),
            "probability": {
                label: round(float(p), 6) for label, p in zip(labels, one, strict=True)
            },
            "text": row["text"],
        }


def _scores(run: Run, task: Classify, probabilities: np.ndarray) -> dict[str, Any]:
    """The block that `train --json` prints and `scores.json` holds."""
    truth = task.targets(run.data.test)
    options, labels, seed = run.job.evaluate, task.labels, run.seed
    positive = positive_class(task.targets(run.data.train), labels, options.positive)
    options = options.model_copy(
        update={"positive": None if positive is None else labels[positive]}
    )
    own = run.method.spell()
    baselines = run.baselines
    test = score(truth, probabilities, labels, options, seed)
    better = gain(probabilities, baselines, truth, own, task.primary, seed=seed)
    return {
        "run": str(run.folder.path),
        "task": task.name,
        "method": own,
        "primary": task.primary,
        "rows": run.data.ledger.counts()
        | {part: len(run.data.part(part)) for part in ("train", "valid", "test")},
        "test": test,
        "baselines": {
            name: score(truth, found, labels, options, seed) for name, found in baselines.items()
        },
        "gain": better,
        "verdict": verdict(own, len(truth), test, better, task.primary),
        "seconds": {},
        "peak_memory_bytes": peak_memory(),
        "trainable_parameters": run.facts["trainable"],
        "total_parameters": run.facts["total"],
        "train": {"tokens": run.facts.get("tokens", 0)},
        "per_class": per_class(truth, probabilities, labels),
        "confusion": confusion(truth, probabilities, labels),
        "warnings": list(run.warnings),
    }


def write_card(run: Run, scores: dict[str, Any]) -> None:
    """The model card, from what was measured."""
    from fewtune.base.files import write_atomic

    code = run.method.code(run.facts["about"])
    card = model_card(run.folder.plan, run.folder.data, scores, code)
    path = Path(run.folder.model) / "README.md"
    with writing(path):
        write_atomic(path, card)


def peak_memory() -> int:
    """Most bytes this process held at once: on the GPU where it used one, else resident."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return int(torch.cuda.max_memory_allocated())
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
