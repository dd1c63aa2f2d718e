"""`fewtune predict` of a model that writes: answers to a file's prompts, resumable."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewtune.base.errors import UsageError
from fewtune.base.files import at, new_file
from fewtune.cli.screen import Screen
from fewtune.data.dialogue import as_text
from fewtune.record.trouble import writing

if TYPE_CHECKING:
    from fewtune.api import Model
    from fewtune.data.row import Row

AT_ONCE = 64  # rows answered before they are written down


def answer_file(model: Model, source: str, screen: Screen, options: Mapping[str, Any]) -> int:
    """Answer every row; what an earlier, broken-off call has written stays and is not asked again.

    Raises:
        UsageError: the output is no .jsonl, or holds answers to other rows.
    """
    from fewtune.data.options import DataOptions
    from fewtune.data.read import read_any
    from fewtune.data.shapes import PROMPTS

    table = read_any(at(source), DataOptions(), shapes=PROMPTS)
    for note in table.notes:
        screen.note(note)
    output = options.get("output")
    place = None
    if output:
        place = new_file(output, "output", (".jsonl",), (str(model.path), source))
    done = _done(place, table.rows) if place else 0
    if done:
        screen.note(f"{output}: {done:,} of {len(table.rows):,} rows are answered already.")
    for line in _answers(model, table.rows[done:], place):
        if place is None:
            print(line)
    if place:
        counts = table.ledger.counts()
        told = {"output": output, "rows": len(table.rows), "read": counts, "notes": table.notes}
        screen.say(told, f"{len(table.rows):,} rows: {output}")
    return 0


def _answers(model: Model, rows: Sequence[Row], place: Path | None) -> Iterator[str]:
    """A JSON line for every row, written down in bunches as they come."""
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        found = model.generate([row["messages"] for row in some])
        lines = [
            json.dumps(
                {"origin": str(row.origin), "text": as_text(row["messages"]), **answer},
                ensure_ascii=False,
            )
            for row, answer in zip(some, found, strict=True)
        ]
        if place:
            with writing(place), open(place, "a", encoding="utf-8") as file:
                file.write("".join(line + "\n" for line in lines))
        yield from lines


def _done(place: Path, rows: Sequence[Row]) -> int:
    """How many rows the file answers already; half a line at its end is taken off."""
    if not place.exists():
        return 0
    whole = [line for line in place.read_bytes().split(b"\n")[:-1] if line]
    try:
        known = [json.loads(line)["origin"] for line in whole]
    except (ValueError, KeyError, TypeError):
        known = [None]
    if known != [str(row.origin) for row in rows[: len(known)]]:
        raise UsageError(
            f"output: {place} is there and does not answer these rows from the first on; choose "
            "another name, or remove it."
        )
    with writing(place):
        place.write_bytes(b"".join(line + b"\n" for line in whole))
    return len(whole)
