"""What a race would have chosen by one rule or another, on the comparisons of `gains`.

    python -m benchmarks.choose.gains --sets sst2-8,sst2-64 --seeds 0,1,2
    python -m benchmarks.choose.replay [--worth 0,0.01,0.02]

All methods of a comparison answered all folds, so that a rule can be tried on them without a fit:
the mean accuracy on test rows of what it chooses. `fewtune` weighs the folds with what is known
before, and takes the cheapest of those within `--worth` of the best expectation; where the model
cannot read the texts nothing is known, and it goes by the standard error.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
from benchmarks.choose.gains import METHODS
from benchmarks.samples import WORK
from safetensors.numpy import load_file

from fewtune.choose.prior import ENCODER
from fewtune.data.holdout import folds_of
from fewtune.data.row import Origin, Row
from fewtune.models.choice import ONE_OF
from fewtune.trials import expected
from fewtune.trials.choosing import as_good_as_best, best_of
from fewtune.trials.entrants import LabelJudge

FOLDS = 5
UNREADABLE = ("thucnews-10",)  # to the model of the comparisons


@dataclass(frozen=True)
class Held:
    """A comparison: what every method lost on the folds, and is worth on the test rows."""

    name: str
    losses: dict[str, np.ndarray]
    right: dict[str, float]
    cost: dict[str, float]
    test: dict[str, float]
    learned: int

    def of(self, rule: Callable[[Held], str]) -> float:
        """The test accuracy of what a rule chooses."""
        return self.test[rule(self)]


def main() -> None:
    """Read what is there, print a line a rule."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--worth", default="0,0.005,0.01,0.02,0.03")
    shares = [float(one) for one in parser.parse_args().worth.split(",")]
    there = sorted(WORK.glob("gains/*/comparison.json"))
    if not there:
        print("Skipped: `python -m benchmarks.choose.gains` has left no comparison here.")
        return
    held = [_held(path.parent) for path in there]
    rules: dict[str, Callable[[Held], str]] = {
        "lowest log-loss": lambda one: best_of(one.losses),
        "standard error": lambda one: _cheapest(one, as_good_as_best(one.losses)),
        "highest accuracy": lambda one: max(one.right, key=one.right.__getitem__),
        "best on the test rows": lambda one: max(one.test, key=one.test.__getitem__),
    }
    rules |= {f"fewtune, worth {share:g}": _known(share) for share in shares}
    rules |= {f"always {name}": _always(name) for name in METHODS}
    sets = sorted({one.name for one in held})
    print(f"| rule | {' | '.join(sets)} | mean of samples |")
    print("|---" * (len(sets) + 2) + "|")
    for told, rule in rules.items():
        by_set = [mean(100 * one.of(rule) for one in held if one.name == name) for name in sets]
        cells = " | ".join(f"{one:.1f}" for one in by_set)
        print(f"| {told} | {cells} | {mean(100 * one.of(rule) for one in held):.1f} |")


def _always(name: str) -> Callable[[Held], str]:
    return lambda one: name


def _known(share: float) -> Callable[[Held], str]:
    def rule(one: Held) -> str:
        if one.name in UNREADABLE:
            return _cheapest(one, as_good_as_best(one.losses))
        beliefs = {name: ENCODER[name] for name in one.losses if name in ENCODER}
        hoped = expected.Prior("probe", beliefs, one.learned).expected(one.losses)
        most = max(hoped.values())
        return _cheapest(one, [name for name, gain in hoped.items() if gain >= most - share])

    return rule


def _cheapest(one: Held, names: list[str]) -> str:
    return min(names, key=one.cost.__getitem__)


def _held(folder: Path) -> Held:
    told = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    labels = json.loads((folder / "data.json").read_text(encoding="utf-8"))["labels"]
    with open(WORK / "choose" / f"{folder.name}.csv", newline="", encoding="utf-8") as file:
        rows = [Row(Origin("train", k), one) for k, one in enumerate(csv.DictReader(file))]
    targets = np.array([labels.index(row["label"]) for row in rows])
    folds = folds_of(rows, FOLDS, 0)
    judge = LabelJudge(ONE_OF, targets)
    losses, right = {}, {}
    for one in told["methods"]:
        answers = np.zeros((len(rows), len(labels)))
        for k, held in enumerate(folds):
            file = folder / "fits" / "seed1" / f"{one['name']}.{k}.safetensors"
            answers[held] = load_file(file)["answers"]
        losses[one["name"]] = judge.losses(answers, np.arange(len(rows)))
        right[one["name"]] = float((answers.argmax(axis=1) == targets).mean())
        if abs(right[one["name"]] - one["score"]["value"]) > 1e-9:
            raise SystemExit(f"{folder}: the folds are not those of the comparison")
    methods = {one["name"]: one for one in told["methods"]}
    cost = {name: one["seconds"] for name, one in methods.items()}
    test = {name: one["test"]["value"] for name, one in methods.items()}
    name = folder.name.rsplit("-", 1)[0]
    return Held(name, losses, right, cost, test, len(rows) - len(folds[0]))


if __name__ == "__main__":
    main()
