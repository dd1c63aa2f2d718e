"""How a budget in time is kept: what a race and the final fit take of the `--budget` given.

    python -m benchmarks.choose.budgets [--sets A,B] [--budgets 1m,own]    runs, and their table
    python -m benchmarks.choose.budgets --table                            of what was run

`own` is the budget that a run has which is told none.

The whole command takes longer: what every run does before its race (reading, tokens, the timing of
steps) and after its fit (scores, the report) is not the budget's.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import yaml
from benchmarks import machine
from benchmarks.choose import sets
from benchmarks.commands import FEWTUNE, QUIET
from benchmarks.jsonl import lines
from benchmarks.samples import WORK

HERE = Path(__file__).parent
RESULTS = HERE / "budgets.jsonl"
OWN = "own"  # no budget is told
SETS = "fault-reports,banking77-10,sst2-500,maintnet-action"


def main() -> None:
    """Run what is not in the results, then print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--budgets", default="1m,3m,own")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    if not given.table:
        if why := sets.absent():
            print(why)
            return
        done = {tuple(one["key"]) for one in lines(RESULTS)}
        for budget in given.budgets.split(","):
            for name in given.sets.split(","):
                if (name, budget) not in done:
                    with open(RESULTS, "a", encoding="utf-8") as file:
                        file.write(json.dumps(measured(name, budget)) + "\n")
    print(table(lines(RESULTS)))


def measured(name: str, budget: str) -> dict[str, Any]:
    """One run of `fewtune train` with a budget; what its folder says it took."""
    settings = yaml.safe_load((HERE / "settings.yaml").read_text(encoding="utf-8"))
    train, test = sets.sample(name, settings["sets"][name], 0, settings["test_rows"])
    folder = WORK / "budgets" / f"{name}-{budget}"
    shutil.rmtree(folder, ignore_errors=True)
    command = [str(FEWTUNE), "train", str(train), "--test", str(test)]
    command += [] if budget == OWN else ["--budget", budget]
    log = WORK / "logs" / f"budget-{name}-{budget}.log"
    timeout = settings["timeout_seconds"]
    done = machine.run([*command, "--output", str(folder / "run")], QUIET, folder, log, timeout)
    if done.exit_code:
        raise SystemExit(f"{name}, {budget}: exit code {done.exit_code}; see {log}")
    race = yaml.safe_load((folder / "run" / "plan.yaml").read_text(encoding="utf-8"))
    told = race["chosen"]["race"]
    scores = json.loads((folder / "run" / "scores.json").read_text(encoding="utf-8"))
    return {
        "key": [name, budget],
        "machine": machine.describe(),
        "budget_seconds": told["budget"],
        "race_seconds": told["seconds"],
        "fit_seconds": scores["seconds"]["train"],
        "winner": told["winner"],
        "wall_seconds": done.wall_seconds,
        "others_cpu_share": done.others_cpu_share,
    }


def table(found: list[dict[str, Any]]) -> str:
    """Seconds, and the share of the budget that race and fit took together."""
    rows = [
        "| set | budget | race | final fit | of the budget | whole command | winner |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in found:
        name, budget = one["key"]
        took = one["race_seconds"] + one["fit_seconds"]
        rows.append(
            f"| {name} | {budget} | {one['race_seconds']:.0f} s | {one['fit_seconds']:.0f} s | "
            f"{took / one['budget_seconds']:.0%} | {one['wall_seconds']:.0f} s | "
            f"{one['winner']} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
