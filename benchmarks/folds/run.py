"""What the models of folds are good for: beside a fit to all rows their mean, and all of them.

    python -m benchmarks.folds.run [--sets A,B] [--seeds 0,1,2] [--methods full] [--table]

Five fits to four fifths of the rows each are what a race leaves behind. On the real test rows:

- `fold`: one of them, the mean of five such scores;
- `refit`: a fit to all rows, which is what a run saves today;
- `average`: the mean of their weights, one model;
- `ensemble`: the mean of their probabilities, five models.

Would folds of the training rows have told which is best? No row is new to all five, so each fold is
answered from the other four fifths alone: `refit` is the fit to those (the race's own), `average`
and `ensemble` are of the four fits that leave one more fold out. A fit without folds i and j serves
both, so that five folds take ten more fits to three fifths: 1.5 times what the five fits took.

Every arm has the temperature that suits its answers on folds. A sample is a line of results.jsonl
beside this file; lines that are there are not run again.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import yaml
from benchmarks.choose import sets

from fewtune.data.holdout import folds_of
from fewtune.data.row import Origin, Row
from fewtune.evaluate.paired import compare_means, compare_right
from fewtune.methods import parse
from fewtune.models.batches import Encoded
from fewtune.models.options import ModelOptions
from fewtune.models.source import find
from fewtune.models.weights import put_trained
from fewtune.tasks.classify import Classify
from fewtune.train.average import Average
from fewtune.train.bench import Bench
from fewtune.train.classifier import Classifier
from fewtune.train.options import TrainOptions
from fewtune.trials.entrants import LabelJudge
from fewtune.trials.folds import Setting, fitted

HERE = Path(__file__).parent
RESULTS = HERE / "results.jsonl"
SETS = ("banking77-10", "sst2-64", "fault-reports")
ARMS = ("refit", "average", "ensemble")
FOLDS = 5

Answers = dict[str, np.ndarray]  # of an arm: its probabilities, (rows, classes)


def main() -> None:
    """Run what results.jsonl does not have yet."""
    given = _arguments()
    if given.table:
        print(table(_lines()))
        return
    if why := sets.absent():
        print(why)
        return
    done = {tuple(one["key"]) for one in _lines()}
    for seed in map(int, given.seeds.split(",")):
        for name in given.sets.split(","):
            for method in given.methods.split(","):
                if (name, seed, method) in done:
                    continue
                line = {"key": [name, seed, method], **once(name, seed, method, given.threads)}
                with open(RESULTS, "a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
                print(json.dumps(line), file=sys.stderr, flush=True)


def once(name: str, seed: int, method: str, threads: int) -> dict[str, Any]:
    """A sample and a method: every arm on folds and on the test rows."""
    known = yaml.safe_load((sets.ROOT / "benchmarks/choose/settings.yaml").read_text("utf-8"))
    train, test = (
        _rows(path) for path in sets.sample(name, known["sets"][name], seed, known["test_rows"])
    )
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial.of(train, test, method, seed, threads, Path(folder))
        begun = time.perf_counter()
        answered, asked = trial.plain()
        plain = time.perf_counter() - begun
        answered |= trial.nested()
        nested = time.perf_counter() - begun - plain
    found = told(trial, answered, asked)
    return found | {"seconds": {"plain": round(plain, 1), "nested": round(nested, 1)}}


@dataclass
class Trial:
    """A method on a sample.

    Attributes:
        setting: the training rows and their folds.
        asked: tokens of the test rows; `truth` their classes.
    """

    setting: Setting
    asked: Encoded
    truth: np.ndarray

    @classmethod
    def of(
        cls, train: list[Row], test: list[Row], method: str, seed: int, threads: int, folder: Path
    ) -> Trial:
        """Encode, and choose the probe that heads start from, as a run does."""
        labels = tuple(sorted({row["label"] for row in train}))
        task, model = Classify.of_rows(labels, train, False, 0.0), ModelOptions()
        bench = Bench(find(model), task, model, TrainOptions(), seed, 0, {"threads": threads})
        examples, folds = bench.examples(train), folds_of(train, FOLDS, seed)
        probe = bench.try_probes(examples, folds)[0][0]
        tuned = parse(method, {})
        setting = Setting(bench, tuned, examples, folds, probe.c, probe.temperature, folder)
        return cls(setting, bench.encode(test), task.targets(test))

    def plain(self) -> tuple[Answers, Answers]:
        """The race's fits and the refit: `refit` on folds, and every arm on the test rows."""
        folds, average = self.setting.folds, Average()
        held_out, each = self._nothing(), []
        for held in folds:
            candidate = self._without(held)
            held_out[held] = self._answers(candidate, held)
            each.append(candidate.probabilities(self.asked))
            average.add(candidate.model)
        put_trained(candidate.model, average.mean, "the average")
        found = {"average": candidate.probabilities(self.asked), "ensemble": np.mean(each, axis=0)}
        found["refit"] = self._without(np.array([], dtype=int)).probabilities(self.asked)
        found |= {f"fold {k}": one for k, one in enumerate(each)}
        return {"refit": held_out}, found

    def nested(self) -> Answers:
        """Average and ensemble on folds, of fits that did not learn the fold."""
        folds, each = self.setting.folds, [Average() for _ in self.setting.folds]
        summed, averaged = self._nothing(), self._nothing()
        for pair in combinations(range(len(folds)), 2):
            candidate = self._without(np.concatenate([folds[k] for k in pair]))
            for k in pair:
                summed[folds[k]] += self._answers(candidate, folds[k]) / (len(folds) - 1)
                each[k].add(candidate.model)
        for held, average in zip(folds, each, strict=True):
            put_trained(candidate.model, average.mean, "the average")
            averaged[held] = self._answers(candidate, held)
        return {"average": averaged, "ensemble": summed}

    def _without(self, held: np.ndarray) -> Classifier:
        """A fit to all rows but these."""
        learned = np.setdiff1d(np.arange(len(self.setting.examples)), held)
        return fitted(self.setting, self.setting.examples.take(learned))

    def _answers(self, candidate: Classifier, rows: np.ndarray) -> np.ndarray:
        return candidate.probabilities(self.setting.examples.rows.take(rows))

    def _nothing(self) -> np.ndarray:
        return np.zeros((len(self.setting.examples), len(self.setting.bench.task.labels)))


