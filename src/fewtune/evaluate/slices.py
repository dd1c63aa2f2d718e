"""Where a model is weak: the share that is right in parts of the scored rows.

Parts are the classes, quarters by length, the values of the group column where the user named one,
and those of the columns beside (a station, a brand). Every part is compared with all other rows
(Fisher's exact test, one-sided: is it worse?), and the p values are corrected for the number of
parts (Holm), for the worst of many parts looks bad by chance alone: of 20 parts of 15 rows that are
all right on 85 %, the worst shows 19 points less. The intervals are as wide as lets all of them
hold together in 95 of 100 runs (Bonferroni).

Of models that write, parts are compared by the loss a token of their reference answers: the test
draws as many rows at random, the interval is that of the logarithm of a ratio of sums.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fewtune.evaluate.paired import holm
from fewtune.evaluate.verdict import LEVEL

LEAST = 5  # rows of a part, and outside it; fewer cannot show anything
QUARTERS = 4
MOST_VALUES = 50  # of the group column, for more name rows; of others the most frequent

DRAWS = 5000  # of rows at random, so that p stays small once it is corrected for 50 parts
AT_ONCE = 2**21  # of them, rows times draws

#: `by` (class, length, or the column), `name`, `rows`, `value`, `low`, `high`, `p`, `worse`, and
#: `metric`, where the value is no share that is right.
Slice = dict[str, Any]


def slices(right: np.ndarray, parts: Mapping[str, Mapping[str, np.ndarray]]) -> list[Slice]:
    """The share that is right in every part, the surest weakness first.

    Args:
        right: (n,) whether each row was answered rightly.
        parts: what divides the rows -> name of the part -> (n,) whether a row is in it.

    Returns:
        A line a part with its interval (95 % for all parts together), the Holm-corrected
        `p` of being no worse than the other rows, and `worse`: whether it is beyond chance.
    """
    named = _large_enough(parts, len(right))
    chances = [_worse_by_chance(right, mask) for _, _, mask in named]
    level = LEVEL / max(1, len(named))
    told = [
        {"by": by, "name": name, **_share(right[mask], level), "p": p, "worse": p < LEVEL}
        for (by, name, mask), p in zip(named, holm(chances), strict=True)
    ]
    return _surest_first(told, chances)


def _surest_first(told: Sequence[Slice], chances: Sequence[float]) -> list[Slice]:
    """By p as it was: corrected for many parts, most are 1, which is no order."""
    return [told[k] for k in sorted(range(len(told)), key=chances.__getitem__)]


def _large_enough(
    parts: Mapping[str, Mapping[str, np.ndarray]], rows: int
) -> list[tuple[str, str, np.ndarray]]:
    return [
        (by, name, mask)
        for by, found in parts.items()
        for name, mask in found.items()
        if LEAST <= mask.sum() <= rows - LEAST
    ]


def slices_of_losses(
    losses: np.ndarray, tokens: np.ndarray, parts: Mapping[str, Mapping[str, np.ndarray]], seed: int
) -> list[Slice]:
    """The loss a token in every part, the surest weakness first.

    Args:
        losses: (n,) nats, summed over a row's tokens.
        tokens: (n,) how many those are.
        parts: as for `slices`.
        seed: of the draws.

    Returns:
        As `slices`; `metric` is `loss`.
    """
    named = _large_enough(parts, len(losses))
    if not named:
        return []
    values = [float(losses[mask].sum() / tokens[mask].sum()) for _, _, mask in named]
    sizes = [int(mask.sum()) for _, _, mask in named]
    chances = _higher_by_chance(losses, tokens, sizes, values, seed)
    level = LEVEL / len(named)
    told = [
        {
            "by": by,
            "name": name,
            **_loss(losses[mask], tokens[mask], level),
            "p": p,
            "worse": p < LEVEL,
            "metric": "loss",
        }
        for (by, name, mask), p in zip(named, holm(chances), strict=True)
    ]
    return _surest_first(told, chances)


def _loss(losses: np.ndarray, tokens: np.ndarray, level: float) -> dict[str, Any]:
    """A loss a token with its interval, on the scale of its logarithm.

    Losses of few rows are skewed: around the loss itself the intervals of 20 parts of 10 rows hold
    together half as often as they say. The delta method: Wolter, Introduction to Variance
    Estimation (2007), section 6.
    """
    value, reach = _ratio(losses, tokens, level)
    wide = float(np.exp(reach / value)) if value else 1.0
    return {"rows": len(losses), "value": value, "low": value / wide, "high": value * wide}


def _ratio(above: np.ndarray, below: np.ndarray, level: float) -> tuple[float, float]:
    """A ratio of sums over rows and the half width of its interval.

    Cochran, Sampling Techniques (1977), eq. (6.13).
    """
    from scipy.stats import t

    rows, value = len(above), float(above.sum() / below.sum())
    spread = np.std(above - value * below, ddof=1) / below.mean()
    return value, float(t.ppf(1 - level / 2, rows - 1) * spread / rows**0.5)


def _higher_by_chance(
    losses: np.ndarray,
    tokens: np.ndarray,
    sizes: Sequence[int],
    values: Sequence[float],
    seed: int,
) -> list[float]:
    """How likely as many rows at random have such a loss or a higher one, for every part.

    The first m rows of a shuffled order are m rows at random, so one order serves all parts.
    """
    random, rows = np.random.default_rng(seed), len(losses)
    ends, needed = np.array(sizes) - 1, np.array(values) - 1e-12
    hits, left = np.zeros(len(sizes)), DRAWS
    while left:
        count = min(left, max(1, AT_ONCE // rows))
        order = random.permuted(np.tile(np.arange(rows), (count, 1)), axis=1)
        sums = losses[order].cumsum(axis=1)[:, ends], tokens[order].cumsum(axis=1)[:, ends]
        hits += (sums[0] / sums[1] >= needed).sum(axis=0)
        left -= count
    return [float(one) for one in (hits + 1) / (DRAWS + 1)]


def _share(right: np.ndarray, level: float) -> dict[str, Any]:
    """A share with its exact interval: so far out Wilson's misses small parts that do well.

    Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404.
    """
    from scipy.stats import beta

    rows, hits = len(right), int(right.sum())
    low = float(beta.ppf(level / 2, hits, rows - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - level / 2, hits + 1, rows - hits)) if hits < rows else 1.0
    return {"rows": rows, "value": hits / rows, "low": low, "high": high}


def _worse_by_chance(right: np.ndarray, mask: np.ndarray) -> float:
    """How likely so few right rows, or fewer, fall into the part if it were like the rest.

    Fisher, The Design of Experiments (1935): the hypergeometric tail.
    """
    from scipy.stats import hypergeom

    hits, rows = int(right.sum()), int(mask.sum())
    return float(hypergeom.cdf(int(right[mask].sum()), len(right), hits, rows))


# ---- the parts


def parts_of(
    labels: Sequence[Sequence[str]],
    texts: Sequence[str],
    groups: Sequence[Any] = (),
    column: str = "group",
    beside: Sequence[Mapping[str, str]] = (),
) -> dict[str, dict[str, np.ndarray]]:
    """The parts of some rows.

    Args:
        labels: of every row the labels that were written; a row may be in several classes. Empty
            where rows have none.
        texts: the rows' texts.
        groups: the group column's values; empty where no column says so.
        column: its name.
        beside: of every row column -> what it says there; a column that divides the rows as
            another one does, such as a label's number, is left out.
    """
    found: dict[str, dict[str, np.ndarray]] = {}
    if labels:
        found["class"] = _by_value([tuple(map(str, one)) for one in labels])
    lengths = _by_length(np.array([len(text) for text in texts]))
    if len(lengths) > 1:
        found["length"] = lengths
    known = [() if one in (None, "") else (str(one),) for one in groups]
    if 1 < len({one for one in known if one}) <= MOST_VALUES:
        found[f"column {column}" if column in found else column] = _by_value(known)
    for name in dict.fromkeys(key for one in beside for key in one):
        said = [one.get(name) for one in beside]
        often = {value for value, _ in Counter(filter(None, said)).most_common(MOST_VALUES)}
        values = _by_value([(one,) if one in often else () for one in said])
        same = (_marks(values) == _marks(one) for one in found.values())
        if len(often) > 1 and not any(same):
            found[f"column {name}" if name in found else name] = values
    return found


def _marks(parts: Mapping[str, np.ndarray]) -> set[bytes]:
    """The same where rows are divided in the same way, whatever the parts are called."""
    return {mask.tobytes() for mask in parts.values()}


def _by_value(values: Sequence[Sequence[str]]) -> dict[str, np.ndarray]:
    names = Counter(one for several in values for one in set(several))
    return {name: np.array([name in several for several in values]) for name in names}


def _by_length(lengths: np.ndarray) -> dict[str, np.ndarray]:
    """Quarters by characters, as the lengths allow: equal ones stay together."""
    inner = np.quantile(lengths, np.arange(1, QUARTERS) / QUARTERS, method="lower").astype(int)
    edges = sorted({*inner.tolist(), int(lengths.max())})
    found, low = {}, int(lengths.min())
    for high in edges:
        mask = (lengths >= low) & (lengths <= high)
        if mask.any():
            name = f"{low} to {high} characters" if low < high else f"{low} characters"
            found[name] = mask
        low = high + 1
    return found
