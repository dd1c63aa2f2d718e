"""Write the training rows anew with the safe fixes; the file that was read stays as it is."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fewtune.base.errors import UsageError, shortened
from fewtune.base.files import at, write_atomic
from fewtune.check.finding import Finding
from fewtune.check.look import Look
from fewtune.check.private import mask
from fewtune.data.row import Row


def fixed(look: Look, findings: Sequence[Finding], masked: bool) -> tuple[list[Row], list[str]]:
    """The training rows as they should be, and a line a change.

    Only training rows are dropped or relabelled; `masked` also replaces what is private.
    """
    if look.shape.name != "text/label":
        raise UsageError(
            f"fix: rows of text and label can be written anew, and these are {look.shape.name}; "
            "mend the file by hand."
        )
    drop = {origin: one.code for one in findings for origin in one.drop}
    mend: dict[Any, Mapping[str, Any]] = {}
    for one in findings:
        mend |= one.mend
    rows, changes = [], []
    for row in look.train:
        if row.origin in drop:
            changes.append(f"{row.origin}: dropped [{drop[row.origin]}]")
            continue
        if row.origin in mend:
            old, new = row["label"], mend[row.origin]["label"]
            changes.append(f"{row.origin}: label {shortened(old)} -> {shortened(new)}")
            row = row.with_fields(**mend[row.origin])
        if masked and (text := mask(row["text"])) != row["text"]:
            changes.append(f"{row.origin}: private text masked")
            row = row.with_fields(text=text)
        rows.append(row)
    changes += [f"{one.origin}: left out [{one.code}]" for one in look.ledger.quarantined]
    return rows, changes


def write_fixed(rows: Sequence[Row], path: str) -> None:
    """Write rows with columns text and label.

    Raises:
        UsageError: the name does not end in .csv or .jsonl.
    """
    writers = {".csv": _as_csv, ".jsonl": _as_jsonl}
    suffix = Path(path).suffix
    if suffix not in writers:
        raise UsageError(f"fix: a name ending in {' or '.join(writers)}; got {path!r}.")
    write_atomic(at(path), writers[suffix](rows))


def _as_csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["text", "label"])
    writer.writerows([row["text"], row["label"]] for row in rows)
    return text.getvalue()


def _as_jsonl(rows: Sequence[Row]) -> str:
    lines = (
        json.dumps({"text": row["text"], "label": row["label"]}, ensure_ascii=False) for row in rows
    )
    return "".join(f"{line}\n" for line in lines)
