"""Choosing: `fewtune train` without a method beside each method named, and beside SetFit.

    python -m benchmarks.choose.run [--sets A,B] [--seeds 0,1] [--commands auto,full] [--table]

Every run is a line of results.jsonl beside this file; lines that are there are not run again, so
an interrupted sitting goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from datetime import date
from pathlib import Path
from statistics import mean
from typing import Any

import yaml
from benchmarks import commands, machine
from benchmarks.choose import sets

HERE = Path(__file__).parent
RESULTS = HERE / "results.jsonl"
KEPT = (
    "accuracy",
    "method",
    "train_seconds",
    "wall_seconds",
    "peak_rss_mib",
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
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.is_file() else ""
    found = [json.loads(line) for line in text.splitlines()]
    return list({tuple(one["key"]): one for one in found}.values())


def table(settings: dict[str, Any]) -> str:
    """Mean accuracy by set and command over the seeds that all commands of the line have."""
    by: dict[str, dict[str, dict[int, dict[str, Any]]]] = defaultdict(lambda: defaultdict(dict))
    for one in lines():
        name, seed, command = one["key"]
        if "error" not in one:
            by[name][command][seed] = one
    names = list(settings["commands"])
    rows = [
        f"| set | samples | {' | '.join(names)} | auto chose |",
        "|---|---" + "|---" * len(names) + "|---|",
    ]
    for name in settings["sets"]:
        if name not in by or "auto" not in by[name]:
            continue
        seeds = set.intersection(*(set(one) for one in by[name].values()))
        cells = [
            f"{100 * mean(by[name][c][s]['accuracy'] for s in seeds):.1f}" if c in by[name] else ""
            for c in names
        ]
        chose = ", ".join(sorted(by[name]["auto"][s]["method"] for s in seeds))
        rows.append(f"| {name} | {len(seeds)} | {' | '.join(cells)} | {chose} |")
    return "\n".join(rows)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", help="names, by comma")
    parser.add_argument("--seeds", help="numbers, by comma")
    parser.add_argument("--commands", help="names, by comma")
    parser.add_argument("--table", action="store_true", help="print what results.jsonl says")
    return parser.parse_args()


if __name__ == "__main__":
    main()
