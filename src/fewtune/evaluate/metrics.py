"""Classification metrics, each one function of counts, for many weightings of the rows at once.

The rows of a test set are boiled down to a `Tally`: weighted counts that add up. A metric maps a
tally of R weightings to R numbers, so the 1,000 resamples behind an interval cost a few array
operations instead of 1,000 calls, and the swaps of a permutation test are sums of two tallies.

Conventions, those of scikit-learn where it has one (the tests compare to 1e-12):

* predicted = the class with the largest probability, the first of equals;
* a division by nothing is 0: the precision of a class never predicted, the recall of one without
  rows, MCC when everything is predicted to be one class;
* macro F1, precision and recall average over the classes that occur in truth or in predictions,
  balanced accuracy over those in truth;
* truth -1 is a label the training rows do not have. Such rows are always wrong and form one more
  class that nobody predicts (recall 0). Log-loss alone leaves them out: it would be infinite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fewtune.base.errors import FewtuneError
from fewtune.evaluate.units import Units

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

UNSEEN = -1  # truth of a row whose label the training rows do not have
BINS = 15  # of the calibration error, as in Guo et al. 2017
SMALLEST = float(np.finfo(np.float64).eps)  # probabilities are clipped here, as in scikit-learn


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one system did on n rows, row by row. K classes; unseen truth is class number K."""

    truth: Ints  # (n,) in 0..K
    predicted: Ints  # (n,) in 0..K-1
    loss: Floats  # (n,) nats; 0 where the truth is unseen
    bin: Ints  # (n,) in 0..BINS-1, by confidence
    gap: Floats  # (n,) confidence minus 1 if right, else minus 0
    classes: int  # K
    positive: int | None  # the class that positive_* are about
    silent: int | None = None  # the "class" of rows that were not answered
    units: Units | None = None  # groups of rows that are alike; None where every row is one

    @property
    def right(self) -> NDArray[np.bool_]:
        """(n,) which rows are right."""
        return self.truth == self.predicted

    def __len__(self) -> int:
        return len(self.truth)


@dataclass(frozen=True, eq=False)
class Tally:
    """Weighted counts for R weightings of the rows; K + 1 classes, the last is "unseen"."""

    hits: Floats  # (R, K + 1) right rows by class
    truth: Floats  # (R, K + 1) rows by true class
    predicted: Floats  # (R, K + 1) rows by predicted class
    loss: Floats  # (R,) sum of -log p(truth), nats
    gaps: Floats  # (R, BINS) sum of (confidence - right) in each bin
    positive: int | None
    silent: int | None = None

    @property
    def rows(self) -> Floats:
        """(R,) rows in each weighting."""
        return self.truth.sum(axis=1)

    def __add__(self, other: Tally) -> Tally:
        sums: Any = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        return replace(self, **sums)


_COUNTS = [field.name for field in fields(Tally) if field.name not in ("positive", "silent")]


def stack(parts: Sequence[Tally]) -> Tally:
    """Tallies of several sets of weightings as one of them all."""
    joined: Any = {k: np.concatenate([getattr(part, k) for part in parts]) for k in _COUNTS}
    return replace(parts[0], **joined)


def outcome(
    truth: ArrayLike,
    probabilities: ArrayLike,
    positive: int | None = None,
    silent: int | None = None,
    units: Units | None = None,
) -> Outcome:
    """Boil truth and probabilities down to what the metrics need.

    Args:
        truth: (n,) class numbers; -1 is a label that the training rows do not have.
        probabilities: (n, K), each row sums to 1.
        positive: the class number that positive_f1, _precision and _recall are about.
        silent: the number that stands for no answer; means over classes leave it out.
        units: of the rows.

    Raises:
        FewtuneError: there are no rows, or some probabilities are not numbers.
        ValueError: the shapes do not fit, or a truth is not a class.
    """
    known = np.asarray(truth, dtype=np.int64)
    chances = np.asarray(probabilities, dtype=np.float64)
    _refuse(known, chances)
    row, classes = np.arange(len(known)), chances.shape[1]
    predicted = chances.argmax(axis=1)
    confidence = chances[row, predicted]
    seen = known != UNSEEN
    of_truth = np.where(seen, chances[row, np.where(seen, known, 0)], 1.0)
    return Outcome(
        truth=np.where(seen, known, classes),
        predicted=predicted,
        loss=-np.log(np.maximum(of_truth, SMALLEST)),
        bin=np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1),
        gap=confidence - (predicted == known),
        classes=classes,
        positive=positive,
        silent=silent,
        units=units,
    )


