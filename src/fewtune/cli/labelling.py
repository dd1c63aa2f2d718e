"""`fewtune label`: suggestions for a person to correct, the most useful rows first."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fewtune.base.errors import UsageError
from fewtune.base.files import at, write_atomic
from fewtune.cli.screen import Screen
from fewtune.record.trouble import writing

USUAL = 100  # rows, about an hour of a person's work
COLUMNS = ("text", "label", "confidence", "second", "origin")


def label_file(run: str, source: str, screen: Screen, options: Mapping[str, Any]) -> int:
    """Write the rows to look at; the file trains once its `label` column is right."""
    from fewtune import api

    rows = api.label(run, source, rows=_count(options.get("rows")), text=options.get("text"))
    output = options.get("output")
    if screen.json and not output:
        screen.say({"rows": rows}, "")
    elif output:
        if Path(output).suffix != ".csv":
            raise UsageError(f"output: a name ending in .csv; got {output!r}.")
        with writing(Path(output)):
            write_atomic(at(output), as_csv(rows))
        said = f"{len(rows):,} rows, the most useful first: {output}; correct its label column."
        screen.say({"output": output, "rows": len(rows)}, said)
    else:
        print(as_csv(rows), end="")
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
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
