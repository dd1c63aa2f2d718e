"""`fewtune label`: suggestions for a person to correct, the most useful rows first."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Mapping
from typing import Any

from fewtune.base.errors import UsageError
from fewtune.base.events import Event
from fewtune.base.files import new_file, write_atomic
from fewtune.base.printable import printable
from fewtune.cli.predicting import cell
from fewtune.cli.screen import Screen
from fewtune.data.excel import for_excel
from fewtune.record.trouble import writing

USUAL = 100  # rows, about an hour of a person's work
COUNTS = ("read", "kept", "quarantined", "fixed", "truncated")
COLUMNS = ("text", "label", "confidence", "second", "origin")  # where there is no row


def label_file(run: str, source: str, screen: Screen, options: Mapping[str, Any]) -> int:
    """Write the rows to look at; the file trains once its `label` column is right."""
    from fewtune import api

    output = options.get("output")
    place = new_file(output, "output", (".csv",), (run, source)) if output else None
    heard: list[Event] = []
    with screen.busy("asking the model about every row"):
        rows = api.label(
            run, source, _count(options.get("rows")), options.get("text"), listen=heard.append
        )
    for event in heard:
        screen.listen(event)
    told = {
        "read": {name: heard[0][name] for name in COUNTS},
        "notes": [event["message"] for event in heard[1:]],
    }
    if place:
        with writing(place):
            write_atomic(place, for_excel(as_csv(rows), source))
        several = bool(rows) and "labels" in rows[0]
        said = f"{len(rows):,} rows, the most useful first: {output}; correct its "
        said += "column of labels." if several else "label column."
        if several:
            said += " It trains with --task multilabel; [] says that a row has no label."
        screen.say({"output": output, "rows": len(rows), **told}, said)
    elif screen.json:
        screen.say({"rows": rows, **told}, "")
    else:
        print(printable(as_csv(rows), sys.stdout), end="")
    return 0


def _count(rows: Any) -> int:
    if rows is None:
        return USUAL
    if not isinstance(rows, int) or isinstance(rows, bool):
        raise UsageError(f"rows: a whole number; got {rows!r}.")
    return rows


def as_csv(rows: list[dict[str, Any]]) -> str:
    """A file that `fewtune train` reads."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:  # no label is [], for an empty cell is a row that nobody labelled
        writer.writerow({k: "[]" if value == [] else cell(value) for k, value in row.items()})
    return text.getvalue()
