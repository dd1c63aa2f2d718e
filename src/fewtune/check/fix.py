"""Write the training rows anew with the safe fixes; the file that was read stays as it is."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewtune.base.errors import UsageError, shortened
from fewtune.base.files import write_new
from fewtune.check.finding import Finding
from fewtune.check.look import Look
from fewtune.check.private import mask
from fewtune.data.cleaner import without_control
from fewtune.data.excel import for_excel
from fewtune.data.row import Origin, Row
from fewtune.data.sheet import Record, Sheet


@dataclass(frozen=True)
class Fixed:
    """A file's rows as they should be.

    Attributes:
        columns: all of the file's, in its order.
        records: column -> value, a row each.
        changes: a line each.
        source: the file that they are read from.
    """

    columns: Sequence[str]
    records: Sequence[Mapping[str, Any]]
    changes: Sequence[str]
    source: str


def refuse_fix(look: Look, path: Path) -> None:
    """What cannot be written anew.

    Raises:
        UsageError: rows of images, or lists in a csv file.
    """
    if not look.fixable:
        raise UsageError(
            f"fix: rows of {look.shape.name} are not written anew, as paths of images would point "
            "elsewhere; mend the file by hand."
        )
    nested = any(isinstance(value, list | dict) for _, value in _cells(look))
    if nested and path.suffix == ".csv":
        raise UsageError(
            f"fix: these rows ({look.shape.name}) hold lists, which a table cannot; name a file "
            f"ending in .jsonl; got {str(path)!r}."
        )


def fixed(look: Look, findings: Sequence[Finding], masked: bool, path: str) -> Fixed:
    """The training rows of `path` as they should be, with every column that they have, and the
    changes.

    Only training rows are dropped or relabelled; `masked` also replaces what is private. A text
    that reading cut stays whole.
    """
    assert look.file is not None
    sheet = look.file()
    read = {row.origin: row for row in look.whole}
    drop = {origin: one.code for one in findings for origin in one.drop}
    mend = {origin: fields for one in findings for origin, fields in one.mend.items()}
    aside = {entry.origin: entry.code for entry in look.ledger.quarantined}
    spelled = {entry.origin: entry.code for entry in look.ledger.fixed}
    cut: dict[Origin, list[str]] = defaultdict(list)  # the roles of a row whose texts were cut
    for entry in look.ledger.truncated:
        cut[entry.origin].append(entry.code.removeprefix("truncated-"))
    records, changes = [], []
    for record in sheet.records:
        origin = record.origin
        if not isinstance(record, Record) or origin not in read:
            changes.append(f"{origin}: left out [{aside.get(origin, 'format')}]")
            continue
        if origin in drop:
            changes.append(f"{origin}: dropped [{drop[origin]}]")
            continue
        row = read[origin]
        if origin in spelled:
            changes.append(f"{origin}: mended [{spelled[origin]}]")
        if origin in mend:
            old, new = row["label"], mend[origin]["label"]
            changes.append(f"{origin}: label {shortened(old)} -> {shortened(new)}")
            row = row.with_fields(label=new)
        values = _as_read(record, row, look, cut[origin])
        if masked and (clean := _masked(values, look)) != values:
            changes.append(f"{origin}: private text masked")
            values = clean
        records.append(values)
    return _named(sheet, look, records, changes, path)


def write_fixed(done: Fixed, path: Path) -> None:
    """Write the rows.

    Raises:
        FewtuneError: the disk says no.
    """
    write_new(path, WRITERS[path.suffix](done))


def _as_read(record: Record, row: Row, look: Look, cut: Collection[str]) -> dict[str, Any]:
    """A record with the texts and labels that reading made of it, those of the roles `cut` at
    their full length; 1 stays a number."""
    values = dict(record.values)
    for role, column in look.columns.items():
        raw, read = str(values.get(column)), row.get(role)
        if isinstance(read, str) and raw != read:
            values[column] = without_control(raw) if role in cut else read
    return values


def _masked(values: Mapping[str, Any], look: Look) -> dict[str, Any]:
    """A record without anything private in what is read as text."""
    texts = [column for role, column in look.columns.items() if role not in ("label", "labels")]
    return {k: _without_secrets(v) if k in texts else v for k, v in values.items()}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, list):
        return [*map(_without_secrets, value)]
    if isinstance(value, dict):
        return {key: _without_secrets(one) for key, one in value.items()}
    return value


def _named(
    sheet: Sheet,
    look: Look,
    records: Sequence[Mapping[str, Any]],
    changes: Sequence[str],
    path: str,
) -> Fixed:
    """With names for the columns of a file that has none: those of the roles."""
    roles = {} if sheet.named else {column: role for role, column in look.columns.items()}
    columns = [roles.get(column, column) for column in sheet.columns]
    renamed = [{roles.get(k, k): value for k, value in one.items()} for one in records]
    return Fixed(columns, renamed, changes, path)


def _cells(look: Look) -> Iterator[tuple[Origin, Any]]:
    """Every value of the training file, with its row."""
    assert look.file is not None
    for record in look.file().records:
        if isinstance(record, Record):
            yield from ((record.origin, value) for value in record.values.values())


def _as_csv(done: Fixed) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(done.columns)
    writer.writerows([one.get(column) for column in done.columns] for one in done.records)
    return for_excel(text.getvalue(), done.source)


def _as_jsonl(done: Fixed) -> str:
    lines = (json.dumps(one, ensure_ascii=False, default=str) for one in done.records)
    return "".join(f"{line}\n" for line in lines)


WRITERS = {".csv": _as_csv, ".jsonl": _as_jsonl}
