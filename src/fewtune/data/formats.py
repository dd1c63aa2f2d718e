"""The file formats. A new one costs one function and one suffix in FORMATS."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from fewtune.base.errors import FewtuneError, one_of
from fewtune.data.columns import unique_names
from fewtune.data.delimited import read_csv, read_tsv
from fewtune.data.encodings import MARK, Text, decode
from fewtune.data.sheet import Broken, Record, Sheet, Source

_NOT_OURS = {
    b"\x1f\x8b": "compressed (gzip); unpack it first",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word file; save it as .xlsx or .csv",
    b"%PDF": "a PDF; fewtune reads tables of rows such as csv or jsonl",
    b"SQLite format 3": "a database; export the table as csv",
}
_NOT_TEXT = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")


# ---------------------------------------------------------------------------- json


def read_jsonl(source: Source) -> Sheet:
    """Read one JSON object a line; a file that is one array or object after all is read as that."""
    text = decode(source)
    if text.text.lstrip("\ufeff \t\r\n").startswith("["):
        return read_json(source)
    rows = [
        _json_line(source, number, line)
        for number, line in enumerate(text.lines(), start=1)
        if line.strip("\ufeff \t\r\n")
    ]
    alone = len(rows) == 1 or not any(isinstance(row, Record) for row in rows)
    if rows and alone and _whole(text) is not None:
        return read_json(source)
    return _of_objects(rows, text.notes)


def _json_line(source: Source, number: int, line: str) -> Record | Broken:
    if MARK in line:
        reason = "bytes that the file's encoding does not have"
        return Broken(source.at(number), "format-encoding", reason)
    try:
        return _json_record(source, number, json.loads(line.strip("\ufeff \t\r\n")))
    except (ValueError, RecursionError) as error:
        return Broken(source.at(number), "format-json", f"no JSON object: {error}")


def read_json(source: Source) -> Sheet:
    """Read an array of objects, an object with one list of objects, or a single object.

    Where the text is not JSON as a whole, its lines are tried (many .json files are JSON lines);
    otherwise the array's elements are read one by one and the broken ones set aside.
    """
    text = decode(source)
    whole = _whole(text)
    notes = list(text.notes)
    if whole is None:
        if text.text.lstrip("\ufeff \t\r\n").startswith("["):
            return _of_objects(list(_salvage(source, text.text)), notes)
        return read_jsonl(source)
    items, key = _list_in(source, whole)
    if key:
        notes.append(f"the rows of {source.name} are its list {key!r}")
    records = (_json_record(source, k, item, text.damaged) for k, item in enumerate(items, 1))
    return _of_objects(list(records), notes)


def _whole(text: Text) -> Any:
    try:
        return json.loads(text.text.lstrip("\ufeff"))
    except (ValueError, RecursionError):
        return None


def _list_in(source: Source, whole: Any) -> tuple[list[Any], str | None]:
    if isinstance(whole, list):
        return whole, None
    if not isinstance(whole, dict):
        raise FewtuneError(
            f"{source.name} holds one JSON {_kind(whole)}; a list of objects was expected, such as "
            '[{"text": "...", "label": "..."}].'
        )
    lists = [key for key, value in whole.items() if _is_objects(value)]
    if len(lists) > 1:
        raise FewtuneError(
            f"{source.name} holds {len(lists)} lists of objects ({', '.join(lists)}) and one was "
            "expected; save the one with the rows as a file of its own."
        )
    return (whole[lists[0]], lists[0]) if lists else ([whole], None)


def _is_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _salvage(source: Source, text: str) -> Iterator[Record | Broken]:
    """The elements of an array that is damaged somewhere; after a broken one, reading goes on at
    the next `{` that begins like the first element did."""
    decoder = json.JSONDecoder()
    first = re.compile(r"\s*\[\s*").match(text.lstrip("\ufeff"))
    assert first is not None
    text = text.lstrip("\ufeff")
    lead = first.group().rpartition("\n")
    again = re.compile("\n" + lead[2] + r"(?=\{)" if lead[1] else r"\}\s*,\s*(?=\{)")
    between, at, number = re.compile(r"[\s,]*"), first.end(), 0
    while at < len(text) and text[at] != "]":
        number += 1
        try:
            value, at = decoder.raw_decode(text, at)
            yield _json_record(source, number, value, damaged=True)
        except (ValueError, RecursionError) as error:
            yield Broken(source.at(number), "format-json", f"no JSON: {error}")
            found = again.search(text, at + 1)
            at = found.end() if found else len(text)
        gap = between.match(text, at)
        at = gap.end() if gap else at
    if text[at + 1 :].strip():
        yield Broken(source.at(number + 1), "format-json", "text after the end of the list")


def _json_record(source: Source, number: int, value: Any, damaged: bool = False) -> Record | Broken:
    if not isinstance(value, dict):
        reason = f"a {_kind(value)} where an object with the columns is expected"
        return Broken(source.at(number), "format-type", reason)
    if damaged and MARK in json.dumps(value, ensure_ascii=False):
        reason = "bytes that the file's encoding does not have"
        return Broken(source.at(number), "format-encoding", reason)
    return Record(source.at(number), value)


def _kind(value: Any) -> str:
    names = {dict: "object", list: "list", str: "text", bool: "truth value", type(None): "null"}
    return names.get(type(value), "number")


def _of_objects(rows: list[Record | Broken], notes: list[str]) -> Sheet:
    columns: dict[str, None] = {}
    for row in rows:
        if isinstance(row, Record):
            columns.update(dict.fromkeys(row.values))
    return Sheet(list(columns), rows, notes=notes)


# ---------------------------------------------------------------------------- parquet, excel


def read_parquet(source: Source) -> Sheet:
    """Read a parquet file; a row's line is its number."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        table = parquet.read_table(pa.BufferReader(source.raw))
        columns = unique_names(table.column_names)
        rows = table.rename_columns(columns).to_pylist()
        named = _class_names((table.schema.metadata or {}).get(b"huggingface"))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FewtuneError(
            f"{source.name} cannot be read as parquet ({str(error).splitlines()[0]}); write it "
            "again, or give csv or jsonl."
        ) from error
    for column, names in named.items():
        for row in rows:
            number = row.get(column)
            if isinstance(number, int):  # -1 is how the hub says that a test row has no label
                row[column] = names[number] if 0 <= number < len(names) else None
    return Sheet(columns, [Record(source.at(k), row) for k, row in enumerate(rows, 1)])