def _refuse(truth: Ints, probabilities: Floats) -> None:
    if truth.ndim != 1 or probabilities.ndim != 2 or len(truth) != len(probabilities):
        raise ValueError(f"truth {truth.shape} and probabilities {probabilities.shape} do not fit")
    if not len(truth):
        raise FewtuneError("There are no rows to score; give at least one labelled row.")
    if truth.min() < UNSEEN or truth.max() >= probabilities.shape[1]:
        raise ValueError(f"truth must be -1 or a class below {probabilities.shape[1]}")
    bad = np.flatnonzero(~np.isfinite(probabilities).all(axis=1))
    if len(bad):
        raise FewtuneError(
            f"The probabilities of {len(bad)} of {len(truth)} rows are not numbers (first: row "
            f"{bad[0] + 1}), so there is nothing to score; the weights have probably diverged: "
            "try a smaller learning_rate."
        )


def tally(one: Outcome, weights: Floats | None = None) -> Tally:
    """Count the rows of an outcome under each of R weightings.

    Args:
        one: n rows.
        weights: (R, n), how often each row counts; None counts every row once (R = 1).
    """
    if weights is None:
        weights = np.ones((1, len(one)))
    size, right = one.classes + 1, one.right
    return Tally(
        hits=_sums(weights[:, right], one.truth[right], size),
        truth=_sums(weights, one.truth, size),
        predicted=_sums(weights, one.predicted, size),
        loss=weights @ one.loss,
        gaps=_sums(weights * one.gap, one.bin, BINS),
        positive=one.positive,
        silent=one.silent,
    )


def _sums(values: Floats, groups: Ints, size: int) -> Floats:
    """Sums of (R, n) values within the groups of their columns: (R, size).

    Sorted columns and `reduceat` cost R x n whatever the number of groups; a product with a
    one-hot matrix would cost `size` times as much.
    """
    total = np.zeros((len(values), size))
    if len(groups):
        order = np.argsort(groups, kind="stable")
        present, starts = np.unique(groups[order], return_index=True)
        total[:, present] = np.add.reduceat(values[:, order], starts, axis=1)
    return total


def _ratio(above: Floats, below: Floats) -> Floats:
    """Division in which x / 0 is 0."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _mean_over(present: NDArray[np.bool_], values: Floats) -> Floats:
    return _ratio(np.where(present, values, 0.0).sum(axis=1), present.sum(axis=1).astype(float))


def _occurring(t: Tally) -> NDArray[np.bool_]:
    found = t.truth + t.predicted > 0
    if t.silent is not None:
        found[:, t.silent] = False
    return found


def _recalls(t: Tally) -> Floats:
    return _ratio(t.hits, t.truth)


def _precisions(t: Tally) -> Floats:
    return _ratio(t.hits, t.predicted)


def _f1s(t: Tally) -> Floats:
    return _ratio(2 * t.hits, t.truth + t.predicted)


def accuracy(t: Tally) -> Floats:
    """The share of rows that are right."""
    return _ratio(t.hits.sum(axis=1), t.rows)


def balanced_accuracy(t: Tally) -> Floats:
    """Mean recall of the classes that have rows (Brodersen et al. 2010)."""
    return _mean_over(t.truth > 0, _recalls(t))


def macro_f1(t: Tally) -> Floats:
    """Mean F1 of the classes that occur; every class weighs the same."""
    return _mean_over(_occurring(t), _f1s(t))


def weighted_f1(t: Tally) -> Floats:
    """Mean F1 of the classes, weighted by their rows."""
    return _ratio((_f1s(t) * t.truth).sum(axis=1), t.rows)


def macro_precision(t: Tally) -> Floats:
    """Mean precision of the classes that occur."""
    return _mean_over(_occurring(t), _precisions(t))


def macro_recall(t: Tally) -> Floats:
    """Mean recall of the classes that occur; one that is only predicted counts as 0."""
    return _mean_over(_occurring(t), _recalls(t))


def mcc(t: Tally) -> Floats:
    """Matthews' correlation of truth and prediction, for K classes (Gorodkin 2004)."""
    rows = t.rows
    both = t.hits.sum(axis=1) * rows - (t.truth * t.predicted).sum(axis=1)
    spread_true = rows**2 - (t.truth**2).sum(axis=1)
    spread_predicted = rows**2 - (t.predicted**2).sum(axis=1)
    return _ratio(both, np.sqrt(spread_true * spread_predicted))


