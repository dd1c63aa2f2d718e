"""Training rows of several data sets, cut to the sizes that fewtune is for."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from fewtune.data.options import DataOptions
from fewtune.data.read import read_rows
from fewtune.tasks.classify import Classify

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"
Rows = tuple[list[str], list[str]]


def _read(path: Path, per_class: int | None = None, most: int | None = None) -> Rows:
    rows = read_rows(path, Classify.reads, DataOptions()).rows
    by_label: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        by_label[row["label"]].append(row["text"])
    draw = random.Random(0)
    pairs = [
        (text, label)
        for label, texts in sorted(by_label.items())
        for text in draw.sample(texts, min(len(texts), per_class or len(texts)))
    ]
    draw.shuffle(pairs)
    pairs = pairs[:most]
    return [text for text, _ in pairs], [label for _, label in pairs]


SETS: dict[str, Callable[[], Rows]] = {
    "banking77-10": lambda: _read(SHARED / "banking77" / "train.csv", per_class=10),
    "maintnet-800": lambda: _read(SHARED / "maintnet_aircraft/cls_action/train.jsonl", most=800),
    "sst2-64": lambda: _read(SHARED / "sst2" / "stsa.binary.train", per_class=64),
    "sst2-500": lambda: _read(SHARED / "sst2" / "stsa.binary.train", per_class=500),
    "banking77-40": lambda: _read(SHARED / "banking77" / "train.csv", per_class=40),
    "faults": lambda: _read(ROOT / "examples" / "fault_reports.csv"),
}
