"""Choosing: `fewtune train` without a method beside each method named, and beside SetFit.

    python -m benchmarks.choose.run [--sets A,B] [--seeds 0,1] [--commands auto,full] [--table]

Every run is a line of results.jsonl beside this file; lines that are there are not run again, so
an interrupted sitting goes on; SetFit, which takes hours, goes on in the middle of a run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from datetime import date
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import yaml
from benchmarks import commands, jsonl, machine
from benchmarks.choose import sets

HERE = Path(__file__).parent
RESULTS = HERE / "results.jsonl"
KEPT = (
    "accuracy",
    "method",
    "train_seconds",
    "wall_seconds",
    "earlier_seconds",
    "peak_rss_mib",
    "bf16",
    "others_cpu_share",
    "error",
)


def main() -> None:
    args = _arguments()
    settings = yaml.safe_load((HERE / "settings.yaml").read_text(encoding="utf-8"))
    if args.table:
        print(table(settings))
        return
    if why := sets.absent():
        print(why)
        return
    known = settings["commands"]
    usual = [name for name, spec in known.items() if not spec.get("optional")]
    names = args.commands.split(",") if args.commands else usual
    if any("peer" in known[name] for name in names):
        commands.prepare_peers()
    done = {tuple(one["key"]) for one in lines() if "error" not in one}
    for seed in map(int, args.seeds.split(",")) if args.seeds else settings["seeds"]:
        for name in args.sets.split(",") if args.sets else settings["sets"]:
            data = sets.sample(name, settings["sets"][name], seed, settings["test_rows"])
            for command in names:
                if (name, seed, command) in done:
                    continue
                found = commands.measure(
                    command, known[command], data, f"{name}-{seed}", settings["timeout_seconds"]
                )
                told = {key: found[key] for key in KEPT if key in found}
                record = {
                    "key": [name, seed, command],
                    "date": date.today().isoformat(),
                    "machine": machine.describe(),
                    **told,
                }
                print(name, seed, command, told, file=sys.stderr, flush=True)
                with open(RESULTS, "a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")


def lines() -> list[dict[str, Any]]:
    """What was measured, the last of a key counting."""
    return list({tuple(one["key"]): one for one in jsonl.lines(RESULTS)}.values())


def table(settings: dict[str, Any]) -> str:
    """Mean accuracy on the samples that `auto` has answered; who has fewer of them says how many.

    Behind it what `auto` is ahead of the best single method by, in points, the same samples; what
    it chose; and the median seconds of the whole process, with those of SetFit.
    """
    by: dict[str, dict[str, dict[int, dict[str, Any]]]] = defaultdict(lambda: defaultdict(dict))
    for one in lines():
        name, seed, command = one["key"]
        if "error" not in one:
            by[name][command][seed] = one
    names = [name for name in settings["commands"] if name != "trainer-10"]
    head = [*names, "auto − best named", "auto chose", "seconds: auto", "setfit"]
    rows = [f"| set | samples | {' | '.join(head)} |", "|---|---" + "|---" * len(head) + "|"]
    for name in settings["sets"]:
        auto = by[name]["auto"]
        if not auto:
            continue
        cells = [_cell(auto, by[name][command]) for command in names]
        chose = ", ".join(sorted(one["method"] for one in auto.values()))
        took = [_seconds(by[name][command]) for command in ("auto", "setfit")]
        cells += [_ahead(by[name]), chose, *took]
        rows.append(f"| {name} | {len(auto)} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _cell(auto: dict[int, Any], own: dict[int, Any]) -> str:
    seeds = auto.keys() & own.keys()
    if not seeds:
        return ""
    told = f"{100 * mean(own[seed]['accuracy'] for seed in seeds):.1f}"
    return told if len(seeds) == len(auto) else f"{told} ({len(seeds)})"


def _ahead(by: dict[str, dict[int, Any]]) -> str:
    """Over the named method that is best on the samples that all have."""
    named = [by[one] for one in ("tfidf", "probe", "lora", "adapter", "full")]
    seeds = set.intersection(*({*one} for one in [by["auto"], *named]))
    if not seeds:
        return ""
    best = max(named, key=lambda one: mean(one[seed]["accuracy"] for seed in seeds))
    apart = [100 * (by["auto"][seed]["accuracy"] - best[seed]["accuracy"]) for seed in seeds]
    spread = f" ± {stdev(apart) / len(apart) ** 0.5:.1f}" if len(apart) > 1 else ""
    return f"{mean(apart):+.1f}{spread}"


def _seconds(own: dict[int, Any]) -> str:
    return f"{median(one['wall_seconds'] for one in own.values()):.0f}" if own else ""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", help="names, by comma")
    parser.add_argument("--seeds", help="numbers, by comma")
    parser.add_argument("--commands", help="names, by comma")
    parser.add_argument("--table", action="store_true", help="print what results.jsonl says")
    return parser.parse_args()


if __name__ == "__main__":
    main()
