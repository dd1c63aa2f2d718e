"""Small jobs: rows in a file, options that make a run take half a second."""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from pathlib import Path

from tiny_models import ROWS, WORDS

#: The attention kernel is named, for measuring it could end differently in two runs to be compared.
QUICK = {"attention": "eager", "max_steps": 6, "bootstrap": 100}
TrainedRow = tuple[str, str]


def rows(count: int = 60, seed: int = 0) -> list[TrainedRow]:
    """Different texts of three classes, each with a few words that lead astray."""
    chance = random.Random(seed)
    made: dict[str, str] = {}
    while len(made) < count:
        text, label = ROWS[len(made) % len(ROWS)]
        made.setdefault(f"{text} {' '.join(chance.choices(WORDS, k=4))}", label)
    return list(made.items())


def write_csv(path: Path, found: Sequence[TrainedRow]) -> str:
    """A file with columns text and label; its path as the user would give it."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(found)
    return str(path)