def told(trial: Trial, answered: Answers, asked: Answers) -> dict[str, Any]:
    """Accuracy and log-loss of the arms on folds and test rows, and what folds would choose."""
    choice, targets = trial.setting.bench.task.choice, trial.setting.examples.targets
    judge, every = LabelJudge(choice, targets), np.arange(len(targets))
    losses: dict[str, dict[str, np.ndarray]] = {"folds": {}, "test": {}}
    right: dict[str, dict[str, np.ndarray]] = {"folds": {}, "test": {}}
    for name, found in asked.items():
        arm = name.partition(" ")[0]
        logits = choice.logits(answered["refit" if arm == "fold" else arm])
        heat = judge.temperature(logits, every)
        cooled = choice.probabilities(choice.logits(found) / heat)
        losses["test"][name] = choice.losses(cooled, trial.truth)
        right["test"][name] = choice.right(found, trial.truth)
        if arm in ARMS:
            losses["folds"][arm] = judge.losses(logits, every)
            right["folds"][arm] = choice.right(answered[arm], targets)
    found: dict[str, Any] = {"rows": len(targets), "test_rows": len(trial.truth)}
    for part in losses:
        found[part] = dict(_scores(losses[part], right[part]))
        found[f"{part}_gain"] = {
            arm: {
                "log_loss": _short(
                    compare_means(losses[part][arm], losses[part]["refit"], higher_is_better=False)
                ),
                "accuracy": _short(compare_right(right[part][arm], right[part]["refit"])),
            }
            for arm in ARMS[1:]
        }
    return found


def _scores(
    losses: dict[str, np.ndarray], right: dict[str, np.ndarray]
) -> Iterator[tuple[str, dict[str, float]]]:
    """Of every arm; the fits of single folds together."""
    arms = defaultdict(list)
    for name in losses:
        arms[name.partition(" ")[0]].append(name)
    for arm, names in arms.items():
        yield (
            arm,
            {
                "log_loss": round(mean(float(losses[one].mean()) for one in names), 4),
                "accuracy": round(mean(float(right[one].mean()) for one in names), 4),
            },
        )


def _short(found: dict[str, float]) -> dict[str, float]:
    return {key: round(float(found[key]), 4) for key in ("value", "low", "high", "p")}


def table(lines: list[dict[str, Any]]) -> str:
    """Means over the samples of a set: log-loss and accuracy on folds and on the test rows."""
    by = defaultdict(list)
    for one in lines:
        by[one["key"][0], one["key"][2]].append(one)
    rows = [
        "| set | method | samples | arm | on folds: log-loss, right | on test rows: log-loss, "
        "right | gain over refit on test rows, nats | lower in samples, folds / test |",
        "|" + " --- |" * 8,
    ]
    for (name, method), runs in by.items():
        for arm in ("fold", *ARMS):
            cells = [_cell(runs, "folds", arm), _cell(runs, "test", arm), "", ""]
            if arm in ARMS[1:]:
                gains = [one["test_gain"][arm]["log_loss"]["value"] for one in runs]
                cells[2] = f"{mean(gains):+.3f}"
                ahead = (_ahead(runs, part, arm) for part in ("folds", "test"))
                cells[3] = " / ".join(f"{count} of {len(runs)}" for count in ahead)
            rows.append(f"| {name} | {method} | {len(runs)} | {arm} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _cell(runs: list[dict[str, Any]], part: str, arm: str) -> str:
    found = [one[part][arm] for one in runs if arm in one[part]]
    if not found:
        return ""
    loss, right = (mean(one[key] for one in found) for key in ("log_loss", "accuracy"))
    return f"{loss:.3f}, {right:.1%}"


def _ahead(runs: list[dict[str, Any]], part: str, arm: str) -> int:
    return sum(one[f"{part}_gain"][arm]["log_loss"]["value"] > 0 for one in runs)


def _rows(path: Path) -> list[Row]:
    with open(path, newline="", encoding="utf-8") as file:
        return [Row(Origin(path.name, k + 2), one) for k, one in enumerate(csv.DictReader(file))]


def _lines() -> list[dict[str, Any]]:
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.is_file() else ""
    return [json.loads(line) for line in text.splitlines()]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=",".join(SETS), help="names, by comma")
    parser.add_argument("--seeds", default="0,1,2", help="numbers, by comma")
    parser.add_argument("--methods", default="full", help="names, by comma")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="print what results.jsonl says")
    return parser.parse_args()


if __name__ == "__main__":
    main()
