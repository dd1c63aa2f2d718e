"""BANKING77 in small samples: the same number of rows a class by seed, and the whole test file.

The data stands beside the repository, in ../shared/data/banking77 (columns text,category); its
licence (CC BY-NC 4.0) keeps it out of the repository.
"""

from __future__ import annotations

import csv
import random
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BANKING77 = ROOT.parent / "shared" / "data" / "banking77"
WORK = ROOT / "benchmarks" / "work"


def absent() -> str | None:
    """A sentence when the data is not there, else None."""
    if (BANKING77 / "train.csv").is_file():
        return None
    return (
        "Skipped: ../shared/data/banking77/train.csv is not there; the benchmark needs BANKING77's "
        "train.csv and test.csv (columns text,category) in that folder beside the repository."
    )


def sample(seed: int, rows_per_class: int) -> tuple[Path, Path]:
    """Write the sample of one seed and the test file; return their paths (columns text,label)."""
    by_class: dict[str, list[str]] = {}
    for text, label in _rows("train"):
        by_class.setdefault(label, []).append(text)
    draw = random.Random(seed)
    rows = [
        (text, label)
        for label in sorted(by_class)
        for text in draw.sample(sorted(by_class[label]), rows_per_class)
    ]
    draw.shuffle(rows)  # a file sorted by class would be a gift to no one
    train = _write(WORK / f"banking77-{rows_per_class}-seed{seed}.csv", rows)
    return train, _write(WORK / "banking77-test.csv", _rows("test"))


def _rows(split: str) -> list[tuple[str, str]]:
    """Distinct (text, label) rows; the three rows without a text or label are left out."""
    with open(BANKING77 / f"{split}.csv", newline="", encoding="utf-8") as file:
        rows = [(row["text"], row["category"]) for row in csv.DictReader(file)]
    return list(dict.fromkeys((text, label) for text, label in rows if text and label))


def _write(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path
