"""The scores of generated text: a block with intervals, the gain over baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from fewtune.base.errors import FewtuneError, UsageError, one_of
from fewtune.evaluate.answers import Sums
from fewtune.evaluate.intervals import FEW, Interval, bca, plus_four, wilson, within
from fewtune.evaluate.options import EvaluateOptions
from fewtune.evaluate.paired import Comparison, against_best, compare_right, compare_sums

OF_TOKENS = ("loss", "token_accuracy")  # comparable under one tokenizer only


def score(
    system: Mapping[str, Sums], options: EvaluateOptions | None = None, seed: int = 0
) -> dict[str, Interval]:
    """A block of scores, each with its 95 % interval.

    Yes-or-no metrics have Wilson's interval; the others BCa's over rows, rates never a surer one
    than `plus_four`. Fewer than 5 rows say nothing of those: theirs is the metric's range.

    Args:
        system: from `answers.boiled`.
        options: resamples.
        seed: of the resamples.

    Returns:
        metric -> {"value", "low", "high"}; undefined metrics are absent. `perplexity` is that of
        the loss and its ends.
    """
    count = (options or EvaluateOptions()).bootstrap
    found: dict[str, Interval] = {}
    for name, one in system.items():
        interval = _interval(one, count, seed)
        if interval is not None:
            found[name] = interval
        if name == "loss" and interval is not None:
            found["perplexity"] = {key: _exp(end) for key, end in interval.items()}
    return found


def _exp(loss: float) -> float:
    return float(np.exp(min(loss, 700.0)))  # the largest that a float holds


def _interval(one: Sums, count: int, seed: int) -> Interval | None:
    if one.units:  # of rows that do not count nothing is known
        units = one.units.take(one.counted)
        one = replace(one, rows=one.rows[one.counted], units=units)
    behind, draws = int(one.counted.sum()), one.draws(count, seed)
    if np.isnan(draws.value):
        return None
    if one.yes_or_no:
        return _told(draws.value, wilson(draws.value, draws.worth.rows(behind)))
    if behind < FEW:
        each = one.each[one.counted]
        return _told(draws.value, one.range or (float(each.min()), float(each.max())))
    low, high = bca(draws)
    if one.bounded and one.range:
        floor, ceiling = plus_four(draws, behind, one.range)
        low, high = min(low, floor), max(high, ceiling)
    floor, ceiling = one.range or (-np.inf, np.inf)
    return _told(draws.value, within((low, high), floor, ceiling if one.bounded else np.inf))


def _told(value: float, ends: tuple[float, float]) -> Interval:
    return {"value": value, "low": min(ends[0], value), "high": max(ends[1], value)}


def gain(
    model: Mapping[str, Sums],
    baselines: Mapping[str, Mapping[str, Sums]],
    own_method: str,
    primary: str = "loss",
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """How much better a model is than each baseline, and than the best of them.

    As `classify.gain`: paired, row by row, Holm-corrected for the number of baselines.

    Args:
        model: from `boiled`.
        baselines: name -> from `boiled`, the same rows, cheapest first; one without the primary
            metric is left out.
        own_method: the model's method; a baseline of that name is the model itself, left out.
        primary: the metric that decides; not `perplexity`, which is a loss, nor `length_ratio`.
        resamples: bootstrap samples and permutations.
        seed: of both.

    Returns:
        {"over", "value", "low", "high", "p", "detectable", "all"}, values in the metric's own unit,
        positive = the model is better, for losses too. Empty when there is nothing to compare with.

    Raises:
        UsageError: the primary metric is not there or has no better and worse.
        FewtuneError: a metric of tokens under two tokenizers.
        ValueError: a baseline of other rows.
    """
    deciding = [name for name, one in model.items() if one.higher_is_better is not None]
    if primary not in deciding:
        raise UsageError(one_of("primary", primary, deciding))
    compared = partial(_compared, model[primary], primary=primary, count=resamples, seed=seed)
    found = {
        name: compared(other[primary], name=name)
        for name, other in baselines.items()
        if name != own_method and primary in other
    }
    return against_best({name: one for name, one in found.items() if one})


def _compared(
    ours: Sums, theirs: Sums, *, name: str, primary: str, count: int, seed: int
) -> Comparison:
    if len(ours.rows) != len(theirs.rows):
        raise ValueError(f"{name}: a paired comparison needs the same rows in the same order")
    if primary in OF_TOKENS and not np.array_equal(ours.rows[:, 1], theirs.rows[:, 1]):
        raise FewtuneError(
            f"{name} cuts the references into other tokens than the model, so their {primary} "
            "cannot be compared; compare runs of one base model, or read exact_match and ROUGE-L."
        )
    if ours.yes_or_no:
        counted = ours.counted
        units = ours.units.take(counted) if ours.units else None
        return compare_right(ours.rows[counted, 0], theirs.rows[counted, 0], units, seed)
    if ours.range:
        width = ours.range[1] - ours.range[0]
    else:
        both = np.concatenate([ours.each, theirs.each])
        width = float(np.ptp(both))
    return compare_sums(
        ours.rows,
        theirs.rows,
        ours.function,
        width,
        higher_is_better=bool(ours.higher_is_better),
        behind=float(len(ours.rows)) if ours.bounded else None,
        count=count,
        seed=seed,
        units=ours.units,
    )
