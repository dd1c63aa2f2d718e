"""Which rate and how many passes each method wants: folds of the training rows, several data sets.

    python -m benchmarks.defaults.run --methods full,lora --sets banking77-10,sst2-64 --output F

Only training rows are read. Every trial is one fold of one data set with one setting; its line has
accuracy and log-loss on the held-out fold, beside the probe's on the same fold.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path

import numpy as np
import torch
from benchmarks.defaults.sets import SETS

from fewtune.choose.recipe import decide
from fewtune.data.splits import stratified_folds
from fewtune.methods import parse
from fewtune.methods.base import prepare
from fewtune.models.attention import set_attention
from fewtune.models.device import Machine, find_machine
from fewtune.models.infer import features, logits
from fewtune.models.load import load_pooled, load_tokenizer
from fewtune.models.modes import set_dropout
from fewtune.models.options import ModelOptions
from fewtune.models.probe import Probe, fit_probe, out_of_fold, softmax
from fewtune.models.source import find
from fewtune.tasks.classify import Classify
from fewtune.train.loop import Fit, run_fit
from fewtune.train.optimiser import Rates
from fewtune.train.options import TrainOptions
from fewtune.train.work import plan_work

#: method -> (rate, passes) to try; the default in the middle.
GRID: dict[str, list[tuple[float, float]]] = {
    "full": [(1e-4, 6), (2e-4, 6), (1e-4, 10)],
    "lora": [(2e-3, 6), (1e-3, 6), (2e-3, 10)],
    "adapter": [(2e-3, 10), (1e-3, 10), (5e-3, 10)],
    "freeze": [(3e-4, 10), (1e-4, 10), (1e-3, 10)],
    "bitfit": [(3e-3, 10), (1e-3, 10), (1e-2, 10)],
    "ia3": [(1e-2, 10), (3e-3, 10), (3e-2, 10)],
    "prefix": [(1e-2, 10), (3e-3, 10), (3e-2, 10)],
    "ptuning": [(1e-3, 10), (3e-4, 10), (5e-3, 10)],
    "prompt": [(3e-2, 10), (1e-2, 10), (1e-1, 10)],
}
OPTIONS = {"freeze": {"layers": 2}}


def main() -> None:
    """Run the trials that the output file does not have yet."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    out = Path(arguments.output)
    done = {tuple(json.loads(line)["key"]) for line in _lines(out)}
    benches = {name: Bench(name) for name in arguments.sets.split(",")}
    methods = arguments.methods.split(",")
    for fold, method in itertools.product(arguments.folds, methods):
        for (rate, passes), name in itertools.product(GRID[method], benches):
            key = (name, fold, method, rate, passes)
            if key in done:
                continue
            line = {"key": key, **benches[name].trial(*key[1:])}
            with open(out, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)


class Bench:
    """One data set, encoded, with the untouched model's features."""

    def __init__(self, name: str) -> None:
        texts, labels = SETS[name]()
        self.task = Classify(tuple(sorted(set(labels))))
        self.options = ModelOptions()
        self.source = find(self.options)
        self.machine: Machine = find_machine("auto", None)
        tokenizer = load_tokenizer(self.source)
        self.rows = self.task.encode(texts, tokenizer, self.source.max_length)
        self.targets = np.array([self.task.labels.index(label) for label in labels])
        self.folds = stratified_folds(labels, 5, 0)
        self.features = features(self._model(), self.rows, self.machine)
        self.probes: dict[int, Probe] = {}

    def trial(self, fold: int, method: str, rate: float, epochs: float) -> dict:
        """Fit on the other folds, score on this one."""
        held = self.folds[fold]
        train = np.setdiff1d(np.arange(len(self.targets)), held)
        probe = self._probe(fold, train)
        tuned = parse(method, OPTIONS.get(method, {}))
        options = TrainOptions(
            learning_rate=rate,
            head_learning_rate=tuned.head_rate,
            num_train_epochs=epochs,
            save_steps=10**9,
        )
        begun = time.perf_counter()
        model = self._fit(tuned, options, train, probe)
        seconds = time.perf_counter() - begun
        found = softmax(logits(model, self.rows.take(held), self.machine))
        return {
            "rows": len(train),
            "seconds": round(seconds, 1),
            **self._scores("", found, held),
            **self._scores("probe_", probe.probabilities(self.features[held]), held),
        }

    def _probe(self, fold: int, train: np.ndarray) -> Probe:
        """Penalty and temperature chosen inside the training rows, as a run does."""
        if fold not in self.probes:
            found, targets = self.features[train], self.targets[train]
            inner = stratified_folds(targets.tolist(), 5, 0)
            best = out_of_fold(found, targets, len(self.task.labels), inner)[0][0]
            probe = fit_probe(found, targets, len(self.task.labels), best.c)
            self.probes[fold] = probe.at(best.temperature)
        return self.probes[fold]

    def _fit(self, method, options: TrainOptions, train: np.ndarray, probe: Probe):
        torch.manual_seed(0)
        model = self._model()
        set_dropout(model, 0.0)
        prepared = prepare(model, method)
        model = prepared.model
        set_attention(model, "eager")
        start = method.head_start(probe)
        with torch.no_grad():
            model.head.weight.copy_(torch.from_numpy(start.weight))
            model.head.bias.copy_(torch.from_numpy(start.bias))
        recipe = decide(method, options, len(train), False)
        rows, targets = self.rows.take(train), self.targets[train]
        nowhere = Path("benchmarks/work/no-checkpoints")
        work = plan_work(model, rows, targets, self.task.loss, self.machine, True, nowhere)
        rates = Rates(recipe.head, recipe.parts)
        fit = Fit(prepared, work, recipe.options, recipe.steps, rates, self.machine, 0, nowhere)
        for _ in run_fit(fit):
            pass
        return model

    def _model(self):
        return load_pooled(self.source, len(self.task.labels), self.options)

    def _scores(self, prefix: str, found: np.ndarray, held: np.ndarray) -> dict[str, float]:
        truth = self.targets[held]
        own = found[np.arange(len(truth)), truth].clip(1e-12)
        return {
            f"{prefix}accuracy": round(float((found.argmax(1) == truth).mean()), 4),
            f"{prefix}log_loss": round(float(-np.log(own).mean()), 4),
        }


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", default=",".join(GRID))
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1], help="which of the five")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", default="benchmarks/defaults/trials.jsonl")
    return parser.parse_args()


if __name__ == "__main__":
    main()
