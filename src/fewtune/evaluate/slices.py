"""Where a model is weak: the share that is right in parts of the scored rows.

Parts are the classes, quarters by length, and the values of the group column where the user named
one. Every part is compared with all other rows (Fisher's exact test, one-sided: is it worse?), and
the p values are corrected for the number of parts (Holm), for the worst of many parts looks bad by
chance alone: of 20 parts of 15 rows that are all right on 85 %, the worst shows 19 points less. The
intervals are as wide as lets all of them hold together in 95 of 100 runs (Bonferroni).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from fewtune.evaluate.intervals import wilson
from fewtune.evaluate.paired import holm

LEAST = 5  # rows of a part, and outside it; fewer cannot show anything
QUARTERS = 4
MOST_VALUES = 50  # of the group column; a column with more names rows, not groups
LEVEL = 0.05

#: `by` (class, length, or the column), `name`, `rows`, `value`, `low`, `high`, `p`, `worse`.
Slice = dict[str, Any]


def slices(right: np.ndarray, parts: Mapping[str, Mapping[str, np.ndarray]]) -> list[Slice]:
    """The share that is right in every part, the surest weakness first.

    Args:
        right: (n,) whether each row was answered rightly.
        parts: what divides the rows -> name of the part -> (n,) whether a row is in it.

    Returns:
        A line a part with its interval (Wilson, 95 % for all parts together), the Holm-corrected
        `p` of being no worse than the other rows, and `worse`: whether it is beyond chance.
    """
    named = [
        (by, name, mask)
        for by, found in parts.items()
        for name, mask in found.items()
        if LEAST <= mask.sum() <= len(right) - LEAST
    ]
    adjusted = holm([_worse_by_chance(right, mask) for _, _, mask in named])
    z = NormalDist().inv_cdf(1 - LEVEL / 2 / max(1, len(named)))
    told = [
        {"by": by, "name": name, **_share(right[mask], z), "p": p, "worse": p < LEVEL}
        for (by, name, mask), p in zip(named, adjusted, strict=True)
    ]
    return sorted(told, key=lambda one: (one["p"], one["value"]))


def _share(right: np.ndarray, z: float) -> dict[str, Any]:
    share = float(right.mean())
    low, high = wilson(share, len(right), z=z)
    return {"rows": len(right), "value": share, "low": low, "high": high}


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
) -> dict[str, dict[str, np.ndarray]]:
    """The parts of some rows.

    Args:
        labels: of every row the labels that were written; a row may be in several classes.
        texts: the rows' texts.
        groups: the group column's values; empty where no column says so.
        column: its name.
    """
    found = {"class": _by_value([tuple(map(str, one)) for one in labels])}
    lengths = _by_length(np.array([len(text) for text in texts]))
    if len(lengths) > 1:
        found["length"] = lengths
    known = [() if one in (None, "") else (str(one),) for one in groups]
    if 1 < len({one for one in known if one}) <= MOST_VALUES:
        found[column] = _by_value(known)
    return found


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
