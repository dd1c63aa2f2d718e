"""How the answers of a task that answers with labels are scored: one entry a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fewtune.base.errors import UsageError
from fewtune.data.row import Row
from fewtune.evaluate import classify, multilabel
from fewtune.evaluate.answers import Sums, shares
from fewtune.evaluate.options import EvaluateOptions
from fewtune.evaluate.units import Units
from fewtune.pipeline.parted import units_of_rows
from fewtune.tasks.labelled import Answered, Labelled

#: `test`, `baselines`, `gain`, `per_class`, and what else the task tells of its errors.
Judged = dict[str, Any]


def judged(
    task: Labelled,
    rows: Sequence[Row],
    model: Answered,
    baselines: Mapping[str, Answered],
    own_method: str,
    options: EvaluateOptions,
    seed: int,
) -> Judged:
    """Score what a model answered to labelled rows, beside what the baselines answered.

    Args:
        own_method: the model's method; a baseline of that name is the model itself.
        options: resamples, and of two classes the positive one.
        seed: of the resamples.

    Raises:
        UsageError: a positive class where there is none.
    """
    judge, units = JUDGES[task.name].judged, units_of_rows(rows)
    return judge(task, task.truth(rows), model, baselines, own_method, options, seed, units)


def sums_of(task: Labelled, targets: np.ndarray, answered: Answered) -> Sums:
    """The metric that decides, of some rows, as sums that can be resampled.

    Args:
        targets: of the rows, as the task has them.
    """
    return JUDGES[task.name].sums(task, targets, answered)


def _one_label(
    task: Labelled,
    truth: np.ndarray,
    model: Answered,
    baselines: Mapping[str, Answered],
    own_method: str,
    options: EvaluateOptions,
    seed: int,
    units: Units | None,
) -> Judged:
    labels, found = task.labels, model.probabilities
    others = {name: one.probabilities for name, one in baselines.items()}
    return {
        "test": classify.score(truth, found, labels, options, seed, units),
        "baselines": {
            name: classify.score(truth, one, labels, options, seed, units)
            for name, one in others.items()
        },
        "gain": classify.gain(
            found,
            others,
            truth,
            own_method,
            task.primary,
            resamples=options.bootstrap,
            seed=seed,
            units=units,
        ),
        "per_class": classify.per_class(truth, found, labels),
        "confusion": classify.confusion(truth, found, labels),
    }


def _several_labels(
    task: Labelled,
    truth: np.ndarray,
    model: Answered,
    baselines: Mapping[str, Answered],
    own_method: str,
    options: EvaluateOptions,
    seed: int,
    units: Units | None,
) -> Judged:
    if options.positive is not None:
        raise UsageError("positive: names one of two classes, and these rows have several labels.")
    found = multilabel.tags(truth, model.chosen, model.probabilities, units)
    others = {
        name: multilabel.tags(truth, one.chosen, one.probabilities, units)
        for name, one in baselines.items()
    }
    return {
        "test": multilabel.score(found, options, seed),
        "baselines": {name: multilabel.score(one, options, seed) for name, one in others.items()},
        "gain": multilabel.gain(
            found, others, own_method, task.primary, resamples=options.bootstrap, seed=seed
        ),
        "per_class": multilabel.per_class(found, task.labels),
    }


def _right(task: Labelled, targets: np.ndarray, answered: Answered) -> Sums:
    return shares(task.choice.right(answered.probabilities, targets))


def _tagged(task: Labelled, targets: np.ndarray, answered: Answered) -> Sums:
    found = multilabel.tags(targets > 0, answered.chosen, answered.probabilities)
    return multilabel.boiled(found)[task.primary]


@dataclass(frozen=True)
class Judging:
    """How a task's answers are scored: all that is told of them, and the metric that decides."""

    judged: Callable[..., Judged]
    sums: Callable[[Labelled, np.ndarray, Answered], Sums]


JUDGES = {
    "classify": Judging(_one_label, _right),
    "multilabel": Judging(_several_labels, _tagged),
}