def _class_names(metadata: bytes | None) -> dict[str, list[str]]:
    """Columns of class numbers -> their names, which `datasets` writes into a parquet's schema."""
    told = json.loads(metadata) if metadata else {}
    features = told.get("info", {}).get("features") or {}
    return {
        column: feature["names"]
        for column, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
    }


def read_xlsx(source: Source) -> Sheet:
    """Read the first worksheet that has rows; a row's line is its number in the sheet."""
    name, rows, others = _worksheet(source)
    filled = ((k, row) for k, row in enumerate(rows, 1) if any(c not in (None, "") for c in row))
    _, first = next(filled, (0, ()))
    while first and first[-1] in (None, ""):
        first = first[:-1]
    columns = unique_names("" if cell is None else str(cell) for cell in first)
    records = [
        Record(source.at(k), dict(zip(columns, [*row, *[None] * len(columns)], strict=False)))
        for k, row in filled
    ]
    notes = [f"{source.name}: sheet {name!r} is read, not {', '.join(others)}"] if others else []
    return Sheet(columns, records, notes=notes)


def _worksheet(source: Source) -> tuple[str, list[tuple[Any, ...]], list[str]]:
    """The first sheet with rows: its name, its rows, and the other sheets' names."""
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
        found = [(s.title, list(s.iter_rows(values_only=True))) for s in book.worksheets]
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, OSError, SyntaxError) as error:
        raise FewtuneError(
            f"{source.name} cannot be read as Excel ({error}); save it again, or as csv."
        ) from error
    full = [(title, rows) for title, rows in found if rows] or [("", [])]
    return full[0][0], full[0][1], [repr(title) for title, _ in full[1:]]


# ---------------------------------------------------------------------------- registry


@dataclass(frozen=True)
class Format:
    """A format: how it is read and which suffixes name it."""

    read: Callable[[Source], Sheet]
    suffixes: tuple[str, ...]


FORMATS: dict[str, Format] = {
    "csv": Format(read_csv, (".csv",)),
    "tsv": Format(read_tsv, (".tsv", ".tab")),
    "json": Format(read_json, (".json",)),
    "jsonl": Format(read_jsonl, (".jsonl", ".ndjson")),
    "parquet": Format(read_parquet, (".parquet", ".pq")),
    "xlsx": Format(read_xlsx, (".xlsx", ".xlsm")),
}


def read_sheet(source: Source, asked: str | None = None) -> Sheet:
    """Read a file in the format asked for, else the one its first bytes or its suffix show.

    Raises:
        FewtuneError: the file as a whole is not what fewtune reads.
    """
    if asked and asked not in FORMATS:
        raise FewtuneError(one_of("format", asked, FORMATS))
    return FORMATS[asked or format_of(source)].read(source)


def format_of(source: Source) -> str:
    """The format's name, by first bytes, then suffix, then content."""
    for start, what in _NOT_OURS.items():
        if source.raw.startswith(start):
            raise FewtuneError(f"{source.name} is {what}.")
    if source.raw.startswith(b"PAR1"):
        return "parquet"
    if source.raw.startswith(b"PK\x03\x04"):
        return "xlsx"
    suffix = source.path.suffix.lower()
    named = next((name for name, one in FORMATS.items() if suffix in one.suffixes), None)
    if named in ("parquet", "xlsx"):
        return named
    text = decode(source)
    _refuse_binary(source, text.text)
    return named or ("json" if _is_json(text) else "csv")


def _refuse_binary(source: Source, text: str) -> None:
    head = text[: 1 << 13]
    # A stray control character is mended row by row; a tenth of them is no text.
    if len(_NOT_TEXT.findall(head)) * 10 > len(head):
        raise FewtuneError(
            f"{source.name} is not text; fewtune reads {', '.join(FORMATS)}. Where it is text, "
            "name its --encoding."
        )


def _is_json(text: Text) -> bool:
    start = text.text.lstrip("\ufeff \t\r\n")
    if not start.startswith(("{", "[")):
        return False
    return _whole(text) is not None or _begins_with_object(start.splitlines())


def _begins_with_object(lines: Iterable[str]) -> bool:
    try:
        return all(isinstance(json.loads(line), dict) for line in islice(lines, 1))
    except (ValueError, RecursionError):
        return False
