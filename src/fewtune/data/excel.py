"""Excel: the first worksheet that has rows."""

from __future__ import annotations

from typing import Any

from fewtune.base.errors import FewtuneError
from fewtune.data.columns import unique_names
from fewtune.data.delimited import SAMPLE_LINES, bare, has_header
from fewtune.data.row import Origin
from fewtune.data.sheet import Broken, Record, Sheet, Source


def read_xlsx(source: Source) -> Sheet:
    """Read the first worksheet that has rows; a row's line is its number in the sheet."""
    name, rows, others = _worksheet(source)
    filled = [(k, row) for k, row in enumerate(rows, 1) if row]
    notes = [f"{source.name}: sheet {name!r} is read, not {', '.join(others)}"] if others else []
    if not filled:
        return Sheet([], [], notes=notes)
    sample = [_names(row) for _, row in filled[:SAMPLE_LINES]]
    if named := has_header(sample, source):
        columns = unique_names(sample[0])
    else:
        width = max(len(row) for _, row in filled)
        columns = [f"column {k + 1}" for k in range(width)]
        notes.append(f"{source.name} has no header; its columns are called column 1 to {width}")
    again = sample[0] if named else None
    records = [_excel_row(source.at(k), row, columns, again) for k, row in filled[named:]]
    return Sheet(columns, records, named, notes)


def _excel_row(
    origin: Origin, row: tuple[Any, ...], columns: list[str], names: list[str] | None
) -> Record | Broken:
    if _names(row) == names:
        return Broken(origin, "format-header", "the header once more")
    cells = [*row, *[None] * len(columns)]
    return Record(origin, dict(zip(columns, cells, strict=False)))


def _names(row: tuple[Any, ...]) -> list[str]:
    return bare(["" if cell is None else str(cell) for cell in row])


def _worksheet(source: Source) -> tuple[str, list[tuple[Any, ...]], list[str]]:
    """The first sheet with rows: its name, its rows without the empty cells at their ends, and
    the other sheets' names."""
    import io
    import zipfile

    try:
        import openpyxl
    except ImportError:
        raise FewtuneError(
            f"{source.name} is an Excel file and openpyxl is not installed; run "
            "`pip install fewtune[excel]`, or save the sheet as csv."
        ) from None
    try:
        book = openpyxl.load_workbook(io.BytesIO(source.raw), read_only=True, data_only=True)
        for sheet in book.worksheets:
            sheet.reset_dimensions()  # what the file says of its size is often old or wrong
        found = [(s.title, [*map(_filled, s.iter_rows(values_only=True))]) for s in book.worksheets]
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, OSError, SyntaxError) as error:
        raise FewtuneError(
            f"{source.name} cannot be read as Excel ({error}); save it again, or as csv."
        ) from error
    full = [(title, rows) for title, rows in found if any(rows)] or [("", [])]
    return full[0][0], full[0][1], [repr(title) for title, _ in full[1:]]


def _filled(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row up to its last cell with something in it."""
    width = max((k for k, cell in enumerate(row, 1) if cell not in (None, "")), default=0)
    return row[:width]
