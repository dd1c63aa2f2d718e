"""Which rows are held out: by class and chance, or the newest; what belongs together stays so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.data.images import file_mark
from fewtune.data.label_sets import folds_of_sets, holdout_of_sets
from fewtune.data.near import Pair, groups_of, near_duplicates, plain
from fewtune.data.options import DataOptions
from fewtune.data.row import Row
from fewtune.data.splits import folded, stratified_folds, stratified_holdout
from fewtune.data.times import date, moments, number

FORM = 0.1  # share of the rows in one group of nearly equal texts, from which they are a form
APART = 7919  # between the seeds of repeated folds, so that runs with near seeds share none
FEW = 5  # rows; so many may always be alike

Split = tuple[tuple[Row, ...], tuple[Row, ...], dict[str, Any]]  # training, held out, how


def labels_of(row: Row) -> tuple[str, ...]:
    """A row's labels: one, several (role `labels`), or none."""
    label = row.get("label")
    return row.get("labels", ()) if label is None else (label,)


def same_text(row: Row) -> tuple[str, ...]:
    """What makes two rows the same question: the folded texts, the image's bytes, or all but the
    labels."""
    if "text" in row.fields:
        return (folded(row["text"]),)
    if "messages" in row.fields:
        said = [one.content for one in row["messages"] if one.role != "assistant"]
        return ("\n".join(_folded_lines(text) for text in said),)
    if "image" in row.fields:  # names such as scratch_1.jpg are alike and say nothing
        return (file_mark(row["image"]),)
    out = ("label", "labels", "output", "group", "time")
    asked = {k: v for k, v in row.fields.items() if k not in out}
    return tuple(f"{name} {folded(str(asked[name]))}" for name in sorted(asked))


def _folded_lines(text: str) -> str:
    """Folded line by line: what many rows share often stands on lines of its own."""
    return "\n".join(folded(line) for line in text.splitlines())


def stratum(row: Row) -> str:
    """The class a split keeps in proportion; of several labels, the first."""
    return next(iter(labels_of(row)), "")


def together(rows: Sequence[Row]) -> list[int]:
    """A number for each row; rows that must be on one side of every split share one.

    Rows belong together whose texts are equal or nearly equal, or whose group column says so; and
    all that are joined by such rows. Where the texts are one form filled in with other numbers,
    nearly all of them would be one group; then only equal ones stay together.
    """
    texts = tuple(" ".join(same_text(row)) for row in rows)
    named = tuple("" if row.get("group") is None else str(row.get("group")) for row in rows)
    return [*_together(texts, named)]


@lru_cache(maxsize=8)  # a run deals the same rows into folds more than once
def _together(texts: tuple[str, ...], named: tuple[str, ...]) -> tuple[int, ...]:
    """The group of every text; `named` is what the group column says, nothing where empty."""
    pairs = near_duplicates(texts)
    if is_form(groups_of(len(texts), pairs)):
        pairs = [pair for pair in pairs if plain(texts[pair.first]) == plain(texts[pair.second])]
    first: dict[str, int] = {}
    for k, group in enumerate(named):
        if group:
            pairs.append(Pair(first.setdefault(group, k), k, 1.0))
    return tuple(groups_of(len(texts), pairs))


def is_form(groups: Sequence[int]) -> bool:
    """Whether one group of nearly equal texts is too large to be the same thing said again."""
    largest = max(Counter(groups).values(), default=0)
    return largest > max(FEW, FORM * len(groups))


def why_none(rows: Sequence[Row]) -> str:
    """Why no row can be held out, and what to look at."""
    named = {str(row.get("group")) for row in rows} - {"None", ""}
    if named and len(named) < len(rows):
        several = f"{len(named):,} groups" if len(named) > 1 else "one group"
        return (
            f"they are of {several}, each is kept on one side, and every class needs rows to learn "
            "from; is another column the right one for --group?"
        )
    classes = len({label for row in rows for label in labels_of(row)})
    return (
        f"each of their {classes:,} classes has a single row, or rows of one and the same text, "
        "and needs it to learn from; is the label in another column (--label)?"
    )


