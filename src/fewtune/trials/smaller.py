"""Smaller sets of training rows, each a part of the larger ones: a curve is of one row after
another."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import ceil

import numpy as np

#: Positions that a fit learns, and a share of them -> the positions that are left, ascending.
Smaller = Callable[[np.ndarray, float], np.ndarray]


def of_targets(targets: np.ndarray, seed: int) -> Smaller:
    """For rows with labels.

    Args:
        targets: (rows,) class indices, or (rows, classes) of 0 and 1; of all rows.
        seed: of the draw.
    """
    order = np.random.default_rng(seed).permutation(len(targets))
    return partial(_of_classes if targets.ndim == 1 else _of_sets, targets, order)


def of_owners(owners: np.ndarray, seed: int) -> Smaller:
    """For pieces of rows: a long text is learned in several, and these stay together.

    Args:
        owners: (pieces,) the row that each was made from.
        seed: of the draw.
    """
    order = np.random.default_rng(seed).permutation(owners.max(initial=-1) + 1)
    return partial(_of_rows, owners, order)


def _of_classes(
    targets: np.ndarray, order: np.ndarray, learned: np.ndarray, share: float
) -> np.ndarray:
    """A share of all rows, of every class alike, and one row of each at least.

    Rows come by how deep in their class they stand (Webster's method): the largest remainders give
    the same but for single rows, and may take from a class what a smaller share had.
    """
    ranked = order[np.isin(order, learned)]
    depth = np.zeros(len(ranked))  # 0 to 1; 0 for the first of a class
    for one in np.unique(targets[ranked]):
        later = np.flatnonzero(targets[ranked] == one)[1:]
        depth[later] = (np.arange(1, len(later) + 1) + 0.5) / (len(later) + 1)
    count = max(ceil(share * len(ranked)), int((depth == 0).sum()))
    return np.sort(ranked[np.argsort(depth, kind="stable")[:count]])


def _of_sets(
    targets: np.ndarray, order: np.ndarray, learned: np.ndarray, share: float
) -> np.ndarray:
    """The first rows, and of a label that none of them has the first row that has it."""
    ranked = order[np.isin(order, learned)]
    count = ceil(share * len(ranked))
    has = targets[ranked] > 0  # (learned, classes)
    lacking = has.any(axis=0) & ~has[:count].any(axis=0)
    return np.union1d(ranked[:count], ranked[has[:, lacking].argmax(axis=0)])


def _of_rows(
    owners: np.ndarray, order: np.ndarray, learned: np.ndarray, share: float
) -> np.ndarray:
    """All pieces of a share of the rows."""
    ranked = order[np.isin(order, owners[learned])]
    return learned[np.isin(owners[learned], ranked[: ceil(share * len(ranked))])]