def log_loss(t: Tally) -> Floats:
    """Mean -log p(truth) in nats over the rows whose label was seen; undefined without any."""
    seen = t.truth[:, :-1].sum(axis=1)
    return np.where(seen > 0, _ratio(t.loss, seen), np.nan)


def ece(t: Tally) -> Floats:
    """Expected calibration error: the mean distance of confidence from accuracy.

    15 bins of equal width over the confidence of the predicted class (Naeini 2015; Guo et al.
    2017, arXiv:1706.04599, eq. 3). Equal width, because a row's bin then does not depend on the
    other rows and a resample is scored exactly.
    """
    return _ratio(np.abs(t.gaps).sum(axis=1), t.rows)


def positive_f1(t: Tally) -> Floats:
    """F1 of the positive class."""
    return _of_positive(t, _f1s(t))


def positive_precision(t: Tally) -> Floats:
    """The share of right ones among the rows called positive."""
    return _of_positive(t, _precisions(t))


def positive_recall(t: Tally) -> Floats:
    """The share of positive rows that were found."""
    return _of_positive(t, _recalls(t))


def _of_positive(t: Tally, values: Floats) -> Floats:
    if t.positive is None:
        return np.full(len(values), np.nan)
    return values[:, t.positive]


@dataclass(frozen=True)
class Metric:
    """A metric and what an interval and a comparison need to know of it.

    Attributes:
        function: a tally of R weightings -> (R,); NaN where undefined.
        range: its smallest and its largest value.
        higher_is_better: False for losses.
        weighs: "rows" if every row weighs the same, "classes" if every class does, "positive" if
            only the positive class counts.
        over: the rows of a class that its part is a share of: its "true" ones, those "said" to be
            it, or "both". With `weighs` it tells how many rows really stand behind the number.
    """

    function: Callable[[Tally], Floats]
    range: tuple[float, float] = (0.0, 1.0)
    higher_is_better: bool = True
    weighs: str = "rows"
    over: str = "true"

    @property
    def bounded(self) -> bool:
        """A share or a correlation, not a loss."""
        return self.range[1] <= 1

    def of(self, one: Outcome) -> float:
        """The value on the rows as they are; NaN where undefined."""
        return float(self.function(tally(one))[0])


METRICS: dict[str, Metric] = {
    "accuracy": Metric(accuracy),
    "balanced_accuracy": Metric(balanced_accuracy, weighs="classes"),
    "macro_f1": Metric(macro_f1, weighs="classes", over="both"),
    "weighted_f1": Metric(weighted_f1),
    "macro_precision": Metric(macro_precision, weighs="classes", over="said"),
    "macro_recall": Metric(macro_recall, weighs="classes"),
    "mcc": Metric(mcc, range=(-1.0, 1.0)),
    "log_loss": Metric(log_loss, range=(0.0, float(-np.log(SMALLEST))), higher_is_better=False),
    "ece": Metric(ece, higher_is_better=False),
    "positive_f1": Metric(positive_f1, weighs="positive", over="both"),
    "positive_precision": Metric(positive_precision, weighs="positive", over="said"),
    "positive_recall": Metric(positive_recall, weighs="positive"),
}


def effective_rows(metric: Metric, one: Outcome) -> float:
    """How many rows stand behind a metric.

    >>> one = outcome([0] * 990 + [1] * 10, np.tile([0.6, 0.4], (1000, 1)))
    >>> round(effective_rows(METRICS["macro_recall"], one), 1)
    39.6
    """
    if metric.weighs == "rows":
        return float(len(one))
    true, said = (np.bincount(k, minlength=one.classes + 1) for k in (one.truth, one.predicted))
    by_class = {"true": true, "said": said, "both": (true + said) / 2}[metric.over]
    if metric.weighs == "classes":
        return rows_behind(by_class if one.silent is None else np.delete(by_class, one.silent))
    return max(float(by_class[one.positive]), 1.0) if one.positive is not None else float(len(one))


def rows_behind(by_class: ArrayLike) -> float:
    """How many rows stand behind a mean over classes.

    Of K classes of n_k rows it has the variance of K^2 / sum(1 / n_k) rows: with 990 and 10 rows
    that is 40, not 1,000.

    >>> round(rows_behind([990, 10, 0]), 1)
    39.6
    """
    known = np.asarray(by_class, dtype=np.float64)
    known = known[known > 0]
    return float(len(known) ** 2 / (1 / known).sum()) if len(known) else 1.0
