"""Splits of rows with any number of labels: each label and the number of rows in proportion."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Sequence
from itertools import combinations

import numpy as np

from fewtune.data.splits import Indices, Unit, keep_every_class_in_training, rows_of

MOST = 150  # exchanges; seen: 23 for 2,000 rows in skewed groups, 115 for 10,000 dense rows
DIGITS, LEAST = 6, 1e-4  # of an exchange's worth, and what it must be
NEAREST = 40  # kinds of units that are tried against one another in an exchange


def holdout_of_sets(
    sets: Sequence[Collection[str]],
    share: float,
    seed: int,
    groups: Sequence[Hashable] | None = None,
) -> tuple[Indices, Indices]:
    """Hold out a share of rows with any number of labels, each label in about that proportion.

    A label keeps at least one row in training; about ``share * n`` rows are held out.

    Args:
        sets: the labels of every row.
        share, seed, groups: as in `stratified_holdout`.
    """
    if not 0 < share < 1:
        raise ValueError(f"share: a number between 0 and 1; got {share!r}.")
    kept, held = _dealt(sets, groups, (1 - share, share), seed)
    left = Counter(label for unit in kept for label in unit.labels)
    for unit in sorted(held, key=lambda one: len(one.rows)):
        if any(not left[label] for label in unit.labels):  # its label would not train
            held.remove(unit)
            left.update(unit.labels)
    mask = np.zeros(len(sets), dtype=bool)
    mask[rows_of(held)] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def folds_of_sets(
    sets: Sequence[Collection[str]],
    folds: int,
    seed: int,
    groups: Sequence[Hashable] | None = None,
) -> list[Indices]:
    """Deal rows with any number of labels into folds, each label evenly.

    No row is in two folds. The only row (or only group) of a label is in none: it always trains.

    Args:
        sets: the labels of every row.
        folds, seed, groups: as in `stratified_folds`.
    """
    if folds < 2:
        raise ValueError(f"folds: 2 or more; got {folds}.")
    dealt = _dealt(sets, groups, (1 / folds,) * folds, seed)
    keep_every_class_in_training(dealt)
    return [rows_of(fold) for fold in dealt]


def _dealt(
    sets: Sequence[Collection[str]],
    groups: Sequence[Hashable] | None,
    shares: Sequence[float],
    seed: int,
) -> list[list[Unit]]:
    """Units of rows in parts of these shares."""
    rng = np.random.Generator(np.random.PCG64(seed))
    units = _units(sets, groups)
    units = [units[k] for k in rng.permutation(len(units))]
    units.sort(key=lambda unit: -len(unit.rows))  # large groups first: small ones even out
    counts = _counts(units, sets)
    homes = _by_rarest(counts, np.array(shares), rng)
    _even_out(counts, np.array(shares), homes)
    return [[units[k] for k in np.flatnonzero(homes == part)] for part in range(len(shares))]


def _units(sets: Sequence[Collection[str]], groups: Sequence[Hashable] | None) -> list[Unit]:
    members: dict[Hashable, list[int]] = defaultdict(list)
    for k, group in enumerate(range(len(sets)) if groups is None else groups):
        members[group].append(k)
    return [
        Unit(rows, "", frozenset(label for k in rows for label in sets[k]))
        for rows in members.values()
    ]


def _counts(units: Sequence[Unit], sets: Sequence[Collection[str]]) -> np.ndarray:
    """Rows of every label in every unit, and all its rows, (units, labels + 1)."""
    place = {label: k for k, label in enumerate(sorted({x for one in sets for x in one}))}
    counts = np.zeros((len(units), len(place) + 1))
    for number, unit in enumerate(units):
        counts[number, -1] = len(unit.rows)
        for row in unit.rows:
            counts[number, [place[label] for label in set(sets[row])]] += 1
    return counts


def _by_rarest(counts: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Iterative stratification (Sechidis et al. 2011, doi:10.1007/978-3-642-23808-6_10).

    The label with the fewest units left is dealt first, each unit to the part that lacks that
    label most, of equals to the part that lacks most rows: rare labels are spread before common
    ones leave no choice.

    Args:
        counts: (units, labels + 1).
        shares: (parts,).

    Returns:
        The part of every unit, (units,).
    """
    lacking = shares[:, None] * counts.sum(axis=0)  # (parts, labels + 1)
    has = counts > 0
    left = has.sum(axis=0)
    homes = np.full(len(counts), -1)
    while (homes < 0).any():
        # the last column, every unit's rows, is the commonest; it deals what has no label
        rarest = int(np.where(left > 0, left, len(counts) + 1).argmin())
        for k in np.flatnonzero(has[:, rarest] & (homes < 0)).tolist():
            turn = rng.permutation(len(shares)).tolist()  # ties go by chance, not to the first
            own, rows = lacking[:, rarest].tolist(), lacking[:, -1].tolist()
            homes[k] = max(turn, key=lambda part: (own[part], rows[part]))
            lacking[homes[k]] -= counts[k]
            left -= has[k]
    return homes


