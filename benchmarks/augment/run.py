"""Does augmentation, or do unlabelled rows, help on real test sets? One line a run, by seed.

    python -m benchmarks.augment.run [--sets sst2-64,...] [--seeds 0,1] [--output FILE]

Every run trains `full` on MiniLM on a small sample; the rest of the training file serves as
unlabelled rows. `auto` is told with what it kept. Results go to results.jsonl beside this file;
`--table` prints them.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import fewtune

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
HERE = Path(__file__).parent
TEST_ROWS = 1000
UNLABELLED = 1000
Rows = list[tuple[str, str]]


def sst2(name: str) -> Rows:
    """Film reviews, negative or positive; the label stands before the text."""
    with open(SHARED / "sst2" / f"stsa.binary.{name}", encoding="utf-8") as file:
        pairs = (line.rstrip("\n").split(" ", 1) for line in file)
        return [(text, label) for label, text in pairs]


def banking(name: str) -> Rows:
    """Questions to a bank, 77 classes."""
    with open(SHARED / "banking77" / f"{name}.csv", newline="", encoding="utf-8") as file:
        return [(r["text"], r["category"]) for r in csv.DictReader(file) if r["text"]]


#: name -> reader, rows a class, recipes tried one by one.
SETS = {
    "sst2-64": (sst2, 64),
    "banking77-5": (banking, 5),
}
ARMS: dict[str, dict[str, str]] = {
    "none": {},
    "typing": {"augment": "typing"},
    "delete": {"augment": "delete"},
    "swap": {"augment": "swap"},
    "aeda": {"augment": "aeda"},
    "synonym (neighbours)": {"augment": "synonym", "augment_model": "minilm"},
    "auto": {"augment": "auto"},
    "self-training": {"unlabelled": "FILE"},
}


def main() -> None:
    """Run what the output file does not have yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--output", type=Path, default=HERE / "results.jsonl")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    lines = [json.loads(one) for one in _lines(given.output)]
    if given.table:
        print(table(lines))
        return
    done = {(one["set"], one["seed"], one["arm"]) for one in lines}
    for seed in map(int, given.seeds.split(",")):
        for name in given.sets.split(","):
            with tempfile.TemporaryDirectory() as folder:
                files = prepared(name, seed, Path(folder))
                for arm in given.arms.split(","):
                    if (name, seed, arm) in done:
                        continue
                    line = {"set": name, "seed": seed, "arm": arm, **once(files, arm, folder)}
                    with given.output.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(line) + "\n")
                    print(line, flush=True)


def prepared(name: str, seed: int, folder: Path) -> dict[str, str]:
    """The sample, rows without labels, and test rows, as files."""
    read, each = SETS[name]
    draw = random.Random(seed)
    by_class: dict[str, Rows] = defaultdict(list)
    for text, label in dict.fromkeys(read("train")):
        by_class[label].append((text, label))
    train, rest = [], []
    for label in sorted(by_class):
        rows = draw.sample(by_class[label], len(by_class[label]))
        train += rows[:each]
        rest += rows[each:]
    test = read("test")
    parts = {
        "train": train,
        "test": draw.sample(test, min(TEST_ROWS, len(test))),
        "FILE": [(text, "") for text, _ in draw.sample(rest, min(UNLABELLED, len(rest)))],
    }
    files = {}
    for part, rows in parts.items():
        files[part] = str(folder / f"{part}.csv")
        draw.shuffle(rows)
        with open(files[part], "w", newline="", encoding="utf-8") as file:
            head = [("text", "label")] if part != "FILE" else [("text",)]
            csv.writer(file).writerows(head + (rows if part != "FILE" else [r[:1] for r in rows]))
    return files


def once(files: dict[str, str], arm: str, folder: str) -> dict[str, object]:
    """One run: what it scored, what it kept, how long it took."""
    options = {key: files.get(value, value) for key, value in ARMS[arm].items()}
    begun = time.perf_counter()
    run = fewtune.train(
        files["train"], test=files["test"], method="full", output=f"{folder}/{arm}", **options
    )
    trials = run.folder.plan["chosen"].get("trials") or []
    kept = [line["name"] for one in trials for line in one["table"] if line.get("better")]
    return {
        "accuracy": round(run.scores["test"]["accuracy"]["value"], 4),
        "log_loss": round(run.scores["test"]["log_loss"]["value"], 4),
        "probe": round(run.scores["baselines"]["probe"]["accuracy"]["value"], 4),
        "kept": kept,
        "learned": run.folder.plan["chosen"].get("learned", 0),
        "seconds": round(time.perf_counter() - begun, 1),
    }


def table(lines: list[dict]) -> str:
    """Means over the seeds: accuracy, log-loss, and the difference to the run without."""
    by: dict[tuple[str, str], list[dict]] = defaultdict(list)
    for one in lines:
        by[one["set"], one["arm"]].append(one)
    told = ["| set | arm | accuracy | log-loss | runs | rows made | kept |", "|" + " --- |" * 7]
    for (name, arm), runs in by.items():
        mean = {key: sum(one[key] for one in runs) / len(runs) for key in ("accuracy", "log_loss")}
        kept = sorted({one for run in runs for one in run["kept"]}) or ["-"]
        rows = "/".join(str(one["learned"]) for one in runs)
        told.append(
            f"| {name} | {arm} | {mean['accuracy']:.3f} | {mean['log_loss']:.3f} | {len(runs)} | "
            f"{rows} | {', '.join(kept)} |"
        )
    return "\n".join(told)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


if __name__ == "__main__":
    main()
