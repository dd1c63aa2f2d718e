"""From a file to rows: every record is kept, mended or set aside, and the ledger says which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fewtune.base.errors import FewtuneError, UsageError, did_you_mean_file
from fewtune.base.files import at
from fewtune.data.beside import beside, every
from fewtune.data.cleaner import Cleaner
from fewtune.data.columns import Role, asked_columns, find_columns
from fewtune.data.folders import is_by_class, read_folder
from fewtune.data.formats import FORMATS, read_sheet
from fewtune.data.ledger import Entry, Ledger
from fewtune.data.options import DataOptions
from fewtune.data.row import Row
from fewtune.data.shapes import SHAPES, Shape, find_shape
from fewtune.data.sheet import Broken, Record, Sheet, Source


@dataclass(frozen=True)
class Table:
    """A file's usable rows.

    Attributes:
        rows: in the file's order; `fields` holds the roles.
        ledger: what became of every record.
        columns: role -> column.
        notes: what was decided and the user should know, a sentence each.
        shape: what the file was found to hold; None where the caller said what to read.
    """

    rows: list[Row]
    ledger: Ledger
    columns: dict[str, str]
    notes: list[str]
    shape: Shape | None = None


def read_rows(
    path: str | Path,
    roles: Sequence[Role],
    options: DataOptions,
    *,
    like: Mapping[str, str] | None = None,
    name: str | None = None,
    whole: bool = False,
) -> Table:
    """Read a file's rows for a task.

    Args:
        path: the file.
        roles: what the task reads from every row.
        options: format, encoding, columns, strictness and the longest text in characters.
        like: columns (by role) chosen for another file of the same data set, taken where present.
        name: how the rows' origins name the file; its own name where not given.
        whole: every row keeps all of the file's columns, not those alone that make parts.

    Returns:
        The table; its ledger adds up.

    Raises:
        UsageError: there is no such file, or no such column.
        FewtuneError: the file cannot be read, holds no usable row, or `options.strict` is set and
            a row is broken.
    """
    file, sheet = opened(path, options, name)
    return _table(file, sheet, roles, options, like, _home(path), whole=whole)


def read_otherwise(table: Table, like: Mapping[str, str], options: DataOptions) -> list[str]:
    """Notes where a column of another name was read than the one that was learned from.

    Args:
        like: columns by role, as they were learned.
        options: columns that the user named are meant.
    """
    asked = {role for role in ("text", "label") if getattr(options, role)} | options.map.keys()
    return [
        f"{role} is read from column {column!r}; the model learned from {like[role]!r}, which is "
        "not there"
        for role, column in table.columns.items()
        if role in like and column != like[role] and role not in asked
    ]


def shape_of(path: str | Path, options: DataOptions) -> Shape:
    """What a file holds, by its columns.

    Raises:
        UsageError, FewtuneError: it cannot be read, or no shape fits.
    """
    file, sheet = opened(path, options)
    return find_shape(sheet, file, options)[0]


def read_any(
    path: str | Path,
    options: DataOptions,
    *,
    like: Mapping[str, str] | None = None,
    name: str | None = None,
    more: Mapping[str, str] | None = None,
    shapes: Sequence[Shape] = SHAPES,
) -> Table:
    """Read a file's rows, whatever their shape.

    Arguments, ledger and errors as in `read_rows`; `Table.shape` says what was found. `more` names
    columns that are read beside the shape's, by role, and kept as they stand; `shapes` are those
    that the file may have.
    """
    file, sheet = opened(path, options, name)
    shape, notes = find_shape(sheet, file, options, shapes)
    roles = [*shape.roles, *(Role(role, required=False, kind="any") for role in more or ())]
    options = options.model_copy(update={"map": {**options.map, **(more or {})}})
    table = _table(file, sheet, roles, options, like, _home(path), shape.joined)
    return replace(table, shape=shape, notes=[*notes, *table.notes])


def holds_images(path: str | Path, options: DataOptions) -> bool:
    """Whether a table or a folder by class is one of images with labels.

    Raises:
        UsageError, FewtuneError: it cannot be opened.
    """
    file, sheet = opened(path, options)
    try:
        return find_shape(sheet, file, options)[0].task == "image"
    except UsageError:  # of no shape by its columns' names; their values may still tell
        return False


def opened(path: str | Path, options: DataOptions, name: str | None = None) -> tuple[str, Sheet]:
    """The file's name and content as it stands there, or the sentence why there is none."""
    if at(path).is_dir() and is_by_class(at(path)):
        name = name or at(path).resolve().name
        return name, read_folder(at(path), name)
    source = open_source(at(path), options, name)
    sheet = read_sheet(source, options.format)
    if not sheet.records:
        raise FewtuneError(
            f"{source.name} has a header and no rows ({', '.join(sheet.columns[:20])})."
            if sheet.columns
            else f"{source.name} holds no rows; a header and rows, or JSON objects, were expected."
        )
    if not any(isinstance(record, Record) for record in sheet.records):
        raise FewtuneError(_nothing_left(source.name, _first_broken(sheet), len(sheet.records)))
    return source.name, sheet


