"""Samples of the data sets, as two CSV files with columns text and label."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.samples import ROOT, WORK

DATA = ROOT.parent / "shared" / "data"
Pair = tuple[str, str]
HELD = 0.3  # of the rows of a set without a test file


def absent() -> str | None:
    """A sentence when the data is not there, else None."""
    lacking = [
        name for name in ("banking77", "sst2", "thucnews_titles") if not (DATA / name).is_dir()
    ]
    return f"Skipped: {', '.join(lacking)} not in ../shared/data." if lacking else None


def sample(name: str, spec: dict[str, Any], seed: int, test_rows: int) -> tuple[Path, Path]:
    """Write the training rows of one seed and the test rows; return their paths."""
    train, test = READERS[spec["read"]](random.Random(seed))
    draw = random.Random(seed)
    if few := spec.get("per_class"):
        train = _some_of_each(train, few, draw)
    draw.shuffle(train)
    test = random.Random(0).sample(test, min(test_rows, len(test)))
    at = WORK / "choose"
    return _write(at / f"{name}-{seed}.csv", train), _write(at / f"{name}-{seed}-test.csv", test)


def _some_of_each(rows: list[Pair], few: int, draw: random.Random) -> list[Pair]:
    by_class: dict[str, list[str]] = {}
    for text, label in rows:
        by_class.setdefault(label, []).append(text)
    return [
        (text, label)
        for label in sorted(by_class)
        for text in draw.sample(sorted(by_class[label]), few)
    ]


def _banking77(draw: random.Random) -> tuple[list[Pair], list[Pair]]:
    def rows(part: str) -> list[Pair]:
        with open(DATA / "banking77" / f"{part}.csv", newline="", encoding="utf-8") as file:
            return [(one["text"], one["category"]) for one in csv.DictReader(file)]

    return _whole(rows("train")), _whole(rows("test"))


def _sst2(draw: random.Random) -> tuple[list[Pair], list[Pair]]:
    def rows(part: str) -> list[Pair]:
        lines = (DATA / "sst2" / f"stsa.binary.{part}").read_text(encoding="utf-8").splitlines()
        names = {"0": "negative", "1": "positive"}
        return [(line[2:], names[line[0]]) for line in lines if line]

    return _whole(rows("train")), _whole(rows("test"))


def _thucnews(draw: random.Random) -> tuple[list[Pair], list[Pair]]:
    folder = DATA / "thucnews_titles"
    names = (folder / "class.txt").read_text(encoding="utf-8").split()
    lines = (folder / "dev.txt").read_text(encoding="utf-8").splitlines()
    rows = [(text, names[int(label)]) for text, _, label in (one.rpartition("\t") for one in lines)]
    return _parted(_whole(rows), draw)


def _maintnet(draw: random.Random) -> tuple[list[Pair], list[Pair]]:
    def rows(part: str) -> list[Pair]:
        path = DATA / "maintnet_aircraft" / "cls_action" / f"{part}.jsonl"
        found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [(one["text"], one["label"]) for one in found]

    return _whole(rows("train")), _whole(rows("test"))


def _fault_reports(draw: random.Random) -> tuple[list[Pair], list[Pair]]:
    with open(ROOT / "examples" / "fault_reports.csv", newline="", encoding="utf-8") as file:
        rows = [tuple(one)[:2] for one in list(csv.reader(file))[1:]]
    return _parted(_whole(rows), draw)  # type: ignore[arg-type]


READERS: dict[str, Callable[[random.Random], tuple[list[Pair], list[Pair]]]] = {
    "banking77": _banking77,
    "sst2": _sst2,
    "thucnews": _thucnews,
    "maintnet": _maintnet,
    "fault_reports": _fault_reports,
}


def _whole(rows: list[Pair]) -> list[Pair]:
    """Distinct rows with a text and a label."""
    return list(dict.fromkeys((text, label) for text, label in rows if text and label))


def _parted(rows: list[Pair], draw: random.Random) -> tuple[list[Pair], list[Pair]]:
    rows = sorted(rows)
    draw.shuffle(rows)
    cut = round(HELD * len(rows))
    return rows[cut:], rows[:cut]


def _write(path: Path, rows: list[Pair]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path
