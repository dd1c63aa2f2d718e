"""What every method gains over the probe on rows that no choice has seen.

    python -m benchmarks.choose.gains [--sets A,B] [--seeds 0,1]    gains.jsonl and the table
    python -m benchmarks.choose.gains --table                       the table of what is there

`fewtune compare` on a sample of `sets`, with its test rows. The log-loss of these is taken at the
temperature that suits them best, and its gain is a share of the probe's: what `choose/prior.py`
believes before a race.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import yaml
from benchmarks.choose import sets
from benchmarks.commands import FEWTUNE
from benchmarks.jsonl import lines
from benchmarks.samples import WORK
from safetensors.numpy import load_file

HERE = Path(__file__).parent
RESULTS = HERE / "gains.jsonl"
METHODS = ("tfidf", "probe", "freeze", "bitfit", "adapter", "lora", "full")


def main() -> None:
    """Compare on the samples that are not in the results, then print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", default="sst2-8,sst2-64,thucnews-10,banking77-10")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    if not given.table:
        if why := sets.absent():
            print(why)
            return
        done = {tuple(one["key"]) for one in lines(RESULTS)}
        for name in given.sets.split(","):
            for seed in map(int, given.seeds.split(",")):
                if (name, seed) not in done:
                    with open(RESULTS, "a", encoding="utf-8") as file:
                        file.write(json.dumps(measured(name, seed)) + "\n")
    print(table(lines(RESULTS)))


def measured(name: str, seed: int) -> dict[str, Any]:
    """Test accuracy, log-loss and seconds a fold; a comparison that is there is read."""
    settings = yaml.safe_load((HERE / "settings.yaml").read_text(encoding="utf-8"))
    train, test = sets.sample(name, settings["sets"][name], seed, settings["test_rows"])
    folder = WORK / "gains" / f"{name}-{seed}"
    command = ["compare", train, "--test", test, "--methods", ",".join(METHODS), "--folds", 5]
    command += ["--seeds", 1, "--output", folder, "--json"]
    if not (folder / "comparison.json").is_file():
        subprocess.run([str(FEWTUNE), *map(str, command)], check=True, capture_output=True)
    told = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    labels = json.loads((folder / "data.json").read_text(encoding="utf-8"))["labels"]
    targets = _targets(test, labels)
    found = {}
    for one in told["methods"]:
        logits = load_file(folder / "fits" / "seed1" / "test" / f"{one['name']}.0.safetensors")
        loss, right = _scored(logits["answers"], targets)
        if abs(right - one["test"]["value"]) > 1e-9:
            raise SystemExit(f"{folder}: the labels of the file are not those of the comparison")
        found[one["name"]] = {
            "accuracy": round(right, 4),
            "log_loss": round(loss, 4),
            "seconds": round(one["seconds"], 2),
        }
    return {"key": [name, seed], "rows": told["rows"]["train"], "methods": found}


def _targets(test: Path, labels: list[str]) -> np.ndarray:
    with open(test, newline="", encoding="utf-8") as file:
        return np.array([labels.index(row["label"]) for row in csv.DictReader(file)])


def _scored(logits: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Log-loss at the best temperature, and the share that is right."""
    from fewtune.models.choice import ONE_OF
    from fewtune.models.temperature import best_temperature

    heat = best_temperature(logits, targets, None, ONE_OF)[0]
    losses = ONE_OF.losses(ONE_OF.probabilities(logits / heat), targets)
    return float(losses.mean()), float((logits.argmax(axis=1) == targets).mean())


def table(found: list[dict[str, Any]]) -> str:
    """Points of accuracy and share of log-loss over the probe, mean over a set's samples."""
    by_set: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in found:
        by_set[one["key"][0]].append(one["methods"])
    others = [name for name in METHODS if name != "probe"]
    rows = [f"| set | samples | probe | {' | '.join(others)} |", "|---|---|---" + "|---" * 6 + "|"]
    shares: dict[str, list[float]] = defaultdict(list)
    for name, samples in by_set.items():
        cells = []
        for method in others:
            points = mean(
                100 * (one[method]["accuracy"] - one["probe"]["accuracy"]) for one in samples
            )
            share = mean(1 - one[method]["log_loss"] / one["probe"]["log_loss"] for one in samples)
            shares[method].append(share)
            cells.append(f"{points:+.1f} / {share:+.1%}")
        probe = mean(100 * one["probe"]["accuracy"] for one in samples)
        rows.append(f"| {name} | {len(samples)} | {probe:.1f} | {' | '.join(cells)} |")
    over = [
        f"{mean(one):+.1%} ± {stdev(one):.1%}" if len(one) > 1 else "" for one in shares.values()
    ]
    rows.append(f"| mean of the sets ± between them | | | {' | '.join(over)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
