"""How far from the start the final weights should lie (WiSE-FT, arXiv:2109.01903).

    python -m benchmarks.defaults.way_back --methods full --rates 1e-4 2e-4 --folds 0 1

One fit for each data set, fold and rate; its weights are moved back towards the start in steps, and
each point is scored on the held-out fold. Prints accuracy / log-loss, mean over folds.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections import defaultdict
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from benchmarks.defaults import run as trials
from benchmarks.defaults.run import OPTIONS, Bench

from fewtune.methods import parse
from fewtune.models.infer import logits
from fewtune.models.probe import softmax
from fewtune.models.weights import trained_tensors
from fewtune.train.options import TrainOptions

ALPHAS = (0.0, 0.3, 0.5, 0.7, 0.85, 1.0, 1.2)
OUT = Path("benchmarks/defaults/way_back.jsonl")


def main() -> None:
    """Fit, move back, score, print."""
    given = _arguments()
    torch.set_num_threads(given.threads)
    benches = {name: Bench(name) for name in given.sets.split(",")}
    for method, rate, fold in itertools.product(given.methods, given.rates, given.folds):
        for name, bench in benches.items():
            with open(OUT, "a", encoding="utf-8") as file:
                for line in _points(bench, method, rate, fold, given.passes):
                    file.write(json.dumps({"set": name, **line}) + "\n")
    print(table())


def _points(bench: Bench, method: str, rate: float, fold: int, passes: float):
    tuned, held = parse(method, OPTIONS.get(method, {})), bench.folds[fold]
    train = np.setdiff1d(np.arange(len(bench.targets)), held)
    options = TrainOptions(
        learning_rate=rate,
        head_learning_rate=tuned.head_rate,
        num_train_epochs=passes,
        save_steps=10**9,
    )
    start: dict[str, torch.Tensor] = {}
    run_fit = trials.run_fit

    def from_start(fit):
        start.update(trained_tensors(fit.model))
        yield from run_fit(fit)

    with patch.object(trials, "run_fit", from_start):
        model = bench._fit(tuned, options, train, bench._probe(fold, train))
    end = trained_tensors(model)
    for alpha in ALPHAS:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in end:
                    parameter.copy_(start[name].lerp(end[name], alpha))
        found = softmax(logits(model, bench.rows.take(held), bench.machine))
        where = {"method": method, "fold": fold, "rate": rate, "alpha": alpha}
        yield where | bench._scores("", found, held)


def table() -> str:
    """A line a data set, method and rate; a column an alpha."""
    found: dict[tuple, dict[float, list[dict]]] = defaultdict(lambda: defaultdict(list))
    for line in map(json.loads, OUT.read_text(encoding="utf-8").splitlines()):
        found[line["set"], line["method"], line["rate"]][line["alpha"]].append(line)
    rows = ["| set | method | rate | " + " | ".join(map(str, ALPHAS)) + " |"]
    rows.append("|" + " --- |" * (len(ALPHAS) + 3))
    for (name, method, rate), by_alpha in sorted(found.items()):
        cells = [_cell(by_alpha.get(alpha, [])) for alpha in ALPHAS]
        rows.append(f"| {name} | {method} | {rate:g} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _cell(lines: list[dict]) -> str:
    if not lines:
        return ""
    means = (sum(one[key] for one in lines) / len(lines) for key in ("accuracy", "log_loss"))
    return "{:.3f} / {:.3f}".format(*means)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+", default=["full"])
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-4, 2e-4])
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--passes", type=float, default=6)
    parser.add_argument("--sets", default="sst2-64,faults,banking77-10,maintnet-800")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
