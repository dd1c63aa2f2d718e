"""Tables with delimiters (csv, tsv and their like) and lines of `label text`."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

from fewtune.data.columns import is_known_name, unique_names
from fewtune.data.encodings import MARK, Text, decode
from fewtune.data.sheet import Broken, Record, Sheet, Source

SAMPLE_LINES = 400  # physical lines that delimiter and header are judged by
LONGEST_FIELD = 1 << 30  # characters; Python's own limit of 131,072 refuses a long report
#: Files that have a header unless the first row looks like data.
HEADED_SUFFIXES = {".csv", ".tsv", ".xlsx", ".xlsm"}

_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?%?")
_LABEL_LIKE = re.compile(r"[+-]?\d+(\.\d+)?|__label__\S+|[A-Z][A-Z_/-]+|[\w-]+:\S+")


@dataclass(frozen=True)
class Dialect:
    """How fields are separated; `tight` drops blanks after a delimiter ("text, label")."""

    delimiter: str
    tight: bool = False


Fields = tuple[int, list[str] | None, bool]  # first line, fields (None: unreadable), mended


def read_csv(source: Source) -> Sheet:
    """Read a delimited file; the delimiter (comma, tab, semicolon, bar) is found out."""
    return _read(source, ",\t;|")


def read_tsv(source: Source) -> Sheet:
    """Read a file delimited by tabs, or by something else where it holds no tab."""
    return _read(source, "\t") if b"\t" in source.raw else read_csv(source)


def _read(source: Source, delimiters: str) -> Sheet:
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_FIELD))
    text = decode(source)
    lines = text.lines()
    headed = source.path.suffix.lower() in HEADED_SUFFIXES
    dialect = sniff(lines[:SAMPLE_LINES], delimiters, sure=headed)
    if dialect is None and _is_labelled_lines(lines):
        return _labelled_lines(source, text, lines)
    return _table(source, text, lines, dialect or Dialect(delimiters[0]))


# ---------------------------------------------------------------------------- tables


def _table(source: Source, text: Text, lines: list[str], dialect: Dialect) -> Sheet:
    sample = [f for _, f, _ in fields_of(lines[:SAMPLE_LINES], dialect) if f is not None]
    if not sample:
        return Sheet([], [], notes=text.notes)
    named = has_header(sample, source)
    width = len(sample[0]) if named else _commonest_width(sample)
    header = _header(sample[0]) if named else [f"column {k + 1}" for k in range(width)]
    width = len(header)
    notes = list(text.notes)
    if not named and width > 1:
        notes.append(f"{source.name} has no header; its columns are called column 1 to {width}")
    rows = fields_of(lines, dialect, width)
    if named:
        next(rows)
    like = "the header has" if named else "most rows have"
    names = bare(sample[0])[:width] if named else None
    records = [_record(source, text.damaged, header, row, like, names) for row in rows]
    return Sheet(header, records, named, notes)


def _record(
    source: Source,
    damaged: bool,
    header: list[str],
    row: Fields,
    like: str,
    names: list[str] | None,
) -> Record | Broken:
    line, fields, mended = row
    origin = source.at(line)
    if fields is None:
        reason = "a quote stands inside a quoted field or is never closed"
        return Broken(origin, "format-quotes", reason)
    if damaged and any(MARK in field for field in fields):
        return Broken(origin, "format-encoding", "bytes that the file's encoding does not have")
    width = len(header)
    if not _fits(fields, width):
        reason = f"{_fields(len(fields))} where {like} {width}"
        had = dict(zip(header, fields, strict=False)) if len(fields) < width else None
        return Broken(origin, "format-ragged", reason, had)
    if names and bare(fields[:width]) == names:
        return Broken(origin, "format-header", "the header once more")
    told = "a stray quote is read as part of the text" if mended else ""
    return Record(origin, dict(zip(header, fields, strict=False)), told)


def fields_of(lines: Sequence[str], dialect: Dialect, width: int | None = None) -> Iterator[Fields]:
    """Split lines into fields, rows with quoted line breaks included.

    One stray quote can swallow the rest of a file. So a record that breaks the rules of quoting,
    or that spans several lines and comes out with the wrong number of fields, is read again as
    that one line with its quotes taken literally, and reading goes on at the next line.

    Args:
        lines: physical lines with their ends.
        dialect: how fields are separated.
        width: the expected number of fields, or None where it is not known yet.

    Yields:
        The first physical line (1-based), the fields or None, and whether quotes were stray.
    """
    start = wasted = 0
    while start < len(lines):
        # Text such as `5","a` on every line would be read to the file's end again and again.
        patient = wasted < 20 * len(lines)
        reader = csv.reader(
            _from(lines, start, len(lines) if patient else start + 1),
            delimiter=dialect.delimiter,
            skipinitialspace=dialect.tight,
            strict=True,
        )
        done = 0  # lines of this reader that are used up
        try:
            for fields in reader:
                if reader.line_num - done > 1 and not _fits(fields, width):
                    break
                first, done = start + done + 1, reader.line_num
                if len(fields) > 1 or (fields and fields[0].strip()):
                    yield first, fields, False
            else:
                start += done
                continue
        except csv.Error:
            pass
        wasted += reader.line_num - done
        start += done + 1
        yield start, _literal(lines[start - 1], dialect, width), True


def _from(lines: Sequence[str], start: int, stop: int) -> Iterator[str]:
    for k in range(start, stop):
        yield lines[k]


def _literal(line: str, dialect: Dialect, width: int | None) -> list[str] | None:
    fields = line.rstrip("\r\n").split(dialect.delimiter)
    return fields if _fits(fields, width) else None


def _fits(fields: list[str], width: int | None) -> bool:
    """Whether the number of fields is right; a spreadsheet's trailing empty cells do not count."""
    return width is None or (len(fields) >= width and not any(fields[width:]))


