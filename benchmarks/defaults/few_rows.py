"""How many steps very few rows want: rows that no benchmark tests on.

    python -m benchmarks.defaults.few_rows [--methods full,adapter] [--steps 6,30,60]

A few training rows of a set are learned and 600 other training rows are scored, at the rates of the
defaults. A line a fit in few_rows.jsonl; the table has points of accuracy and the share of log-loss
(each at the temperature that suits the scored rows best) over the probe of the same rows.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from benchmarks.choose import sets
from benchmarks.samples import WORK

from fewtune.data.row import Origin, Row
from fewtune.data.splits import stratified_folds
from fewtune.methods import parse
from fewtune.models.choice import ONE_OF
from fewtune.models.device import find_machine
from fewtune.models.infer import features
from fewtune.models.options import ModelOptions
from fewtune.models.source import find
from fewtune.models.temperature import best_temperature
from fewtune.tasks.classify import Classify
from fewtune.train.bench import Bench
from fewtune.train.options import TrainOptions
from fewtune.trials.folds import Setting, fitted

RESULTS = Path(__file__).with_name("few_rows.jsonl")
#: Set, rows a class, samples.
SAMPLES = (
    ("sst2", 8, (10, 11, 12, 13)),
    ("maintnet", 4, (10, 11)),
    ("fault_reports", 4, (10, 11)),
    ("sst2", 16, (10, 11)),
    ("thucnews", 5, (10, 11)),
    ("banking77", 2, (10,)),
)
SCORED = 600

Line = dict[str, Any]


def main() -> None:
    """Fit what is not in the results, then print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--methods", default="full,adapter,lora,bitfit,freeze")
    parser.add_argument("--steps", default="0,15,30,60,120", help="0 for the passes alone")
    given = parser.parse_args()
    if why := sets.absent():
        print(why)
        return
    methods, steps = given.methods.split(","), [*map(int, given.steps.split(","))]
    done = {tuple(one["key"]) for one in _lines()}
    for name, few, seeds in SAMPLES:
        for seed in seeds:
            wanted = [(m, s) for m in methods for s in steps if (name, few, seed, m, s) not in done]
            for line in _measured(name, few, seed, wanted) if wanted else ():
                with open(RESULTS, "a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
    print(_table())


def _measured(name: str, few: int, seed: int, wanted: list[tuple[str, int]]) -> Iterator[Line]:
    learned, scored = _drawn(name, few, seed)
    task = Classify(tuple(sorted({row["label"] for row in learned})))
    options = ModelOptions(attention="eager")
    bench = Bench(find(options), task, options, TrainOptions(), seed, 0, {"attention": "eager"})
    examples = bench.examples(learned)
    rows = bench.encode(scored)
    truth = task.targets(scored)
    folds = stratified_folds([row["label"] for row in learned], min(5, few), seed)
    tried = bench.try_probes(examples, folds)[0][0]
    probe = bench.probe_at(examples, tried.c, tried.temperature)
    machine = find_machine(options.device, options.bf16)
    plain = probe.probabilities(features(bench.load(), rows, machine))
    for method, steps in wanted:
        tuned = parse(method, {})
        passes = None if steps else tuned.budget(len(examples)).epochs
        train = TrainOptions(max_steps=steps or None, num_train_epochs=passes)
        setting = Setting(bench, tuned, examples, folds, tried.c, tried.temperature, WORK, train)
        found = fitted(setting, examples).probabilities(rows)
        yield {
            "key": [name, few, seed, method, steps],
            "rows": len(examples),
            **_scores("", found, truth),
            **_scores("probe_", plain, truth),
        }


def _drawn(name: str, few: int, seed: int) -> tuple[list[Row], list[Row]]:
    """A few training rows a class, and others of the same file."""
    pairs, _ = sets.READERS[name](random.Random(seed))
    draw = random.Random(seed)
    by_class: dict[str, list[str]] = defaultdict(list)
    for text, label in pairs:
        by_class[label].append(text)
    known = sorted(label for label, texts in by_class.items() if len(texts) > 2 * few)
    learned = [(t, k) for k in known for t in draw.sample(sorted(by_class[k]), few)]
    texts = {text for text, _ in learned}
    others = [one for one in pairs if one[1] in known and one[0] not in texts]
    return _rows(learned), _rows(draw.sample(others, min(SCORED, len(others))))


def _rows(pairs: Sequence[sets.Pair]) -> list[Row]:
    return [
        Row(Origin("set", k), {"text": text, "label": label})
        for k, (text, label) in enumerate(pairs)
    ]


def _scores(prefix: str, found: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    loss = best_temperature(ONE_OF.logits(found), truth)[1]
    right = float((found.argmax(axis=1) == truth).mean())
    return {f"{prefix}accuracy": round(right, 4), f"{prefix}log_loss": round(loss, 4)}


def _lines() -> list[Line]:
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.is_file() else ""
    return [json.loads(line) for line in text.splitlines()]


def _table() -> str:
    found: dict[tuple[str, int], dict[tuple[str, int], list[Line]]] = {}
    for line in _lines():
        name, few, _, method, steps = line["key"]
        found.setdefault((method, steps), {}).setdefault((name, few), []).append(line)
    columns = [(name, few) for name, few, _ in SAMPLES]
    told = [f"{name} {few}" for name, few in columns]
    rows = [f"| method | steps | {' | '.join(told)} | mean |", "|---|---" * (len(told) + 3) + "|"]
    for (method, steps), by_set in sorted(found.items()):
        cells = [_cell(by_set[one]) if one in by_set else ("", 0.0, 0.0) for one in columns]
        points, shares = mean(one[1] for one in cells), mean(one[2] for one in cells)
        every = f"{points:+.1f} / {shares:+.1%}" if all(one[0] for one in cells) else ""
        usual = steps or "passes alone"
        rows.append(f"| {method} | {usual} | {' | '.join(one[0] for one in cells)} | {every} |")
    return "\n".join(rows)


def _cell(lines: list[Line]) -> tuple[str, float, float]:
    points = mean(100 * (one["accuracy"] - one["probe_accuracy"]) for one in lines)
    share = mean(1 - one["log_loss"] / one["probe_log_loss"] for one in lines)
    return f"{points:+.1f} / {share:+.1%}", points, share


if __name__ == "__main__":
    main()
