"""The file formats. A new one costs one function and one suffix in FORMATS."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from fewtune.base.errors import FewtuneError, one_of
from fewtune.data.columns import unique_names
from fewtune.data.delimited import has_header, read_csv, read_tsv
from fewtune.data.encodings import MARK, Text, decode
from fewtune.data.excel import read_xlsx
from fewtune.data.sheet import Broken, Record, Sheet, Source

_NOT_OURS = {
    b"\x1f\x8b": "compressed (gzip); unpack it first",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word file; save it as .xlsx or .csv",
    b"%PDF": "a PDF; fewtune reads tables of rows such as csv or jsonl",
    b"SQLite format 3": "a database; export the table as csv",
}
_BLANKS = "\ufeff \t\r\n"
_NOT_TEXT = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")


# ---------------------------------------------------------------------------- json


def read_jsonl(source: Source) -> Sheet:
    """Read one JSON object a line; a file that is one array or object after all is read as that.

    Objects that stand one after another in some other way are read too, where all of them are
    whole; else those that share a line are set aside one by one.
    """
    text = decode(source)
    if text.text.lstrip(_BLANKS).startswith("["):
        return read_json(source)
    rows = [
        row
        for number, line in enumerate(text.lines(), start=1)
        if line.strip(_BLANKS)
        for row in _json_line(source, number, line)
    ]
    alone = len(rows) == 1 or not any(isinstance(row, Record) for row in rows)
    if rows and alone and _whole(text) is not None:
        return read_json(source)
    broken = any(isinstance(row, Broken) and row.code == "format-json" for row in rows)
    if broken and (items := _one_after_another(text)):
        return _of_items(source, items, text, _numbered(source, items))
    return _of_objects(rows, text.notes)


def _json_line(source: Source, number: int, line: str) -> list[Record | Broken]:
    """What a line holds: one record mostly, or as many broken ones as objects share it."""
    at = source.at(number)
    if MARK in line:
        return [Broken(at, "format-encoding", "bytes that the file's encoding does not have")]
    try:
        value = json.loads(line.strip(_BLANKS))
        if _holds_rows(value):
            return [Broken(at, "format-json", "a list of objects on one line")] * len(value)
        return [_json_record(source, number, value)]
    except (ValueError, RecursionError) as error:
        count = len(_values(line)[0])
        reason = f"{count} objects on one line where one is expected"
        if count > 1:
            return [Broken(at, "format-json", reason)] * count
        return [Broken(at, "format-json", f"no JSON object: {_why(error)}")]


def read_json(source: Source) -> Sheet:
    """Read an array of objects, an object with one list of objects, or a single object.

    Where the text is not JSON as a whole, its lines are tried (many .json files are JSON lines);
    otherwise the array's elements are read one by one and the broken ones set aside.
    """
    text = decode(source)
    whole = _whole(text)
    if whole is None:
        if not text.text.lstrip(_BLANKS).startswith("["):
            return read_jsonl(source)
        if items := _one_after_another(text):
            return _of_items(source, items, text, _numbered(source, items))
        return _of_objects(list(_salvage(source, text.text)), list(text.notes))
    items, key = _list_in(source, whole)
    notes = [f"the rows of {source.name} are its list {key!r}"] if key else []
    return _of_items(source, items, text, notes)


def _numbered(source: Source, items: list[Any]) -> list[str]:
    told = "its objects stand one after another and not one a line; rows are named by their number"
    return [] if _cells(items) else [f"{source.name}: {told}"]


def _of_items(source: Source, items: list[Any], text: Text, notes: list[str]) -> Sheet:
    """A list's elements as rows: objects, or lists of cells."""
    notes = [*text.notes, *notes]
    if width := _cells(items):
        return _of_lists(source, items, width, notes)
    records = (_json_record(source, k, item, text.damaged) for k, item in enumerate(items, 1))
    return _of_objects(list(records), notes)


def _cells(items: list[Any]) -> int:
    """How many cells the rows have where all are lists of single values; else 0."""
    if not all(isinstance(one, list) for one in items):
        return 0
    if any(isinstance(cell, list | dict) for one in items for cell in one):
        return 0
    (width, _), *_ = Counter(map(len, items)).most_common(1) or [(0, 0)]
    return width if width > 1 else 0


