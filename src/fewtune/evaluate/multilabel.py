"""The scores of several labels a row: a block with intervals, the classes one by one, the gain.

Counts and means add up over the rows, so a resample costs a product of matrices. Conventions are
those of `metrics`: a division by nothing is 0, macro means are over the classes that occur in truth
or in predictions, and labels that no training row has form one more class, which nobody predicts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fewtune.base.errors import FewtuneError, UsageError, one_of
from fewtune.evaluate.answers import NATS, Sums, ratio
from fewtune.evaluate.classify import UNSEEN_LABEL, class_line
from fewtune.evaluate.intervals import (
    FEW,
    Draws,
    Interval,
    bca,
    plus_four,
    weighted_draws,
    wilson,
    within,
)
from fewtune.evaluate.metrics import SMALLEST, Floats, rows_behind
from fewtune.evaluate.options import EvaluateOptions
from fewtune.evaluate.paired import Comparison, against_best, compare_right, compare_sums
from fewtune.evaluate.units import Units

MEAN_PRECISION = "mean_average_precision"


@dataclass(frozen=True, eq=False)
class Tags:
    """What one system did on n rows.

    Attributes:
        truth: (n, K + 1) of 0 and 1; the last column counts labels that no training row has.
        chosen: (n, K + 1) of yes and no; the last column is no.
        probabilities: (n, K).
        units: of the rows; None where every row is one.
    """

    truth: np.ndarray
    chosen: np.ndarray
    probabilities: Floats
    units: Units | None = None

    def __len__(self) -> int:
        return len(self.truth)


def tags(
    truth: ArrayLike, chosen: ArrayLike, probabilities: ArrayLike, units: Units | None = None
) -> Tags:
    """The three as they are needed.

    Args:
        truth: (n, K) or (n, K + 1), from `Multilabel.truth`.
        chosen: (n, K) of yes and no.
        probabilities: (n, K).
        units: of the rows.

    Raises:
        FewtuneError: there are no rows, or some probabilities are not numbers.
        ValueError: the shapes do not fit.
    """
    known = np.asarray(truth, dtype=np.int64)
    said = np.asarray(chosen, dtype=bool)
    chances = np.asarray(probabilities, dtype=np.float64)
    if said.shape != chances.shape or known.shape[0] != len(said):
        raise ValueError(f"{known.shape}, {said.shape} and {chances.shape} do not fit")
    if not len(known):
        raise FewtuneError("There are no rows to score; give at least one labelled row.")
    bad = np.flatnonzero(~np.isfinite(chances).all(axis=1))
    if len(bad):
        raise FewtuneError(
            f"The probabilities of {len(bad)} of {len(known)} rows are not numbers (first: row "
            f"{bad[0] + 1}), so there is nothing to score; the weights have probably diverged: "
            "try a smaller learning_rate."
        )
    if known.shape[1] == said.shape[1]:
        known = np.concatenate([known, np.zeros((len(known), 1), dtype=np.int64)], axis=1)
    said = np.concatenate([said, np.zeros((len(said), 1), dtype=bool)], axis=1)
    return Tags(known, said, chances, units)


def boiled(one: Tags) -> dict[str, Sums]:
    """Every metric that is a function of sums over rows, in the order of reports."""
    truth, chosen = one.truth, one.chosen
    hits = np.where(chosen, truth, 0)
    totals = np.stack([part.sum(axis=1) for part in (hits, chosen, truth)], axis=1).astype(float)
    # 3 (K + 1) sums: right, said and true of every class
    by_class = np.concatenate([hits, chosen, truth], axis=1).astype(float)
    known, said = truth[:, :-1] > 0, chosen[:, :-1]
    own = np.where(known, one.probabilities, 1 - one.probabilities).clip(SMALLEST)
    wrong = (known != said).sum(axis=1) + truth[:, -1]
    given, true = chosen.sum(axis=0), truth.sum(axis=0)
    labelled, told = truth.any(axis=1), chosen.any(axis=1)
    found = {
        "micro_f1": Sums(totals, _micro_f1, behind=_count(labelled | told)),
        "macro_f1": Sums(by_class, _macro_f1, behind=_behind((given + true) / 2, len(truth))),
        "samples_f1": _mean(_row_f1(totals)),
        "subset_accuracy": _mean(wrong == 0, yes_or_no=True),
        "hamming_loss": _mean(wrong.clip(max=known.shape[1]) / known.shape[1], falls=True),
        "micro_precision": Sums(totals, partial(_micro, by=1), behind=_count(told)),
        "micro_recall": Sums(totals, partial(_micro, by=2), behind=_count(labelled)),
        "macro_precision": Sums(by_class, partial(_macro, by=1), behind=_behind(given, len(truth))),
        "macro_recall": Sums(by_class, partial(_macro, by=2), behind=_behind(true, len(truth))),
        "log_loss": _mean((-np.log(own)).mean(axis=1), falls=True, range=NATS, bounded=False),
    }
    return {name: replace(sums, units=one.units) for name, sums in found.items()}


def score(one: Tags, options: EvaluateOptions | None = None, seed: int = 0) -> dict[str, Interval]:
    """A block of scores, each with its 95 % interval.

    Subset accuracy has Wilson's interval; the others BCa's over rows, shares never a surer one
    than `plus_four`. Fewer than 5 rows say nothing of those: theirs is the metric's range.

    Returns:
        metric -> {"value", "low", "high"}; mean average precision is absent where no label of the
        training rows occurs.
    """
    count = (options or EvaluateOptions()).bootstrap
    found = {name: _interval(sums, count, seed) for name, sums in boiled(one).items()}
    ranked = precision_draws(one, count, seed)
    if not np.isnan(ranked.value):
        behind = _behind(one.truth[:, :-1].sum(axis=0), len(one))
        found[MEAN_PRECISION] = _bounded(ranked, len(one), behind)
    return found


def _interval(sums: Sums, count: int, seed: int) -> Interval:
    rows, draws = len(sums.rows), sums.draws(count, seed)
    if sums.yes_or_no:
        return _told(draws.value, wilson(draws.value, draws.worth.rows(rows)))
    assert sums.range is not None
    if sums.bounded or rows < FEW:
        return _bounded(draws, rows, sums.behind or rows, sums.range)
    return _told(draws.value, within(bca(draws), sums.range[0]))


def _bounded(
    draws: Draws, rows: int, behind: float, ends: tuple[float, float] = (0.0, 1.0)
) -> Interval:
    if rows < FEW:
        return _told(draws.value, ends)
    low, high = bca(draws)
    floor, ceiling = plus_four(draws, behind, ends)
    return _told(draws.value, within((min(low, floor), max(high, ceiling)), *ends))


def _told(value: float, ends: tuple[float, float]) -> Interval:
    return {"value": value, "low": min(ends[0], value), "high": max(ends[1], value)}


def gain(
    model: Tags,
    baselines: Mapping[str, Tags],
    own_method: str,
    primary: str = "micro_f1",
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """How much better a model is than each baseline, and than the best of them.

    As `classify.gain`: paired, row by row, Holm-corrected for the number of baselines.

    Args:
        model: from `tags`.
        baselines: name -> from `tags`, the same rows, cheapest first.
        own_method: the model's method; a baseline of that name is the model itself, left out.
        primary: the metric that decides, a key of `boiled`.
        resamples: bootstrap samples and permutations.
        seed: of both.
    """
    ours = boiled(model)
    if primary not in ours:
        raise UsageError(one_of("primary", primary, ours))
    compared = {
        name: _compared(ours[primary], boiled(other)[primary], resamples, seed)
        for name, other in baselines.items()
        if name != own_method
    }
    return against_best({name: one for name, one in compared.items() if one})


def _compared(ours: Sums, theirs: Sums, count: int, seed: int) -> Comparison:
    if ours.yes_or_no:
        return compare_right(ours.rows[:, 0], theirs.rows[:, 0], ours.units, seed)
    assert ours.range is not None
    return compare_sums(
        ours.rows,
        theirs.rows,
        ours.function,
        ours.range[1] - ours.range[0],
        higher_is_better=bool(ours.higher_is_better),
        behind=min(one.behind or len(one.rows) for one in (ours, theirs)) if ours.bounded else None,
        count=count,
        seed=seed,
        units=ours.units,
    )


def per_class(one: Tags, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Precision, recall, F1 and number of true rows of every class, in the labels' order.

    Labels that the training rows do not have stand together on a last line.
    """
    hits = np.where(one.chosen, one.truth, 0).sum(axis=0)
    said, true = one.chosen.sum(axis=0), one.truth.sum(axis=0)
    names = [*labels, UNSEEN_LABEL] if true[-1] else list(labels)
    return [class_line(*line) for line in zip(names, hits, said, true, strict=False)]


