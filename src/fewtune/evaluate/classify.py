"""The scores of a classifier: a block with intervals, the classes one by one, the gain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fewtune.base.errors import UsageError, one_of
from fewtune.evaluate.intervals import Interval, bootstrap, intervals
from fewtune.evaluate.metrics import METRICS, Outcome, outcome, tally
from fewtune.evaluate.options import EvaluateOptions
from fewtune.evaluate.paired import Comparison, against_best, compare_bootstraps, compare_right
from fewtune.evaluate.units import Units
from fewtune.tasks.classify import rarer

UNSEEN_LABEL = "(not among the training labels)"


def score(
    truth: ArrayLike,
    probabilities: ArrayLike,
    labels: Sequence[str],
    options: EvaluateOptions | None = None,
    seed: int = 0,
    units: Units | None = None,
) -> dict[str, Interval]:
    """A block of scores, each with its 95 % interval.

    Args:
        truth: (n,) class numbers; -1 for a label the training rows do not have (always wrong).
        probabilities: (n, K).
        labels: the K classes' names.
        options: resamples, the positive class.
        seed: of the resamples.
        units: of the rows.

    Returns:
        metric -> {"value", "low", "high"}; undefined metrics are absent, positive_* unless K = 2.

    Raises:
        FewtuneError: no rows, or probabilities that are not numbers.
        UsageError: the positive class is not one of two.
    """
    options = options or EvaluateOptions()
    positive = positive_class(truth, labels, options.positive)
    one = outcome(truth, probabilities, positive, units=units)
    if one.classes != len(labels):
        raise ValueError(f"{one.classes} columns of probabilities for {len(labels)} labels")
    return intervals(one, options.bootstrap, seed)


def positive_class(truth: ArrayLike, labels: Sequence[str], wanted: str | None) -> int | None:
    """The class that positive_f1, _precision and _recall are about; None unless there are two.

    It is the wanted one, else the rarer in `truth`, the second of equals. Ask with the training
    rows' truth before anything is trained, and pass the answer on as `wanted`: test rows may be
    balanced otherwise.

    >>> positive_class([0, 0, 1], ["ok", "faulty"], None)
    1

    Raises:
        UsageError: `wanted` is not a label, or there are not two.
    """
    if wanted is not None and wanted not in labels:
        raise UsageError(one_of("positive", wanted, labels))
    if len(labels) != 2:
        if wanted is None:
            return None
        raise UsageError(
            f"positive: names one of two classes, and this data has {len(labels)}; leave it out."
        )
    if wanted is not None:
        return list(labels).index(wanted)
    return list(labels).index(rarer(np.asarray(truth, dtype=np.int64), labels))


def per_class(
    truth: ArrayLike, probabilities: ArrayLike, labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Precision, recall, F1 and number of true rows of every class, in the labels' order.

    Rows whose label the training rows do not have stand together on a last line.
    """
    counts = tally(outcome(truth, probabilities))
    hits, true, predicted = counts.hits[0], counts.truth[0], counts.predicted[0]
    names = _named(labels, bool(true[-1]))
    return [class_line(*one) for one in zip(names, hits, predicted, true, strict=False)]


def class_line(label: str, hits: float, said: float, true: float) -> dict[str, Any]:
    """A class by its right, said and true rows; None where there are none to be a share of.

    >>> class_line("leak", 0, 0, 0)
    {'label': 'leak', 'precision': None, 'recall': None, 'f1': None, 'rows': 0}
    """
    shares = {"precision": (hits, said), "recall": (hits, true), "f1": (2 * hits, said + true)}
    found = {
        name: float(above / below) if below else None for name, (above, below) in shares.items()
    }
    return {"label": label, **found, "rows": int(true)}


def confusion(truth: ArrayLike, probabilities: ArrayLike, labels: Sequence[str]) -> dict[str, Any]:
    """Which class is taken for which: matrix[i][j] rows of label i were called label j.

    Rows whose label the training rows do not have form a last line; nothing is called that.
    """
    one = outcome(truth, probabilities)
    names = _named(labels, bool((one.truth == one.classes).any()))
    size = len(names)
    cells = np.bincount(one.truth * size + one.predicted, minlength=size * size)
    return {"labels": names, "matrix": cells.reshape(size, size).tolist()}


def _named(labels: Sequence[str], unseen: bool) -> list[str]:
    return [*labels, UNSEEN_LABEL] if unseen else list(labels)


def gain(
    model_probabilities: ArrayLike,
    baselines: Mapping[str, ArrayLike],
    truth: ArrayLike,
    own_method: str,
    primary: str = "accuracy",
    *,
    positive: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
    units: Units | None = None,
) -> dict[str, Any]:
    """How much better a model is than each baseline, and than the best of them.

    The best baseline is chosen on the same rows it is compared on, which flatters it and never the
    model. The p values are Holm-corrected for the number of baselines.

    Args:
        model_probabilities: (n, K).
        baselines: name -> (n, K), cheapest first (of equally good ones the first is the best).
        truth: (n,) class numbers, -1 for a label the training rows do not have.
        own_method: the model's method; a baseline of that name is the model itself, left out.
        primary: the metric that decides, a key of METRICS.
        positive: the class that a primary metric positive_* is about.
        resamples: bootstrap samples and permutations.
        seed: of both.
        units: of the rows.

    Returns:
        {"over", "value", "low", "high", "p", "detectable", "all"}: the comparison with the best
        baseline, and in "all" with each by name. Positive values mean that the model is better,
        for losses too. Empty when there is nothing to compare with.
    """
    if primary not in METRICS:
        raise UsageError(one_of("primary", primary, METRICS))
    others = {
        name: outcome(truth, chances, positive, units=units)
        for name, chances in baselines.items()
        if name != own_method
    }
    model = outcome(truth, model_probabilities, positive, units=units)
    return against_best(_compared(model, others, primary, resamples, seed))


def _compared(
    model: Outcome, others: Mapping[str, Outcome], primary: str, count: int, seed: int
) -> dict[str, Comparison]:
    if primary == "accuracy":
        return {
            name: compare_right(model.right, other.right, units=model.units, seed=seed)
            for name, other in others.items()
        }
    ours = bootstrap(model, count, seed)
    compared = {
        name: compare_bootstraps(ours, bootstrap(other, count, seed), primary, seed)
        for name, other in others.items()
    }
    return {name: one for name, one in compared.items() if one}