def _of_lists(source: Source, items: list[list[Any]], width: int, notes: list[str]) -> Sheet:
    """Rows such as `["pump is hot", "pump"]`, whose first may name the columns."""
    sample = [[str(cell) for cell in one] for one in items[:200]]
    named = len(items[0]) == width and has_header(sample, source)
    columns = unique_names(sample[0]) if named else [f"column {k + 1}" for k in range(width)]
    if not named:
        notes = [*notes, f"{source.name} names no columns; they are called column 1 to {width}"]
    records: list[Record | Broken] = []
    for number, one in enumerate(items, 1):
        at = source.at(number)
        if len(one) != width:
            reason = f"{len(one)} values where most rows have {width}"
            records.append(Broken(at, "format-ragged", reason))
        elif number > 1 or not named:
            records.append(Record(at, dict(zip(columns, one, strict=True))))
    return Sheet(columns, records, named, notes)


def _one_after_another(text: Text) -> list[Any] | None:
    """The values of a text that is JSON values one after another, and the elements of lists among
    them; None where something else stands between."""
    values, whole = _values(text.text)
    if not whole or not all(isinstance(one, list | dict) for one in values):
        return None
    if _cells(values):
        return values
    return [one for value in values for one in (value if _holds_rows(value) else [value])]


def _holds_rows(value: Any) -> bool:
    """A list with objects in it, which are no turns."""
    return isinstance(value, list) and any(_is_objects([one]) for one in value)


def _values(text: str) -> tuple[list[Any], bool]:
    """JSON values from the start of a text, and whether nothing else is left."""
    decoder, between = json.JSONDecoder(), re.compile(r"[\s,\ufeff]*")
    values: list[Any] = []
    at = between.match(text).end()  # type: ignore[union-attr]
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return values, False
        values.append(value)
        at = between.match(text, at).end()  # type: ignore[union-attr]
    return values, True


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
    """A list of rows: of objects, which are no turns of one dialogue."""
    if not isinstance(value, list) or not value or not all(isinstance(v, dict) for v in value):
        return False
    return not all(one.keys() & {"role", "from"} for one in value)


def _salvage(source: Source, text: str, number: int = 0) -> Iterator[Record | Broken]:
    """The elements of an array that is damaged somewhere; after a broken one, reading goes on at
    the next `{` that begins like the first element did."""
    decoder = json.JSONDecoder()
    first = re.compile(r"\s*\[\s*").match(text.lstrip("\ufeff"))
    assert first is not None
    text = text.lstrip("\ufeff")
    lead = first.group().rpartition("\n")
    again = re.compile("\n" + lead[2] + r"(?=\{)" if lead[1] else r"\}\s*,\s*(?=\{)")
    between, at = re.compile(r"[\s,]*"), first.end()
    while at < len(text) and text[at] != "]":
        number += 1
        try:
            value, at = decoder.raw_decode(text, at)
            yield _json_record(source, number, value, damaged=True)
        except (ValueError, RecursionError) as error:
            yield Broken(source.at(number), "format-json", f"no JSON: {_why(error)}")
            found = again.search(text, at + 1)
            at = found.end() if found else len(text)
        gap = between.match(text, at)
        at = gap.end() if gap else at
    rest = text[at + 1 :].strip()
    if rest.startswith("["):  # files that were joined
        yield from _salvage(source, rest, number)
    elif rest:
        reason = "text after the end of the list; one list, or one object a line, is expected"
        yield Broken(source.at(number + 1), "format-json", reason)


def _why(error: ValueError | RecursionError) -> str:
    return "lists in lists too deep to read" if isinstance(error, RecursionError) else str(error)


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
SUFFIXES = frozenset(suffix for one in FORMATS.values() for suffix in one.suffixes)


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
    start = text.text.lstrip(_BLANKS)
    if not start.startswith(("{", "[")):
        return False
    return _whole(text) is not None or _begins_with_object(start.splitlines())


def _begins_with_object(lines: Iterable[str]) -> bool:
    try:
        return all(isinstance(json.loads(line), dict) for line in islice(lines, 1))
    except (ValueError, RecursionError):
        return False