def _commonest_width(sample: list[list[str]]) -> int:
    return Counter(map(len, sample)).most_common(1)[0][0]


def _fields(count: int) -> str:
    return f"{count} field" if count == 1 else f"{count} fields"


def _header(cells: list[str]) -> list[str]:
    while len(cells) > 1 and not cells[-1].strip():
        cells = cells[:-1]
    return unique_names([cell.replace(MARK, "\N{REPLACEMENT CHARACTER}") for cell in cells])


# ---------------------------------------------------------------------------- guesses


def sniff(lines: list[str], delimiters: str, sure: bool = False) -> Dialect | None:
    """The delimiter under which the rows are most alike, or None where none divides them.

    Args:
        lines: the file's first lines.
        delimiters: candidates, the preferred first.
        sure: take the best candidate although many rows differ in their number of fields.
    """
    best, best_score = None, (False, 0.0, 0)
    for delimiter in delimiters:
        tight = delimiter != "\t" and bool(lines) and delimiter + " " in lines[0]
        dialect = Dialect(delimiter, tight)
        widths = [len(f) for _, f, _ in fields_of(lines, dialect) if f is not None]
        if not widths or max(widths) < 2:
            continue
        width, count = Counter(widths).most_common(1)[0]
        enough = width >= 2 and count >= 0.8 * len(widths)
        score = (widths[0] == width, count / len(widths), width)
        if (enough or (sure and widths[0] >= 2)) and score > best_score:
            best, best_score = dialect, score
    return best


def has_header(sample: list[list[str]], source: Source, questions: bool = False) -> bool:
    """Whether the first row names the columns rather than being data.

    Args:
        sample: the first rows.
        source: the file.
        questions: columns may be called by whole sentences, as the forms' questions are.
    """
    first, *others = map(bare, sample)
    if source.wanted & set(first):
        return True
    again = _recurring(first, [row for row in others if row != first])
    # A column may be called what one of its labels is called: `text,spam` with spam and ham.
    if any(is_known_name(cell) and not back for cell, back in zip(first, again, strict=True)):
        return True
    headed = source.path.suffix.lower() in HEADED_SUFFIXES
    is_data = _NUMBER.fullmatch if questions else _is_data
    return headed and not any(again) and not any(map(is_data, first))


def bare(cells: Sequence[str]) -> list[str]:
    """Cells as names are compared: without blanks, and without the byte-order mark and the quotes
    after it that a joined file brings into the middle.

    >>> bare(["\\ufefftext", " label "]), bare(['\\ufeff"text"'])
    (['text', 'label'], ['text'])
    """
    return [
        (cell.strip()[1:].strip('" ') if cell.startswith("\ufeff") else cell.strip())
        for cell in cells
    ]


def _is_data(cell: str) -> bool:
    """Numbers, long texts and whole sentences are no column's name."""
    return bool(_NUMBER.fullmatch(cell)) or len(cell) > 60 or cell.endswith(tuple(".?!。？！"))


def _recurring(first: list[str], others: list[list[str]]) -> list[bool]:
    """Which values of the first row come back in their column, as labels do and names do not."""
    columns = [{row[k] for row in others if k < len(row)} for k in range(len(first))]
    return [bool(cell) and cell in seen for cell, seen in zip(first, columns, strict=True)]


# ---------------------------------------------------------------------------- label text


def _is_labelled_lines(lines: list[str]) -> bool:
    """Lines such as `1 a stirring film`: few first words, which look like labels."""
    pairs = [line.split(maxsplit=1) for line in lines if line.strip()]
    words = Counter(pair[0] for pair in pairs)
    if len(pairs) < 4 or mean(len(pair) == 2 for pair in pairs) < 0.9:
        return False
    few = len(words) <= min(100, max(2, len(pairs) / 5))
    # Prose also has few first words ("I", "The") while it is short: then they must look like it.
    return few and (len(words) * 50 <= len(pairs) or all(map(_LABEL_LIKE.fullmatch, words)))


def _labelled_lines(source: Source, text: Text, lines: list[str]) -> Sheet:
    records: list[Record | Broken] = []
    for number, line in enumerate(lines, start=1):
        if MARK in line:
            reason = "bytes that the file's encoding does not have"
            records.append(Broken(source.at(number), "format-encoding", reason))
        elif line.strip():
            label, rest = [*line.split(maxsplit=1), ""][:2]
            records.append(Record(source.at(number), {"label": label, "text": rest.rstrip()}))
    note = f"{source.name} has no header; in each line the first word is the label"
    return Sheet(["label", "text"], records, True, [*text.notes, note])
