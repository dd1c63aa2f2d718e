"""New pictures in a folder: by class, with a table of whose they are and a sheet to look at."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fewtune.augment.apply import Augmented, augment
from fewtune.augment.base import Context, Recipe
from fewtune.augment.sheet import write_sheet
from fewtune.base.errors import UsageError
from fewtune.base.files import at, replacing
from fewtune.data.row import Row
from fewtune.data.splits import natural

TABLE, SHEET = "rows.csv", "sheet.png"
COLUMNS = ("image", "label", "parent", "recipe")
NO_NAME = re.compile(
    '[\\\\/:*?"<>|\x00-\x1f\ud800-\udfff]'
)  # what some system does not have in names
LONGEST = 60  # letters of a class's folder


def new_folder(write: str, data: Path) -> Path:
    """The folder that `--write` names.

    Raises:
        UsageError: it holds something, or lies where the next reading would find it.
    """
    path = at(write)
    if path.suffix in (".csv", ".jsonl"):
        raise UsageError(f"write: for images a new folder is named; got the file {write!r}.")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"write: {write} is there and not empty; name a new folder.")
    if data.is_dir() and path.resolve().is_relative_to(data.resolve()):
        raise UsageError(
            f"write: {write} lies in {data}, whose folders are its classes; name one beside it."
        )
    return path.absolute()


def augment_images(
    rows: Sequence[Row],
    recipes: Sequence[Recipe],
    context: Context,
    seed: int,
    copies: int,
    held: Sequence[Row],
    write: Path | None,
    sheet: Path | None,
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Make pictures, and keep them where asked.

    Args:
        write: a new folder for the pictures, with `rows.csv` and `sheet.png`.
        sheet: a file for the sheet alone.

    Returns:
        The new rows; `image` is None where the pictures were not kept.
    """
    place: AbstractContextManager[Any] = replacing(write) if write else TemporaryDirectory()
    with place as given:
        folder = Path(given)
        waiting = folder / ".made"
        context = replace(context, folder=waiting)
        made = augment(rows, recipes, context, seed, copies, held)
        kept = _by_class(made, folder)
        if write:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / TABLE).write_text(
                _table(kept, folder), encoding="utf-8", errors="backslashreplace"
            )
        if write and kept:
            write_sheet(rows, kept, folder / SHEET)
        if sheet:
            write_sheet(rows, kept, sheet)
        shutil.rmtree(waiting, ignore_errors=True)  # what was dropped
        paths = [Path(row["image"]).relative_to(folder) for row in kept]
    before = {row.origin: row["image"] for row in rows}
    return [
        {
            "image": str(write.absolute() / path) if write else None,
            "label": row["label"],
            "parent": str(row.origin),
            "recipe": row.recipe,
            "before": before[row.origin],
        }
        for row, path in zip(kept, paths, strict=True)
    ], made.dropped


def _by_class(made: Augmented, folder: Path) -> list[Row]:
    """The pictures moved to a folder for each class."""
    names = class_folders(row["label"] for row in made.rows)
    kept = []
    for row in made.rows:
        old = Path(row["image"])
        new = folder / names[row["label"]] / old.name
        new.parent.mkdir(parents=True, exist_ok=True)
        os.replace(old, new)
        kept.append(row.with_fields(image=str(new)))
    return kept


def class_folders(labels: Iterable[str]) -> dict[str, str]:
    """A folder's name for each class, its own where a folder may be called so.

    >>> class_folders(["裂纹", "N/A", "n:a"])
    {'N/A': 'N_A', 'n:a': 'n_a (2)', '裂纹': '裂纹'}
    """
    names: dict[str, str] = {}
    for label in natural(set(labels)):
        name = bare = NO_NAME.sub("_", label)[:LONGEST].strip(". ") or "class"
        again = 2
        while name.casefold() in {one.casefold() for one in names.values()}:
            name, again = f"{bare} ({again})", again + 1
        names[label] = name
    return names


def _table(rows: Sequence[Row], folder: Path) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        image = Path(row["image"]).relative_to(folder).as_posix()
        writer.writerow((image, row["label"], row.origin, row.recipe))
    return text.getvalue()
