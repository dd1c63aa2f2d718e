"""Two systems on the same rows: the difference, its interval, its p value, what could be seen.

Accuracy has closed forms, which also hold when the systems hardly differ: McNemar's test, the
interval of Bonett and Price. Every other metric is resampled: BCa bootstrap over rows for the
interval, swapping the two systems' answers row by row for the p value. Where rows come in groups
(`units`), groups are drawn and swapped whole, and nothing is surer than by rows.

A difference is always **how much the first system is better**: for log_loss and ece, the baseline's
loss minus the model's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fewtune.evaluate.answers import ratio
from fewtune.evaluate.intervals import (
    CHUNK,
    FEW,
    NORMAL,
    Bootstrap,
    Draws,
    Z,
    bca,
    sum_draws,
)
from fewtune.evaluate.metrics import METRICS, Floats, Metric, Outcome, effective_rows, tally
from fewtune.evaluate.units import Units

POWER = 0.8
REACH = Z + NORMAL.inv_cdf(POWER)  # 2.80 standard errors: seen at the 5 % level 4 times in 5

Comparison = dict[str, float]  # value, low, high, p, detectable


def compare_bootstraps(
    model: Bootstrap, baseline: Bootstrap, primary: str, seed: int = 0
) -> Comparison:
    """Compare two systems by any metric of classes.

    Args:
        model: of n rows, resampled.
        baseline: of the same n rows, resampled with the same seed.
        primary: a key of METRICS.
        seed: of the swaps.

    Returns:
        value (positive = the model is better), low, high (95 %), p (two-sided, uncorrected) and
        detectable (the smallest difference these rows could show at 80 % power). Empty where the
        metric is undefined.
    """
    metric, one = METRICS[primary], model.outcome
    draws = model.draws(metric) - baseline.draws(metric)
    if np.isnan(draws.value):
        return {}
    draws = draws.by(1.0 if metric.higher_is_better else -1.0)
    p = swap_p(one, baseline.outcome, metric, len(draws.drawn), seed)
    width = metric.range[1] - metric.range[0]
    both = (one, baseline.outcome)
    behind = min(effective_rows(metric, k) for k in both) if metric.bounded else None
    return _told(draws, p, len(one), behind, width)


def _told(draws: Draws, p: float, rows: int, behind: float | None, width: float) -> Comparison:
    """A comparison from draws; `behind` = rows behind a bounded number, None for a loss."""
    seen, worth = draws.drawn[~np.isnan(draws.drawn)], draws.worth
    low, high = bca(draws) if rows >= FEW else (-width, width)
    detectable = REACH * worth.factor * float(seen.std()) if len(seen) else width
    if behind is not None:  # systems that never differed here may still differ elsewhere
        behind = worth.rows(behind)
        least = Z * sqrt(2) / (behind + 2)
        low, high = min(low, draws.value - least), max(high, draws.value + least)
        detectable = min(max(detectable, REACH**2 / behind), width)
    return {
        "value": draws.value + 0.0,  # turns -0.0 into 0.0
        "low": max(min(low, draws.value), -width) + 0.0,
        "high": min(max(high, draws.value), width) + 0.0,
        "p": p,
        "detectable": detectable,
    }


def compare_right(
    model: ArrayLike,
    baseline: ArrayLike,
    units: Units | None = None,
    seed: int = 0,
    count: int = 1000,
) -> Comparison:
    """Compare two systems by which rows each has right.

    Args:
        model: (n,) true where the model is right.
        baseline: (n,) the same rows.
        units: of the rows; with such, p is never below that of swapping whole groups.
        seed: of drawing and swapping groups.
        count: of both; the smallest p of groups is 1 / (count + 1).

    >>> found = compare_right([1] * 90 + [0] * 10, [1] * 80 + [0] * 20)
    >>> [round(found[key], 3) for key in ("value", "low", "high", "p", "detectable")]
    [0.1, 0.034, 0.162, 0.001, 0.089]
    """
    ours, theirs = np.asarray(model, dtype=bool), np.asarray(baseline, dtype=bool)
    rows = len(ours)
    won, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    p, behind, value = mcnemar(won, lost), float(rows), (won - lost) / rows
    if units is not None:
        apart = np.subtract(ours, theirs, dtype=np.float64)
        even = np.stack([apart, np.ones(rows)], axis=1)
        p = max(p, mean_swap_p(apart, count=count, units=units, seed=seed))
        behind = sum_draws(even, ratio, count, seed, units).worth.rows(rows)
    share = behind / rows
    low, high = bonett_price(won * share, lost * share, behind)
    return {
        "value": value,
        "low": min(low, value),
        "high": max(high, value),
        "p": p,
        "detectable": detectable((won + lost) / rows, behind),
    }


def mcnemar(won: int, lost: int) -> float:
    """Mid-p McNemar test of the rows on which exactly one of two systems is right.

    The exact binomial test is too cautious (its level is 2 to 3 % instead of 5 % with few such
    rows) and the chi-squared one too bold; the mid-p holds 5 % (Fagerland et al. 2013,
    doi:10.1186/1471-2288-13-91). McNemar, Psychometrika 12, 1947.

    Args:
        won: rows only the first has right.
        lost: rows only the second has right.

    >>> round(mcnemar(10, 2), 4), mcnemar(0, 0), mcnemar(4, 4)
    (0.0225, 1.0, 1.0)
    >>> mcnemar(2000, 0) > 0  # and not below what a number can say
    True
    """
    from scipy.stats import binom

    if won == lost:
        return 1.0
    fewer, total = min(won, lost), won + lost
    p = 2 * binom.cdf(fewer, total, 0.5) - binom.pmf(fewer, total, 0.5)
    return max(float(p), sys.float_info.min)


def bonett_price(won: float, lost: float, rows: float) -> tuple[float, float]:
    """The 95 % interval of the difference of two paired shares (Bonett and Price 2012).

    Wald's interval after one row is added to each kind of disagreement
    (doi:10.3102/1076998611411915). The bootstrap gives [0, 0] to systems that never disagreed on
    50 rows; this gives -5.3 to 5.3 points.

    >>> [round(end, 3) for end in bonett_price(0, 0, 50)]
    [-0.053, 0.053]
    """
    first, second = (won + 1) / (rows + 2), (lost + 1) / (rows + 2)
    middle = first - second
    half = Z * sqrt((first + second - middle**2) / (rows + 2))
    return max(middle - half, -1.0), min(middle + half, 1.0)


def detectable(discordant: float, rows: float) -> float:
    """The smallest difference of accuracy that a paired test shows at 80 % power, 5 % level.

    2.80 standard errors, sqrt(discordant / rows) each (Miettinen, Biometrics 24, 1968). Where the
    systems seldom disagree the difference itself is what makes them disagree, so it is at least
    7.85 / rows: eight rows, all in one direction.

    Args:
        discordant: share of rows on which exactly one system is right, 0..1.
        rows: test rows.

    >>> [round(100 * detectable(0.1, n), 1) for n in (100, 200, 500, 1000, 3080)]
    [8.9, 6.3, 4.0, 2.8, 1.6]
    """
    return min(max(REACH * sqrt(discordant / rows), REACH**2 / rows), 1.0)


def swap_p(
    model: Outcome, baseline: Outcome, metric: Metric, count: int = 1000, seed: int = 0
) -> float:
    """Two-sided permutation p: how often swapping answers at random makes as large a difference.

    Where rows have units, never below that of swapping the answers of whole units.

    If the systems are equally good, which of the two gave which answer to a row is a coin's toss
    (Noreen 1989; Dror et al. 2018 recommend it for F1). Tallies add up, so the metric of a swapped
    system is that of a sum of two. The smallest p is 1 / (count + 1); on metrics of few values it
    is as cautious as the exact binomial test, not as the mid-p.
    """
    seen = metric.of(model) - metric.of(baseline)

    def beyond(kept: Floats) -> int:
        first = tally(model, kept) + tally(baseline, 1 - kept)
        second = tally(model, 1 - kept) + tally(baseline, kept)
        apart = np.abs(metric.function(first) - metric.function(second))
        return int((apart >= abs(seen) - 1e-12).sum())

    return _swapped(beyond, len(model), model.units, count, seed)


def _swapped(
    beyond: Callable[[Floats], int],
    rows: int,
    units: Units | None,
    count: int,
    seed: int,
    enough: float = inf,
) -> float:
    """The p value of swaps, of rows and, where these have units, of units: the larger.

    Args:
        beyond: (R, rows) of 0 and 1, which rows are swapped -> how many of the R make as large a
            difference as was seen.
        enough: stop when so many did.
    """
    largest = 0.0
    for swapped in (None, units) if units else (None,):
        found = tossed = 0
        for coins in _coins(rows, count, seed, swapped):
            found, tossed = found + beyond(coins), tossed + len(coins)
            if found >= enough:
                break
        largest = max(largest, (found + 1) / (tossed + 1))
    return largest


def _coins(rows: int, count: int, seed: int, units: Units | None = None) -> Iterator[Floats]:
    """`count` tosses for every row, or for every unit, in chunks: (chunk, rows) of 0 and 1."""
    random = np.random.default_rng([seed, 1])
    size, of = max(CHUNK // rows, 1), units.count if units else rows
    for done in range(0, count, size):
        tossed = random.integers(0, 2, (min(size, count - done), of)).astype(float)
        yield tossed[:, units.of] if units else tossed


def compare_means(
    model: ArrayLike,
    baseline: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    higher_is_better: bool = True,
    share: bool = False,
    count: int = 1000,
    seed: int = 0,
    units: Units | None = None,
) -> Comparison:
    """Compare two systems by per-row scores (exact match, ROUGE, loss, reciprocal rank).

    Args:
        model: (n,) scores or losses.
        baseline: (n,) those of the same rows.
        weights: (n,) how much each row counts; default equally.
        higher_is_better: False for losses.
        share: the scores lie in 0..1.
        count: resamples, and swaps.
        seed: of both.
        units: of the rows.

    Returns:
        As `compare_bootstraps`; empty without rows.
    """
    sign = 1.0 if higher_is_better else -1.0
    apart = sign * (np.asarray(model, dtype=np.float64) - np.asarray(baseline, dtype=np.float64))
    if not len(apart):
        return {}
    heavy = np.ones_like(apart) if weights is None else np.asarray(weights, dtype=np.float64)
    draws = sum_draws(np.stack([apart * heavy, heavy], axis=1), ratio, count, seed, units)
    if np.isnan(draws.value):
        return {}
    p = mean_swap_p(apart, weights, count=count, seed=seed, units=units)
    width = 1.0 if share else float(np.abs(apart).max())
    return _told(draws, p, len(apart), float(len(apart)) if share else None, width)


def mean_swap_p(
    apart: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    count: int = 1000,
    enough: float = inf,
    seed: int = 0,
    units: Units | None = None,
) -> float:
    """Two-sided permutation p of a mean difference, as `swap_p`.

    Args:
        apart: (n,) the differences of the same rows.
        weights: (n,) how much each counts; default equally.
        count: swaps at most.
        enough: stop when so many were as large: the rest would not make p small (Besag and
            Clifford 1991, doi:10.1093/biomet/78.2.301).
        seed: of the swaps.
        units: of the rows.
    """
    found = np.asarray(apart, dtype=np.float64)
    heavy = np.ones_like(found) if weights is None else np.asarray(weights, dtype=np.float64)
    shares = found * heavy / heavy.sum()

    def beyond(coins: Floats) -> int:
        return int((np.abs((2 * coins - 1) @ shares) >= abs(shares.sum()) - 1e-12).sum())

    return _swapped(beyond, len(found), units, count, seed, enough)


def compare_sums(
    model: Floats,
    baseline: Floats,
    function: Callable[[Floats], Floats],
    width: float,
    *,
    higher_is_better: bool = True,
    behind: float | None = None,
    count: int = 1000,
    seed: int = 0,
    units: Units | None = None,
) -> Comparison:
    """Compare two systems by a number of sums over rows (BLEU, chrF, a loss per token).

    Args:
        model: (n, k) what every row adds to k sums.
        baseline: (n, k) those of the same rows.
        function: (R, k) sums -> (R,) the number.
        width: the largest difference there can be.
        higher_is_better: False for losses.
        behind: how many rows stand behind a number with two ends that are `width` apart; None for
            a loss, which has one.
        count: resamples, and swaps.
        seed: of both.
        units: of the rows.

    Returns:
        As `compare_bootstraps`; empty where the number is undefined.
    """
    ours, theirs = (sum_draws(one, function, count, seed, units) for one in (model, baseline))
    draws = ours - theirs
    if np.isnan(draws.value):
        return {}

    def beyond(kept: Floats) -> int:
        first = function(kept @ model + (1 - kept) @ baseline)
        second = function((1 - kept) @ model + kept @ baseline)
        return int((np.abs(first - second) >= abs(draws.value) - 1e-12 * width).sum())

    p = _swapped(beyond, len(model), units, count, seed)
    scale = width if behind is not None and width else 1.0
    part = draws.by((1.0 if higher_is_better else -1.0) / scale)
    # only systems that never differed need the width of a share: values between the ends vary less
    alike = behind if not np.nanstd(draws.drawn) else None
    told = _told(part, p, len(model), alike, width / scale)
    return {key: value if key == "p" else value * scale for key, value in told.items()}


def against_best(found: Mapping[str, Comparison]) -> dict[str, Any]:
    """The comparison with the best baseline, p values Holm-corrected for their number.

    Args:
        found: baseline -> comparison, cheapest first (of equally good ones the first is the best).

    Returns:
        {"over", "value", "low", "high", "p", "detectable", "all"}; empty without baselines.
    """
    if not found:
        return {}
    corrected = holm([one["p"] for one in found.values()])
    told = {name: {**one, "p": p} for (name, one), p in zip(found.items(), corrected, strict=True)}
    best = min(told, key=lambda name: told[name]["value"])  # the smallest lead is over the best
    return {"over": best, **told[best], "all": told}


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for their number (Holm, Scand. J. Statist. 6, 1979).

    The smallest of m is multiplied by m, the next by m - 1, ..., never falling below the one
    before it: the chance of a single false alarm among all m stays below the level.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, highest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted
