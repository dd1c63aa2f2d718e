"""Excel: the first worksheet that has a table.

Cells that are merged downwards are one value for all their rows: hand-made sheets write a group's
machine or fault type so, once for ten rows.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fewtune.base.errors import FewtuneError
from fewtune.data.columns import is_known_name, unique_names
from fewtune.data.delimited import SAMPLE_LINES, bare, has_header
from fewtune.data.encodings import is_foreign
from fewtune.data.row import Origin
from fewtune.data.sheet import Broken, Record, Sheet, Source

if TYPE_CHECKING:
    from openpyxl.worksheet.cell_range import CellRange

SUFFIXES = (".xlsx", ".xlsm")

Cells = tuple[Any, ...]  # a row up to its last cell with something in it


class _Page(NamedTuple):
    """A worksheet: its name, its rows, and where cells were merged downwards."""

    title: str
    rows: list[Cells]
    merged: list[str]


#: What a file of another kind starts with; zip archives are told by a file in them.
_STARTS = {
    b"\x89PNG": "a PNG image", b"\xff\xd8\xff": "a JPEG image", b"GIF8": "a GIF image",
    b"<": "a web page or XML",
}  # fmt: skip
_INSIDE = {
    "word/document.xml": "a Word document", "ppt/presentation.xml": "a PowerPoint presentation",
    "xl/workbook.bin": "a binary Excel file (.xlsb)", "content.xml": "an OpenDocument file",
}  # fmt: skip


def read_xlsx(source: Source) -> Sheet:
    """Read the first worksheet that has a table; a row's line is its number in the sheet."""
    page, others = _worksheet(source)
    filled = [(k, row) for k, row in enumerate(page.rows, 1) if row]
    notes = []
    if others:
        notes.append(f"{source.name}: sheet {page.title!r} is read, not {', '.join(others)}")
    if page.merged:
        where = ", ".join(page.merged[:3]) + (", ..." if len(page.merged) > 3 else "")
        notes.append(f"{source.name}: cells merged downwards ({where}) stand in each of their rows")
    if not filled:
        return Sheet([], [], notes=notes)
    titles = _titles([row for _, row in filled], source)
    sample = [_names(row) for _, row in filled[titles : titles + SAMPLE_LINES]]
    # A list of texts without a header may start with a question; a row of several may be a form's.
    if named := has_header(sample, source, questions=_width(sample[0]) > 1):
        columns = unique_names(sample[0])
        notes += _told(source, [k for k, _ in filled[: titles + 1]])
        filled = filled[titles + 1 :]
    else:
        width = max(len(row) for _, row in filled)
        columns = [f"column {k + 1}" for k in range(width)]
        notes.append(f"{source.name} has no header; its columns are called column 1 to {width}")
    again = sample[0] if named else None
    records = [_excel_row(source.at(k), row, columns, again) for k, row in filled]
    return Sheet(columns, records, named, notes)


def for_excel(text: str, source: str | Path) -> str:
    """The text of a csv made from `source`: with the byte-order mark where that is an Excel file,
    or a text with the mark or in another encoding than UTF-8, which Excel is likely to have
    written.

    Its reader is likely to open the csv in Excel, which takes UTF-8 without the mark for the
    country's own encoding (GBK in China) and shows other letters.

    >>> for_excel("text", "a.xlsx"), for_excel("text", "a.csv")
    ('\\ufefftext', 'text')
    """
    path = Path(source)
    if path.suffix.lower() in SUFFIXES:
        return "\ufeff" + text
    foreign = path.suffix.lower() in (".csv", ".tsv", ".txt") and is_foreign(path)
    return "\ufeff" + text if foreign else text


# ---------------------------------------------------------------------------- rows


def _titles(rows: Sequence[Cells], source: Source) -> int:
    """How many rows at the top are titles: a single filled cell each, above rows with several.

    Where nothing is known by its name, most rows below must have several, or the sheet is a list
    with a remark beside it.
    """
    titles = next((k for k, row in enumerate(rows) if _width(row) > 1), 0)
    top, below = rows[:titles], rows[titles:]
    if _is_headed(below[0], source):
        return titles
    if any(_is_headed(row, source) for row in top):
        return 0
    return titles if sum(_width(row) > 1 for row in below) * 2 > len(below) else 0


def _told(source: Source, numbers: Sequence[int]) -> list[str]:
    """A note on the titles; `numbers` are their rows and the header's."""
    *titles, header = numbers
    if not titles:
        return []
    what = f"row {titles[0]} is a title"
    if len(titles) > 1:
        what = f"rows {titles[0]} to {titles[-1]} are titles"
    return [f"{source.name}: {what}, the header is row {header}"]


def _excel_row(
    origin: Origin, row: Cells, columns: list[str], names: list[str] | None
) -> Record | Broken:
    if _names(row) == names:
        return Broken(origin, "format-header", "the header once more")
    cells = [*row, *[None] * len(columns)]
    return Record(origin, dict(zip(columns, cells, strict=False)))


def _names(row: Cells) -> list[str]:
    return bare(["" if cell is None else str(cell) for cell in row])


def _width(row: Sequence[Any]) -> int:
    """How many cells have something in them."""
    return sum(cell not in (None, "") for cell in row)


def _is_headed(row: Cells, source: Source) -> bool:
    """Whether a row holds a column that the user named, or that many files have."""
    return any(cell in source.wanted or is_known_name(cell) for cell in _names(row))


# ---------------------------------------------------------------------------- sheets


def _worksheet(source: Source) -> tuple[_Page, list[str]]:
    """The first sheet with a table, else with rows; and the other sheets' names."""
    full = [page for page in _sheets(source) if any(page.rows)] or [_Page("", [], [])]
    chosen = next((k for k, page in enumerate(full) if _is_table(page.rows, source)), 0)
    page = full.pop(chosen)
    return page, [repr(other.title) for other in full]


def _is_table(rows: Sequence[Cells], source: Source) -> bool:
    """Two rows or more, and several columns or one that is known by its name."""
    filled = [row for row in rows if row]
    several = max(map(_width, filled)) > 1
    return len(filled) > 1 and (several or _is_headed(filled[0], source))


def _sheets(source: Source) -> list[_Page]:
    """Every sheet."""
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
        merged = _merged(source.raw)
        return [_page(sheet, merged.get(sheet.title, ())) for sheet in book.worksheets]
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, OSError, SyntaxError) as error:
        raise FewtuneError(_no_workbook(source)) from error


def _merged(raw: bytes) -> dict[str, list[CellRange]]:
    """Of every sheet the cells that are merged downwards, from the top.

    A book is read by rows, which tell of none; it is opened once more where its files do.
    """
    import openpyxl

    with zipfile.ZipFile(io.BytesIO(raw)) as files:
        sheets = [name for name in files.namelist() if name.startswith("xl/worksheets/")]
        if not any(b"<mergeCell " in files.read(name) for name in sheets):
            return {}
    book = openpyxl.load_workbook(io.BytesIO(raw))
    return {
        sheet.title: sorted(
            (one for one in sheet.merged_cells.ranges if one.max_row > one.min_row),
            key=lambda one: (one.min_row, one.min_col),
        )
        for sheet in book.worksheets
    }


def _page(sheet: Any, merged: Sequence[CellRange]) -> _Page:
    rows = [*map(_filled, sheet.iter_rows(values_only=True))]
    for area in merged:
        first, column = area.min_row - 1, area.min_col - 1
        above = rows[first] if first < len(rows) else ()
        value = above[column] if column < len(above) else None
        for k in range(first + 1, min(area.max_row, len(rows))):
            cells = [*rows[k], *[None] * (column + 1 - len(rows[k]))]
            cells[column] = value
            rows[k] = _filled(cells)
    return _Page(sheet.title, rows, [one.coord for one in merged])


def _filled(row: Sequence[Any]) -> Cells:
    """A row up to its last cell with something in it."""
    width = max((k for k, cell in enumerate(row, 1) if cell not in (None, "")), default=0)
    return tuple(map(_day, row[:width]))


def _day(cell: Any) -> Any:
    """A date without a time as text; Excel knows dates only as midnight of that day."""
    if isinstance(cell, datetime) and cell.time() == time():
        return cell.date().isoformat()
    return cell


def _no_workbook(source: Source) -> str:
    """The sentence for a file that is no workbook: what it is instead, and what to do."""
    found = _zipped(source.raw) if source.raw.startswith(b"PK") else _kind(source.raw)
    if not found:
        return (
            f"{source.name} cannot be read as Excel, for it is damaged or not whole; copy it once "
            "more, or open it in Excel and save it again, as .xlsx or .csv."
        )
    return (
        f"{source.name} is {found}, and an Excel file was expected; give the table itself, saved "
        "as .xlsx or .csv."
    )


def _kind(raw: bytes) -> str:
    """What a file without any zip archive is."""
    start = raw[:1000].lstrip(b"\xef\xbb\xbf \t\r\n")
    known = (what for first, what in _STARTS.items() if start.startswith(first))
    other = "no Excel file by its first bytes" if b"\x00" in start else "plain text"
    return next(known, other)


def _zipped(raw: bytes) -> str:
    """What a zip archive holds; nothing for a workbook, or an archive that does not open."""
    try:
        names = zipfile.ZipFile(io.BytesIO(raw)).namelist()
    except zipfile.BadZipFile:
        return ""
    if "xl/workbook.xml" in names:
        return ""
    known = (what for name, what in _INSIDE.items() if name in names)
    return next(known, "a zip archive without a workbook")
