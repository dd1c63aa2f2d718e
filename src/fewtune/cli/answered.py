"""The file that answers are written to, and beside it those of a bunch that is not whole yet."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewtune.base.errors import UsageError
from fewtune.base.files import write_atomic
from fewtune.data.dialogue import as_text
from fewtune.record.trouble import writing

if TYPE_CHECKING:
    from fewtune.data.row import Row

BEGINS = b'{"origin": "'  # every line of the output
BUNCH = 64  # rows that share batches and dice; the file holds whole bunches, in the rows' order
BEGUN = ".begun"  # suffix of the file beside it, which a kill leaves behind

Line = dict[str, Any]


@dataclass(frozen=True)
class Answered:
    """Answers on disk.

    Batches are of like length, so answers come in another order than the rows. As they come they
    go into a second file, to be there after a kill; a whole bunch goes into the first.

    Attributes:
        place: the file that the user named.
        rows: all that are asked.
        by: the same for answers that may stand in one file, as `Asking` has it.
    """

    place: Path
    rows: Sequence[Row]
    by: str

    def done(self) -> int:
        """How many rows the file answers, in whole bunches; the rest of it is taken off.

        Raises:
            UsageError: the file is something else; it is left as it is.
        """
        place = self.place
        if not place.exists():
            return 0
        raw = place.read_bytes()
        whole, _, half = raw.rpartition(b"\n")
        lines = [_object(line) for line in whole.split(b"\n")] if whole else []
        ours = half.startswith(BEGINS) or BEGINS.startswith(half)  # killed in the middle of a line
        alike = len(lines) <= len(self.rows) and all(map(self._answers, range(len(lines)), lines))
        if not (ours and alike):
            raise UsageError(
                f"output: {place} is there and does not answer these rows from the first on; "
                "choose another name, or remove it."
            )
        if any(one.get("by") != self.by for one in lines):
            raise UsageError(
                f"output: {place} holds answers of another model, or written with other options; "
                "choose another name, or remove it."
            )
        kept = len(lines) if len(lines) == len(self.rows) else len(lines) - len(lines) % BUNCH
        size = sum(len(line) + 1 for line in whole.split(b"\n")[:kept])
        if size < len(raw):  # what stays is not written anew: a full disk would take it
            with writing(place):
                os.truncate(place, size)
        return kept

    def begun(self, start: int) -> dict[int, Line]:
        """Answers to some rows of the bunch that starts there, by their place in it.

        Who was refused is asked again, for the reason may have been the model's, and be gone.
        """
        try:
            raw = self._beside.read_bytes().split(b"\n")
        except FileNotFoundError:
            return {}
        found = {}
        for told in map(_object, raw):
            row, line = told.get("row"), told.get("line")
            if not (isinstance(row, int) and start <= row < min(start + BUNCH, len(self.rows))):
                continue
            if not isinstance(line, dict) or "refused" in line or line.get("by") != self.by:
                continue
            if self._answers(row, line):
                found[row - start] = line
        with writing(self.place):  # of other bunches and options nothing stays
            write_atomic(self._beside, _text(_numbered(start, found)))
        return found

    def keep(self, start: int, lines: Mapping[int, Line]) -> None:
        """Write answers down as they come."""
        _append(self._beside, _numbered(start, lines))

    def close(self, lines: Sequence[Line]) -> None:
        """A bunch is whole."""
        _append(self.place, lines)
        with writing(self.place):
            self._beside.unlink(missing_ok=True)

    @property
    def _beside(self) -> Path:
        return self.place.with_name(self.place.name + BEGUN)

    def _answers(self, number: int, line: Line) -> bool:
        row = self.rows[number]
        return (line.get("origin"), line.get("text")) == (
            str(row.origin),
            as_text(row["messages"]),
        )


def _numbered(start: int, lines: Mapping[int, Line]) -> list[Line]:
    return [{"row": start + at, "line": line} for at, line in lines.items()]


def _text(lines: Sequence[Line]) -> str:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in lines)


def _append(place: Path, lines: Sequence[Line]) -> None:
    with writing(place), open(place, "a", encoding="utf-8") as file:
        file.write(_text(lines))


def _object(line: bytes) -> Line:
    """A line's object; an empty one for what is none."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
