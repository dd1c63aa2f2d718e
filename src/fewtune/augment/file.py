"""New rows from a file, for a person to look at or keep."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fewtune.augment import RECIPES, candidates, parse
from fewtune.augment.apply import augment, refuse_kind
from fewtune.augment.base import Context
from fewtune.augment.context import context_of, parts_given
from fewtune.augment.folder import augment_images, new_folder
from fewtune.augment.options import AugmentOptions
from fewtune.base.errors import UsageError
from fewtune.base.files import at, write_atomic
from fewtune.data.options import DataOptions
from fewtune.data.read import holds_images, read_any, read_rows
from fewtune.tasks.classify import Classify

COLUMNS = ("text", "label", "parent", "recipe")


def augment_file(
    path: str,
    data: DataOptions,
    options: AugmentOptions,
    seed: int,
    write: str | None,
    sheet: str | None = None,
) -> tuple[list[dict[str, Any]], dict[str, int], int]:
    """Read, make, write; see `fewtune.augment`."""
    if not options.augment:
        raise UsageError(f"augment: name recipes, of {', '.join(RECIPES)}, or `auto` for all.")
    if holds_images(at(path), data):
        return _images(path, data, options, seed, write, sheet)
    if sheet:
        raise UsageError(f"sheet: a sheet shows pictures, and {path} holds none.")
    if write and Path(write).suffix not in WRITERS:
        raise UsageError(f"write: a name ending in {' or '.join(WRITERS)}; got {write!r}.")
    asked = options.augment
    recipes = candidates(parts_given(options)) if asked == "auto" else parse(asked)
    context = context_of(options, recipes)
    table = read_rows(at(path), Classify.reads, data)
    held = [
        row
        for file in (data.valid, data.test)
        if file
        for row in read_rows(at(file), Classify.reads, data, like=table.columns).rows
    ]
    made = augment(table.rows, recipes, context, seed, options.augment_copies, held)
    before = {row.origin: row["text"] for row in table.rows}
    rows = [
        {
            "text": row["text"],
            "label": row["label"],
            "parent": str(row.origin),
            "recipe": row.recipe,
            "before": before[row.origin],
        }
        for row in made.rows
    ]
    if write:
        write_atomic(at(write), WRITERS[Path(write).suffix](rows))
    return rows, made.dropped, context.writer.spent if context.writer else 0


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
    asked = options.augment or ""
    recipes = candidates((), "image") if asked == "auto" else parse(asked)
    folder = new_folder(write, at(path)) if write else None
    table = read_any(at(path), data)
    held = [
        row
        for file in (data.valid, data.test)
        if file
        for row in read_any(at(file), data, like=table.columns).rows
    ]
    refuse_kind(table.rows, recipes)
    rows, dropped = augment_images(
        table.rows, recipes, Context(), seed, options.augment_copies, held,
        folder, at(sheet) if sheet else None,
    )  # fmt: skip
    aside = len(table.ledger.quarantined)
    return rows, dropped | ({"a row set aside in reading": aside} if aside else {}), 0


def _as_csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _as_jsonl(rows: Sequence[dict[str, Any]]) -> str:
    kept = ({name: row[name] for name in COLUMNS} for row in rows)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)


WRITERS = {".csv": _as_csv, ".jsonl": _as_jsonl}
