"""`fewtune predict`: a text, or a file's rows, to the terminal, CSV or JSONL."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewtune.base.errors import UsageError
from fewtune.base.files import at, new_file, write_atomic
from fewtune.base.printable import printable
from fewtune.cli.screen import Screen
from fewtune.data.excel import for_excel
from fewtune.data.joined import in_one_cell
from fewtune.models.decoding import DecodingOptions
from fewtune.record.trouble import writing

if TYPE_CHECKING:
    from fewtune.api import Model

COLUMNS = "columns"  # of the file, as it has them, in a row's answer


def predict_source(run: str, source: str, screen: Screen, options: Mapping[str, Any]) -> int:
    """Label `source`; a name that is a file, or looks like one, is read as a file."""
    from fewtune import api
    from fewtune.models.ladder import news

    output = options.get("output")
    inputs = (run, source if _is_file(source) else None)
    place = new_file(output, "output", WRITERS, inputs) if output else None
    with screen.busy("reading the model"):
        model = api.load(run, options.get("model"))
    if model.speaks:
        return _answer(model, source, screen, options)
    if heat := [name for name in options if name in (*DecodingOptions.model_fields, "seed")]:
        raise UsageError(
            f"{', '.join(heat)}: for models that write; {run} chooses among labels. Leave it out."
        )
    rows, notes, counts = _rows(source, model.columns, options)
    for note in notes:
        screen.note(note)
    with screen.busy("answering the rows"):
        found = model.predict([row["text"] for row in rows])
    for note in news():
        notes.append(note)
        screen.note(note)
    if silent := [(row, one["refused"]) for row, one in zip(rows, found, strict=True)
                  if "refused" in one]:  # fmt: skip
        notes.append(refusals([(row.get("origin", ""), why) for row, why in silent], len(rows)))
        screen.note(notes[-1])
    labelled = [
        {"prediction": one.pop("prediction"), **row, **one}
        for row, one in zip(rows, found, strict=True)
    ]
    if place:
        text = WRITERS[place.suffix](labelled)
        with writing(place):
            write_atomic(place, for_excel(text, source) if place.suffix == ".csv" else text)
        told = {"output": output, "rows": len(labelled), "read": counts, "notes": notes}
        screen.say(told, f"{len(labelled):,} rows: {output}")
    elif screen.json:
        print(json.dumps(labelled, ensure_ascii=False))
    elif "origin" in labelled[0]:
        print(printable(as_csv(labelled), sys.stdout), end="")
    else:
        print(printable(_one(labelled[0]), sys.stdout))
    return 0


def _answer(model: Model, source: str, screen: Screen, options: Mapping[str, Any]) -> int:
    """What a model that writes answers to a text, or to the rows of a file."""
    from fewtune.cli.answering import answer_file, answer_text

    answer = answer_file if _is_file(source) else answer_text
    return answer(model, source, screen, options)


def refusals(silent: Sequence[tuple[str, str]], rows: int) -> str:
    """How many rows the model does not take, and why the first.

    Args:
        silent: where each stood, and why.
        rows: all that were asked.
    """
    (where, why), *_ = silent
    return f"{len(silent):,} of {rows:,} rows have no answer; the first, {where}: {why}"


def as_csv(rows: list[dict[str, Any]]) -> str:
    """Prediction, origin, the file's own columns as it has them, and `p(label)` for each class."""
    text = io.StringIO()
    first = rows[0] if rows else {}
    own = [name for name in ("prediction", "origin", "answer") if name in first]
    shares = [f"p({label})" for label in first.get("probability", ())]
    # a file that was labelled before has such columns already
    theirs = [
        f"{one} (of the file)" if one in (*own, *shares) else one for one in first.get(COLUMNS, ())
    ]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*own, *theirs, *shares])
    for row in rows:
        ours = (cell(row[name]) for name in own)
        beside = row.get(COLUMNS, {}).values()
        writer.writerow([*ours, *beside, *row.get("probability", {}).values()])
    return text.getvalue()


def cell(value: Any) -> Any:
    """A value for one cell; several labels as `fewtune train` reads them again."""
    if not isinstance(value, list):
        return value
    return in_one_cell(value) if value else ""


def as_jsonl(rows: list[dict[str, Any]]) -> str:
    """One object a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


WRITERS = {".csv": as_csv, ".jsonl": as_jsonl}


def _rows(
    source: str, learned: Mapping[str, str], options: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[str], dict[str, int]]:
    """The texts to label, each with where it stood; what the user should know; the ledger.

    Args:
        learned: the columns that the model learned from.
    """
    if not source.strip():
        raise UsageError("the text to label is empty; give a text, or a file of texts.")
    if not _is_file(source):
        return [{"text": source}], [], {}
    from fewtune.data.columns import Role, is_made_up
    from fewtune.data.options import DataOptions
    from fewtune.data.read import read_otherwise, read_rows

    reading = DataOptions(text=options.get("text"))
    table = read_rows(at(source), [Role("text")], reading, like=learned, whole=True)
    table.notes.extend(read_otherwise(table, learned, reading))
    unnamed = table.columns["text"] if is_made_up(table.columns["text"]) else None
    rows: list[dict[str, Any]] = []
    for row in table.rows:
        # a column that the file has no name for is called by what was read from it
        theirs = {"text" if one == unnamed else one: said for one, said in row.beside.items()}
        rows.append({"origin": str(row.origin), "text": row["text"], COLUMNS: theirs})
    return rows, table.notes, table.ledger.counts()


def _is_file(source: str) -> bool:
    """Whether a source is a file, or looks like the name of one."""
    from fewtune.data.formats import SUFFIXES

    path = at(source)
    return path.suffix.lower() in SUFFIXES or _exists(path)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a text longer than a file name may be, or with a zero byte
        return False


def _one(row: Mapping[str, Any], most: int = 5) -> str:
    from rich.cells import cell_len

    if "probability" not in row:  # what answers in words is as sure as its words
        return row["prediction"] or f"no label in the answer {row['answer']!r}"
    ranked = sorted(row["probability"].items(), key=lambda item: -item[1])[:most]
    named = [(_short(label), share) for label, share in ranked]
    wide = max(cell_len(label) for label, _ in named)  # a Chinese letter takes two columns
    lines = [f"{label}{' ' * (wide - cell_len(label))}  {share:6.1%}" for label, share in named]
    if isinstance(row["prediction"], list):  # the likeliest are not what is answered
        lines.insert(0, "; ".join(map(_short, row["prediction"])) or "no label")
    return "\n".join(lines)


def _short(label: str, most: int = 60) -> str:
    """A label on one line."""
    line = " ".join(label.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