def _table(
    file: str,
    sheet: Sheet,
    roles: Sequence[Role],
    options: DataOptions,
    like: Mapping[str, str] | None,
    home: Path,
    joined: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None,
    whole: bool = False,
) -> Table:
    columns, chosen = find_columns(sheet, file, roles, options, like)
    cleaner = Cleaner(roles, columns, options, home, joined)
    parts = every(sheet) if whole else beside(sheet, file, columns.values(), options.slice)
    rows = [
        _with(row, parts, k, whole)
        for k, record in enumerate(sheet.records)
        if (row := cleaner.take(record)) is not None
    ]
    ledger = cleaner.ledger
    ledger.kept = len(rows)
    ledger.check()
    if not rows:
        raise FewtuneError(_nothing_left(file, ledger.quarantined[0], ledger.read))
    notes = [*sheet.notes, *chosen, *cleaner.notes(file), *_losses(file, ledger)]
    return Table(rows, ledger, columns, notes)


def _with(row: Row, parts: Mapping[str, Sequence[str]], number: int, silent: bool) -> Row:
    """The row with what its record says in other columns; `silent`: also where that is nothing."""
    if not parts:
        return row
    said = {name: values[number] for name, values in parts.items() if silent or values[number]}
    return replace(row, beside=said)


def _home(path: str | Path) -> Path:
    """The folder that paths of images start from: the table's, or the folder by class itself."""
    return at(path) if at(path).is_dir() else at(path).parent


def refuse_missing(paths: Iterable[Path]) -> None:
    """All files that are not there, a sentence each.

    Raises:
        UsageError: there are such.
    """
    wrong = []
    for path in paths:
        if not path.exists():
            near = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
            where = "" if near else f" (nor a folder {path.parent} with files)"
            wrong.append(f"there is no file {path}{where}.{did_you_mean_file(path.name, near)}")
    if wrong:
        raise UsageError("\n".join(dict.fromkeys(wrong)))


def open_source(path: Path, options: DataOptions, name: str | None = None) -> Source:
    """A file's bytes, or the sentence why not."""
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if p.suffix.lower() in _suffixes())
        hint = f"it holds {', '.join(inside[:5])}" if inside else "it holds none that fewtune reads"
        raise UsageError(f"{path} is a folder and a file was expected; {hint}.")
    refuse_missing([path])
    if not path.is_file():
        raise UsageError(
            f"{path} is a device or a pipe, which may never end; write it to a file and give that."
        )
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise FewtuneError(f"{path} cannot be read: {error.strerror}.") from error
    if not raw.strip(b"\xef\xbb\xbf\xff\xfe \t\r\n\x00"):
        raise FewtuneError(f"{path} is empty ({len(raw)} bytes); rows were expected.")
    return Source(
        path, name or path.name, raw, options.encoding, frozenset(asked_columns(options).values())
    )


def _suffixes() -> set[str]:
    return {suffix for one in FORMATS.values() for suffix in one.suffixes}


def _first_broken(sheet: Sheet) -> Entry:
    first = next(record for record in sheet.records if isinstance(record, Broken))
    return Entry(first.origin, first.code, first.reason)


def _nothing_left(name: str, first: Entry, count: int) -> str:
    return (
        f"{name}: none of its {count:,} rows can be used; the first ({first.origin}): "
        f"{first.reason} [{first.code}]."
    )


def _losses(name: str, ledger: Ledger) -> list[str]:
    """What a user would miss later: rows set aside, and texts cut."""
    notes = []
    if aside := ledger.quarantined:
        codes = Counter(entry.code for entry in aside).most_common()
        why = ", ".join(f"{count:,} {code}" for code, count in codes)
        notes.append(
            f"{name}: {len(aside):,} of {ledger.read:,} rows are set aside ({why}); the first, "
            f"{aside[0].origin}: {aside[0].reason}"
        )
    if cut := ledger.truncated:
        notes.append(
            f"{name}: {len(cut):,} texts are cut (--max_characters sets where); the first, "
            f"{cut[0].origin}: {cut[0].reason}"
        )
    return notes
