"""Splits that are honest on little data: by class, by group, the same on every machine."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from math import floor

import numpy as np

Indices = np.ndarray  # (n,), int64, ascending positions in the rows


def stratified_holdout(
    labels: Sequence[str],
    share: float,
    seed: int,
    groups: Sequence[Hashable] | None = None,
) -> tuple[Indices, Indices]:
    """Hold out a share of the rows, each class in proportion (by largest remainder).

    The only row of a class is never held out, and a class of two rows or more keeps at least one
    in training (two identical rows cannot be parted and both stay). ``round(share * n)`` rows are
    held out wherever these promises and the groups allow it.

    Args:
        labels: one a row.
        share: of the rows to hold out, 0 < share < 1.
        seed: of the choice.
        groups: one a row; rows of an equal group stay on one side.

    Returns:
        The indices that train and those held out, both ascending.
    """
    if not 0 < share < 1:
        raise ValueError(f"share: a number between 0 and 1; got {share!r}.")
    rng = np.random.Generator(np.random.PCG64(seed))
    units = _units(labels, groups)
    by_class = _shuffled_by_class(units, rng)
    quotas = _quotas(labels, share, rng)
    # How many units of each class still train; the last one is not given away.
    left = Counter(label for unit in units for label in unit.labels)
    held: list[Unit] = []
    spare: list[Unit] = []
    for label, members in by_class.items():
        room = quotas[label]
        for unit in members:
            if len(unit.rows) <= room and _give(unit, left):
                held.append(unit)
                room -= len(unit.rows)
            else:
                spare.append(unit)
    room = sum(quotas.values()) - sum(len(unit.rows) for unit in held)
    for k in rng.permutation(len(spare)):  # what a class could not give, others do
        if len(spare[k].rows) <= room and _give(spare[k], left):
            held.append(spare[k])
            room -= len(spare[k].rows)
    mask = np.zeros(len(labels), dtype=bool)
    mask[rows_of(held)] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def stratified_folds(
    labels: Sequence[str],
    folds: int,
    seed: int,
    groups: Sequence[Hashable] | None = None,
) -> list[Indices]:
    """Deal the rows into folds, each class evenly.

    No row is in two folds. The only row (or only group) of a class is in none: it always trains.

    Args:
        labels: one a row.
        folds: how many, 2 or more.
        seed: of the deal.
        groups: one a row; rows of an equal group are in one fold.

    Returns:
        The held-out indices of every fold, ascending.
    """
    if folds < 2:
        raise ValueError(f"folds: 2 or more; got {folds}.")
    rng = np.random.Generator(np.random.PCG64(seed))
    units = _units(labels, groups)
    sizes = np.zeros(folds, dtype=np.int64)
    dealt: list[list[Unit]] = [[] for _ in range(folds)]
    for members in _shuffled_by_class(units, rng).values():
        of_class = np.zeros(folds, dtype=np.int64)
        turn = rng.permutation(folds)  # ties go to a fold by chance, not to the first
        for unit in sorted(members, key=lambda u: -len(u.rows)):
            fold = min(turn, key=lambda f: (of_class[f], sizes[f]))
            dealt[fold].append(unit)
            of_class[fold] += len(unit.rows)
            sizes[fold] += len(unit.rows)
    keep_every_class_in_training(dealt)
    return [rows_of(fold) for fold in dealt]


@dataclass(frozen=True, eq=False)
class Unit:
    """Rows that stay together; `label` is the commonest of their `labels`."""

    rows: list[int]
    label: str
    labels: frozenset[str]


def rows_of(units: Iterable[Unit]) -> Indices:
    """The rows of some units, ascending."""
    return np.array(sorted(row for unit in units for row in unit.rows), dtype=np.int64)


def _units(labels: Sequence[str], groups: Sequence[Hashable] | None) -> list[Unit]:
    if groups is None:
        return [Unit([k], label, frozenset([label])) for k, label in enumerate(labels)]
    members: dict[Hashable, list[int]] = defaultdict(list)
    for k, (_, group) in enumerate(zip(labels, groups, strict=True)):
        members[group].append(k)
    return [Unit(rows, *_majority([labels[k] for k in rows])) for rows in members.values()]


def _majority(labels: list[str]) -> tuple[str, frozenset[str]]:
    counts = Counter(labels)
    return min(counts, key=lambda label: (-counts[label], label)), frozenset(counts)


def _shuffled_by_class(units: Sequence[Unit], rng: np.random.Generator) -> dict[str, list[Unit]]:
    by_class: dict[str, list[Unit]] = defaultdict(list)
    for unit in units:
        by_class[unit.label].append(unit)
    return {
        label: [by_class[label][k] for k in rng.permutation(len(by_class[label]))]
        for label in sorted(by_class)
    }


def _quotas(labels: Sequence[str], share: float, rng: np.random.Generator) -> dict[str, int]:
    """Rows to hold out of each class; they sum to round(share * n) unless classes are too small."""
    counts = Counter(labels)
    names = sorted(counts)
    exact = {name: share * counts[name] for name in names}
    quotas = {name: min(floor(exact[name] + 1e-9), counts[name] - 1) for name in names}
    missing = round(share * len(labels)) - sum(quotas.values())
    by_chance = [names[k] for k in rng.permutation(len(names))]
    order = sorted(by_chance, key=lambda name: round(quotas[name] - exact[name], 9))
    while missing > 0:
        open_names = [name for name in order if quotas[name] < counts[name] - 1]
        for name in open_names[:missing]:
            quotas[name] += 1
            missing -= 1
        if not open_names:
            break
    return quotas


def _give(unit: Unit, left: Counter[str]) -> bool:
    """Take a unit out of training unless it is the last of one of its classes."""
    if any(left[label] < 2 for label in unit.labels):
        return False
    left.subtract(unit.labels)
    return True


def keep_every_class_in_training(dealt: list[list[Unit]]) -> None:
    """A class whose units are all in one fold would be missing when that fold is held out: its
    smallest unit leaves the fold and always trains."""
    homes: dict[str, set[int]] = defaultdict(set)
    for number, fold in enumerate(dealt):
        for unit in fold:
            for label in unit.labels:
                homes[label].add(number)
    always: set[str] = set()
    for label in sorted(homes):
        if len(homes[label]) > 1 or label in always:
            continue
        fold = dealt[min(homes[label])]
        smallest = min((u for u in fold if label in u.labels), key=lambda u: len(u.rows))
        fold.remove(smallest)
        always |= smallest.labels


def folded(text: str) -> str:
    """A text for comparison: without case, and white space made single blanks.

    >>> folded(" Pump\\t FAILED ")
    'pump failed'
    """
    return " ".join(text.casefold().split())


def natural(labels: Iterable[str]) -> list[str]:
    """Labels in the order a person expects.

    >>> natural(["10", "2", "-1"]), natural(["b", "a10", "a2"])
    (['-1', '2', '10'], ['a2', 'a10', 'b'])
    """

    def by_parts(label: str) -> tuple[list[tuple[int, str]], str]:
        parts = re.split(r"([0-9]+)", label.casefold())
        # A number without leading zeros is greater when longer, then by its digits.
        keyed = [
            (len(p.lstrip("0")), p.lstrip("0")) if k % 2 else (0, p) for k, p in enumerate(parts)
        ]
        return keyed, label

    labels = list(labels)
    if all(re.fullmatch(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?", label) for label in labels):
        return sorted(labels, key=lambda label: (float(label), label))
    return sorted(labels, key=by_parts)