def _even_out(counts: np.ndarray, shares: np.ndarray, homes: np.ndarray) -> None:
    """Exchange units while labels and rows come nearer to their shares.

    What was dealt last had no choice: without this, sets of many labels left parts up to 7 rows
    from their share, and large groups held out half of what was asked.

    Args:
        counts: (units, labels + 1).
        shares: (parts,).
        homes: the part of every unit, changed in place.
    """
    kinds, kind = np.unique(counts, axis=0, return_inverse=True)
    kind = kind.reshape(-1)
    there = np.zeros((len(kinds) + 1, len(shares)), dtype=np.int64)  # units by kind and part
    np.add.at(there, (kind, homes), 1)
    kinds = np.concatenate([kinds, 0 * kinds[:1]])  # exchanged for nothing, a unit moves
    there[-1] = 2
    ideal = shares[:, None] * counts.sum(axis=0)
    heavy = 1 / np.sqrt(counts.sum(axis=0))  # a row too many is more where there are few
    for _ in range(MOST):
        found = _exchange(kinds, there, there.T @ kinds - ideal, heavy)
        if found is None:
            break
        for one, source, target in found:
            there[one, source] -= 1
            there[one, target] += 1
        there[-1] = 2
    every = np.tile(np.arange(len(shares)), len(kinds) - 1)
    # a kind's units stand in an order by chance, so any of them may be in any of its places
    homes[np.argsort(kind, kind="stable")] = np.repeat(every, there[:-1].ravel())


def _exchange(
    kinds: np.ndarray, there: np.ndarray, away: np.ndarray, heavy: np.ndarray
) -> list[tuple[int, int, int]] | None:
    """The exchange of two units that brings the parts nearest to their shares, if any does.

    Of the squares of `away`, by `heavy`, half the change is
    ``x (away_q - away_p) + x x + y (away_p - away_q) + y y - 2 x y``
    for x from p to q and y from q to p.

    Args:
        kinds: (kinds, labels + 1), rows of a unit of the kind.
        there: (kinds, parts), units.
        away: (parts, labels + 1), rows too many.
        heavy: (labels + 1,).

    Returns:
        Twice a kind, and the parts that a unit of it leaves and joins.
    """
    # rounded, for the last digits of a product are not the same on every machine
    pull, own = ((kinds * heavy) @ away.T).round(DIGITS), (kinds**2 @ heavy).round(DIGITS)
    best, found = -LEAST, None
    for p, q in combinations(range(len(away)), 2):
        costs = own + pull[:, q] - pull[:, p], own + pull[:, p] - pull[:, q]
        a, b = (_cheapest(cost, there[:, k]) for cost, k in zip(costs, (p, q), strict=True))
        both = costs[0][a][:, None] + costs[1][b] - 2 * (kinds[a] * heavy) @ kinds[b].T
        both = both.round(DIGITS)
        at = int(both.argmin())
        if both.flat[at] < best:
            best, found = both.flat[at], [(a[at // len(b)], p, q), (b[at % len(b)], q, p)]
    return found


def _cheapest(costs: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Some kinds that a part has, the cheapest to give away."""
    some = np.flatnonzero(there)
    return some[np.argsort(costs[some], kind="stable")[:NEAREST]]
