"""Which rows of a scored file were learned: scores on those say nothing about new ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fewtune.base.errors import FewtuneError
from fewtune.base.files import fingerprint
from fewtune.data.holdout import same_text
from fewtune.data.read import Table
from fewtune.data.row import Row
from fewtune.record.folder import DATA


def learned_before(model: Path, rows: Sequence[Row], read: Callable[[Path], Table]) -> list[str]:
    """A note where rows to be scored have the text of a row that was learned.

    Nothing is said where the artefact was taken out of its run, or the training file is gone or
    another one now: then nobody knows.

    Args:
        model: the artefact's folder, in its run's.
        rows: to be scored.
        read: reads the training file.
    """
    told = _told(model.parent / DATA)
    if told is None:
        return []
    path = Path(told["path"])
    try:
        if not path.exists() or fingerprint(path) != told["mark"]:
            return []
        table = read(path)
        known = {
            same_text(row)
            for row in table.rows
            if (row.origin.file, row.origin.line) in told["rows"]
        }
    except (FewtuneError, OSError):  # it was read by options that are not known here, or is shut
        return []
    again = sum(same_text(row) in known for row in rows)
    if not again:
        return []
    have = "has" if again == 1 else "have"
    return [
        f"{again:,} of {len(rows):,} rows {have} the text of a row that the model learned "
        f"({path}): their scores say nothing about new rows."
    ]


def _told(data: Path) -> dict[str, Any] | None:
    """Path and fingerprint of the training file, and the rows that were learned."""
    try:
        found = json.loads(data.read_bytes())
        file, learned = found["files"]["train"], found["parts"]["train"]
        # of two files of one name the run put their folders before it
        rows = {
            (called, line)
            for name, lines in learned.items()
            for called in (name, name.partition("/")[2], Path(name).name)
            for line in lines
        }
        return {"path": file["path"], "mark": file["fingerprint"], "rows": rows}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
