"""Small jobs: rows in a file, options that make a run take half a second."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tiny_models import ROWS, WORDS

from fewtune.pipeline import contenders

#: The attention kernel is named, for measuring it could end differently in two runs to be compared.
QUICK = {"attention": "eager", "max_steps": 6, "bootstrap": 100, "learning_curve": False}
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


#: A run of a language model, quickly.
SPOKEN = {
    "max_steps": 6, "bf16": False, "attention": "eager", "answered_rows": 6, "max_new_tokens": 8,
    "bootstrap": 100, "per_device_train_batch_size": 4, "learning_curve": False,
}  # fmt: skip


def dialogues(count: int, start: int = 0) -> list[dict[str, str]]:
    """Alpaca rows in words that the tiny tokenizer knows, each with another question."""
    rows = []
    for k in range(start, start + count):
        words = [WORDS[(7 * k + 3 * j) % len(WORDS)] for j in range(5)]
        rows.append({"instruction": " ".join(words), "output": f"{words[0]} is {words[1]}"})
    return rows


def jsonl(path: Path, rows: Sequence[dict]) -> str:
    """A file with an object a line; its path as the user would give it."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def only(monkeypatch: pytest.MonkeyPatch, names: Sequence[str]) -> None:
    """Of the plan's candidates only these race."""
    found = contenders.candidates

    def candidates(ranked: Any, **_: Any) -> list[Any]:
        return [one for one in found(ranked) if one.name in names]

    monkeypatch.setattr(contenders, "candidates", candidates)