def precision_draws(one: Tags, count: int = 1000, seed: int = 0) -> Draws:
    """Mean over the classes that occur of the area under precision by recall, with resamples.

    Ranks do not add up over rows, so every resample is ranked: with the rows in the order of a
    class's probabilities that is two cumulative sums.
    """
    occurring = np.flatnonzero(one.truth[:, :-1].any(axis=0)).tolist()
    ranked = [_Ranked.of(one, k) for k in occurring]
    if not ranked:
        return Draws(float("nan"), np.full(count, np.nan), np.full(1, np.nan))

    def mean(weights: Floats) -> Floats:
        each = np.stack([each.average(weights) for each in ranked])  # (classes, R)
        known = ~np.isnan(each)
        empty = np.full(each.shape[1], np.nan)
        total = np.where(known, each, 0.0).sum(axis=0)
        return np.divide(total, known.sum(axis=0), out=empty, where=known.any(axis=0))

    return weighted_draws(mean, len(one), count, seed, one.units)


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Rows by a class's probability, the likeliest first; ties go together."""

    order: np.ndarray
    ones: Floats
    last: np.ndarray  # whether a row is the last of its probability

    @staticmethod
    def of(one: Tags, k: int) -> _Ranked:
        order = np.argsort(-one.probabilities[:, k], kind="stable")
        sure = one.probabilities[order, k]
        last = np.append(sure[1:] < sure[:-1], True)
        return _Ranked(order, (one.truth[order, k] > 0).astype(float), last)

    def average(self, weights: Floats) -> Floats:
        """(R,): precision at every probability, weighted by the ones found there."""
        heavy = weights[:, self.order]
        hits = np.cumsum(heavy * self.ones, axis=1)[:, self.last]
        said = np.cumsum(heavy, axis=1)[:, self.last]
        precision = np.divide(hits, said, out=np.zeros_like(hits), where=said > 0)
        area = (precision * np.diff(hits, axis=1, prepend=0.0)).sum(axis=1)
        ones, empty = hits[:, -1], np.full(len(weights), np.nan)
        return np.divide(area, ones, out=empty, where=ones > 0)


