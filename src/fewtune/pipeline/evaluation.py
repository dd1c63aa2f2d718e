"""Score a saved artefact on another file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from fewtune.base.options import build
from fewtune.data.load import unknown_labels
from fewtune.data.options import DataOptions
from fewtune.data.read import read_rows
from fewtune.evaluate.classify import confusion, per_class, score
from fewtune.evaluate.options import EvaluateOptions
from fewtune.methods.predictor import Predictor
from fewtune.record.options import RunOptions
from fewtune.tasks.classify import Classify


def evaluate_file(
    folder: Path, predictor: Predictor, path: str, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Read, predict, score.

    Raises:
        UsageError: wrong options or columns.
        FewtuneError: no usable rows.
    """
    given = {name: value for name, value in given.items() if value is not None}
    built = build([DataOptions, EvaluateOptions, RunOptions], given)
    data, options, run = (
        cast(DataOptions, built[0]),
        cast(EvaluateOptions, built[1]),
        cast(RunOptions, built[2]),
    )
    table = read_rows(Path(path), Classify.reads, data)
    about = predictor.about
    labels, truth = tuple(about.labels), Classify(tuple(about.labels)).targets(table.rows)
    probabilities = predictor.probabilities([row["text"] for row in table.rows])
    return {
        "run": str(folder),
        "data": path,
        "task": about.task,
        "method": about.method,
        "primary": Classify.primary,
        "rows": table.ledger.counts(),
        "test": score(truth, probabilities, labels, options, run.seed),
        "per_class": per_class(truth, probabilities, labels),
        "confusion": confusion(truth, probabilities, labels),
        "notes": [*table.notes, *unknown_labels(labels, {"test": table.rows})],
    }