def folds_of(rows: Sequence[Row], folds: int, seed: int, repeats: int = 1) -> list[np.ndarray]:
    """Held-out positions of every fold, each class evenly, what belongs together in one fold.

    Args:
        rows: the training rows.
        folds: how many, 2 or more.
        seed: of the deal.
        repeats: how many times they are dealt.

    Returns:
        `folds * repeats` of them, fewer where there are fewer rows that can be held out.

    Raises:
        FewtuneError: no row can be.
    """
    groups, dealt = together(rows), []
    for repeat in range(repeats):
        draw = seed + APART * repeat
        if has_sets(rows):
            dealt += folds_of_sets([labels_of(row) for row in rows], folds, draw, groups)
        else:
            dealt += stratified_folds([stratum(row) for row in rows], folds, draw, groups)
    held = [fold for fold in dealt if len(fold)]
    if not held:
        raise FewtuneError(
            f"none of the {len(rows):,} training rows can be held out: {why_none(rows)} Else add "
            "rows."
        )
    return held


def first_repeat(folds: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The folds up to the first that holds a row again, as those of another repeat do.

    >>> [held.tolist() for held in first_repeat([np.array([0, 2]), np.array([1]), np.array([0])])]
    [[0, 2], [1]]
    """
    once: list[np.ndarray] = []
    for held in folds:
        if once and np.isin(held, np.concatenate(once)).any():
            break
        once.append(held)
    return once


def has_sets(rows: Sequence[Row]) -> bool:
    """Whether rows may have several labels."""
    return any("labels" in row.fields for row in rows)


def parted(rows: Sequence[Row], share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The positions that train and those held out, each class in proportion.

    Args:
        share: of the rows to hold out.
        seed: of the choice.
    """
    groups = together(rows)
    if has_sets(rows):
        return holdout_of_sets([labels_of(row) for row in rows], share, seed, groups)
    return stratified_holdout([stratum(row) for row in rows], share, seed, groups)


def held_out(rows: Sequence[Row], options: DataOptions, seed: int) -> Split:
    """Hold out a share of the rows.

    Raises:
        UsageError: a time cannot be compared.
    """
    if options.time:
        return _newest(rows, options)
    share = options.test_share
    train, held = parted(rows, share, seed)
    same = "like texts together"
    if options.group:
        same += f", each {options.group} on one side"
    by_label = "stratified by label, " if any(labels_of(row) for row in rows) else ""
    how = f"{len(held):,} rows ({share:.0%}) held out, {by_label}{same}, seed {seed}"
    split = {"how": how, "share": share, "seed": seed}
    return tuple(rows[k] for k in train), tuple(rows[k] for k in held), split


def _newest(rows: Sequence[Row], options: DataOptions) -> Split:
    """The newest rows, whole groups of them: a row's twin before the line takes it back."""
    when = _times(rows, options)
    wanted = max(1, round(options.test_share * len(rows)))
    line = np.sort(when)[-wanted]
    if line == when.min():  # most rows are of the first time; those after it are the newest
        line = when[when > line].min()
    groups = np.array(together(rows))
    older = set(groups[when < line].tolist())
    held = [
        bool(time >= line) and group not in older for time, group in zip(when, groups, strict=True)
    ]
    how = f"the newest {sum(held):,} rows by {options.time} held out"
    newer = int((when >= line).sum())
    back = newer - sum(held)
    if abs(newer - wanted) > max(FEW, wanted / 2):
        alike = int((when == line).sum()) if newer > wanted else int((when == when.min()).sum())
        how += (
            f", not the {wanted:,} that test_share asks for, as {alike:,} rows have one and the "
            "same time"
        )
    if back:
        how += f"; {back:,} newer rows that are like older ones stay in training"
    train = tuple(row for row, out in zip(rows, held, strict=True) if not out)
    test = tuple(row for row, out in zip(rows, held, strict=True) if out)
    return train, test, {"how": how, "share": options.test_share, "time": options.time}


def _times(rows: Sequence[Row], options: DataOptions) -> np.ndarray:
    """Every row's time, (rows,), where they can be put in an order.

    Raises:
        UsageError: they cannot.
    """
    told = [row.get("time") for row in rows]
    for row, value in zip(rows, told, strict=True):
        if number(value) is None and date(value) is None:
            raise UsageError(
                f"time: {row.origin} has {value!r} in the column {options.time}; a number or a "
                "date that begins with the year is expected (2024-03-07, 2024年3月7日)."
            )
    times = moments(told)
    if None in times:
        row = rows[times.index(None)]
        raise UsageError(
            f"time: {row.origin} has the number {row.get('time')!r} in the column {options.time} "
            "and other rows have dates; write all of them as dates, or all as numbers."
        )
    if len(set(times)) == 1:
        raise UsageError(
            f"time: all {len(rows):,} rows have the same time in the column {options.time}, so "
            "none is newer than the others; name another column, or leave --time out."
        )
    return np.array(times, dtype=np.float64)