# ---------------------------------------------------------------------------- functions of sums


def _mean(values: ArrayLike, falls: bool = False, **known: Any) -> Sums:
    scores = np.asarray(values, dtype=np.float64)
    rows = np.stack([scores, np.ones_like(scores)], axis=1)
    return Sums(rows, ratio, higher_is_better=not falls, **known)


def _over(above: Floats, below: Floats) -> Floats:
    """Division in which x / 0 is 0."""
    return np.divide(above, below, out=np.zeros_like(above, dtype=float), where=below > 0)


def _micro(sums: Floats, by: int) -> Floats:
    return _over(sums[:, 0], sums[:, by])


def _behind(by_class: Any, rows: int) -> float:
    """Rows behind a mean over classes: at most all, for a wrong row is wrong in many classes."""
    return min(rows_behind(by_class), float(rows))


def _count(rows: Any) -> float:
    return max(float(np.sum(rows)), 1.0)


def _micro_f1(sums: Floats) -> Floats:
    return _over(2 * sums[:, 0], sums[:, 1] + sums[:, 2])


def _row_f1(totals: Floats) -> Floats:
    """F1 of every row; a row without labels that is given none is right."""
    empty = totals[:, 1] + totals[:, 2] == 0
    return np.where(empty, 1.0, _micro_f1(totals))


def _parts(sums: Floats) -> tuple[Floats, Floats, Floats]:
    classes = sums.shape[1] // 3
    return sums[:, :classes], sums[:, classes : 2 * classes], sums[:, 2 * classes :]


def _macro_f1(sums: Floats) -> Floats:
    hits, said, true = _parts(sums)
    return _occurring(_over(2 * hits, said + true), said + true)


def _macro(sums: Floats, by: int) -> Floats:
    parts = _parts(sums)
    return _occurring(_over(parts[0], parts[by]), parts[1] + parts[2])


def _occurring(values: Floats, seen: Floats) -> Floats:
    """The mean over the classes that occur."""
    return _over(np.where(seen > 0, values, 0.0).sum(axis=1), (seen > 0).sum(axis=1).astype(float))
