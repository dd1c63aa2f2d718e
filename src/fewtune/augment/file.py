"""New rows from a file, for a person to look at or keep."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fewtune.augment.apply import ABLE, augment, refuse_kind, said
from fewtune.augment.base import Context, Recipe
from fewtune.augment.context import context_of, parts_given
from fewtune.augment.folder import augment_images, new_folder
from fewtune.augment.options import AugmentOptions
from fewtune.augment.recipes import RECIPES, candidates, parse
from fewtune.base.errors import UsageError
from fewtune.base.events import Event, tell
from fewtune.base.files import at, new_file, write_new
from fewtune.data.joined import in_one_cell
from fewtune.data.options import DataOptions
from fewtune.data.read import holds_images, read_any, shape_of
from fewtune.data.row import Row
from fewtune.tasks import TASKS

COLUMNS = ("text", "label", "labels", "parent", "recipe")  # one label, or several
USUAL = ("text", "label", "parent", "recipe")
TURNS = ("messages", "tools", "parent", "recipe")


def augment_file(
    path: str,
    data: DataOptions,
    options: AugmentOptions,
    seed: int,
    write: str | None,
    sheet: str | None = None,
    listen: Callable[[Event], None] | None = None,
) -> tuple[list[dict[str, Any]], dict[str, int], int]:
    """Read, make, write; see `fewtune.augment`."""
    inputs = (path, data.valid, data.test, data.split, options.lexicon, options.protect)
    for option, place in (("write", write), ("sheet", sheet)):
        if place and Path(place).suffix in (*WRITERS, ".png"):  # images are written to a folder
            new_file(place, option, inputs=inputs)
    kind = _kind(path, data)
    if not options.augment:
        able = [name for name, one in RECIPES.items() if one.kind in ABLE[kind]]
        raise UsageError(f"augment: name recipes, of {', '.join(able)}, or `auto` for all.")
    if kind == "image":
        return _images(path, data, options, seed, write, sheet)
    if sheet:
        raise UsageError(f"sheet: a sheet shows pictures, and {path} holds none.")
    suffixes = (".jsonl",) if kind == "dialogue" else tuple(WRITERS)
    out = new_file(write, "write", suffixes, inputs) if write else None
    recipes = _recipes(options, kind)
    context = context_of(options, recipes)
    table = read_any(at(path), data)
    held = _held(data, table.columns)
    made = augment(table.rows, recipes, context, seed, options.augment_copies, held)
    for note in (*table.notes, *made.idle):
        if listen:
            listen(tell("warned", message=note))
    before = {row.origin: said(row) for row in table.rows}
    rows = [_told(row, before[row.origin]) for row in made.rows]
    if out:
        write_new(out, WRITERS[out.suffix](rows))
    return rows, made.dropped, context.writer.spent if context.writer else 0


def _kind(path: str, data: DataOptions) -> str:
    """What the file's rows are: `text`, `dialogue` or `image`.

    Raises:
        UsageError: something else, which no recipe is made for.
    """
    if holds_images(at(path), data):
        return "image"
    shape = shape_of(at(path), data)
    roles = {role.name for role in shape.roles}
    if shape.task not in TASKS or roles == {"text"} or "text_pair" in roles:
        raise UsageError(
            f"augment: {path} holds rows of {shape.name}, and recipes are made for texts with "
            "labels, dialogues, and images with labels; name the columns (--text, --label) where "
            "it holds one of these."
        )
    return "dialogue" if TASKS[shape.task].writes else "text"


def _recipes(options: AugmentOptions, kind: str) -> tuple[Recipe, ...]:
    asked = options.augment or ""
    return candidates(parts_given(options), kind) if asked == "auto" else parse(asked)


def _held(data: DataOptions, like: Mapping[str, str]) -> list[Row]:
    """The rows of validation and test, which no new row may equal."""
    files = [file for file in (data.valid, data.test) if file]
    return [row for file in files for row in read_any(at(file), data, like=like).rows]


def _told(row: Row, before: str) -> dict[str, Any]:
    """A new row for people: what it says, what its parent said."""
    about = {"parent": str(row.origin), "recipe": row.recipe, "before": before}
    if "labels" in row.fields:
        return {"text": row["text"], "labels": list(row["labels"]), **about}
    if "messages" not in row.fields:
        return {"text": row["text"], "label": row["label"], **about}
    turns = [message.as_json() for message in row["messages"]]
    tools = {"tools": row["tools"]} if "tools" in row.fields else {}
    return {"messages": turns, **tools, "text": said(row), **about}


def _images(
    path: str,
    data: DataOptions,
    options: AugmentOptions,
    seed: int,
    write: str | None,
    sheet: str | None,
) -> tuple[list[dict[str, Any]], dict[str, int], int]:
    """New pictures from a folder by class, or a table of paths."""
    if sheet and Path(sheet).suffix != ".png":
        raise UsageError(f"sheet: a name ending in .png; got {sheet!r}.")
    recipes = _recipes(options, "image")
    folder = new_folder(write, at(path)) if write else None
    table = read_any(at(path), data)
    held = _held(data, table.columns)
    refuse_kind(table.rows, recipes)
    rows, dropped = augment_images(
        table.rows, recipes, Context(), seed, options.augment_copies, held,
        folder, at(sheet) if sheet else None,
    )  # fmt: skip
    aside = len(table.ledger.quarantined)
    return rows, dropped | ({"a row set aside in reading": aside} if aside else {}), 0


def _as_csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    names = [name for name in COLUMNS if name in (rows[0] if rows else USUAL)]
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        several = {"labels": in_one_cell(row["labels"])} if "labels" in row else {}
        writer.writerow(row | several)
    return text.getvalue()


def _as_jsonl(rows: Sequence[dict[str, Any]]) -> str:
    names = TURNS if rows and "messages" in rows[0] else COLUMNS
    kept = ({name: row[name] for name in names if name in row} for row in rows)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)


WRITERS = {".csv": _as_csv, ".jsonl": _as_jsonl}
