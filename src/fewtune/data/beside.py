"""Columns beside those that a task reads: what else the rows say, such as a station or a brand.

Scores are told for the parts of rows that such a column makes. Taken are the columns that the user
names, else those whose few values each stand in several rows: a number of a report names rows, and
a remark is a text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from fewtune.base.errors import UsageError, did_you_mean
from fewtune.data.columns import listed, normal
from fewtune.data.sheet import Record, Sheet

VALUES = range(2, 31)  # of a column that is taken without a word
ROWS = 5  # of a value, so that a part can show anything
COLUMNS = 10  # taken without a word: every part more makes all less sure
LONGEST = 60  # characters of a value
COMPOUND = (dict, list, tuple, set, bytes)


def beside(
    sheet: Sheet, file: str, used: Collection[str], asked: Sequence[str]
) -> dict[str, list[str]]:
    """The columns that make parts, as text of every record.

    Args:
        sheet: the file's content.
        file: its name, for sentences.
        used: columns that the task reads.
        asked: columns that the user named; then no other is taken.

    Returns:
        Column -> a text for every record of the sheet, "" where it says nothing.

    Raises:
        UsageError: a named column is not there or makes no parts; all such at once.
    """
    if not asked:
        found = ((name, told(sheet, name)) for name in sheet.columns if name not in used)
        fit = ((name, values) for name, values in found if values and _makes_parts(values))
        return dict(_first(fit, COLUMNS))
    wrong, chosen = [], {}
    for name in asked:
        column = _column(sheet, name)
        values = None if column is None else told(sheet, column)
        if column is None:
            wrong.append(_missing(sheet, file, name))
        elif trouble := _trouble(values):
            wrong.append(f"slice: the column {column!r} of {file} {trouble}.")
        elif values:
            chosen[column] = values
    if wrong:
        raise UsageError("\n".join(wrong))
    return chosen


def every(sheet: Sheet) -> dict[str, list[str]]:
    """All columns in their order, but for lists and objects, as text of every record."""
    found = {}
    for name in sheet.columns:
        values = [one.values.get(name) if isinstance(one, Record) else "" for one in sheet.records]
        if not any(isinstance(value, COMPOUND) for value in values):
            found[name] = [one if isinstance(one, str) else _text(one) for one in values]
    return found


def told(sheet: Sheet, column: str) -> list[str] | None:
    """A column's values as text, "" for a broken record; None where it holds lists or objects."""
    values: list[str] = []
    for record in sheet.records:
        value = record.values.get(column) if isinstance(record, Record) else None
        if isinstance(value, COMPOUND):
            return None
        values.append(_text(value))
    return values


def _text(value: Any) -> str:
    """A single value: 3.0 is "3", True is "true", nothing is ""."""
    if value is None or value != value:  # not a number: pandas' way to say nothing
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return " ".join(str(value).split())


def _makes_parts(values: Sequence[str]) -> bool:
    """Whether the values are few, short, and stand in several rows each."""
    rows = _counted(values)
    if len(rows) not in VALUES or max(map(len, rows)) > LONGEST:
        return False
    return sum(count >= ROWS for count in rows.values()) >= VALUES.start


def _trouble(values: Sequence[str] | None) -> str:
    """Why a named column makes no parts; nothing where it makes some."""
    if values is None:
        return "holds lists or objects, and a single value in every row is expected"
    rows = _counted(values)
    if len(rows) < VALUES.start:
        return "says nothing" if not rows else "says the same in every row"
    if max(rows.values()) < ROWS:
        return (
            f"has {len(rows):,} values in {sum(rows.values()):,} rows, none of them in {ROWS} rows "
            "or more, so that no part could show anything"
        )
    return ""


def _counted(values: Iterable[str]) -> Mapping[str, int]:
    return Counter(one for one in values if one)


def _column(sheet: Sheet, name: str) -> str | None:
    """The column that is meant: exactly, or but for case and blanks."""
    if name in sheet.columns:
        return name
    return next((one for one in sheet.columns if normal(one) == normal(name)), None)


def _missing(sheet: Sheet, file: str, name: str) -> str:
    hint = did_you_mean(name, sheet.columns)
    return f"slice: {file} has no column {name!r}; its columns are {listed(sheet.columns)}.{hint}"


def _first(found: Iterable[tuple[str, list[str]]], most: int) -> Iterable[tuple[str, list[str]]]:
    for _, one in zip(range(most), found, strict=False):
        yield one
