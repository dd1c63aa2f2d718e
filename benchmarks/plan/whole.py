"""The time that `fewtune plan` tells of whole fits, beside what `fewtune train` takes for them.

    python -m benchmarks.plan.whole [--methods A,B]    runs, and their table
    python -m benchmarks.plan.whole --table            of what was run

Wall time, on the machine as it is. The plan times its steps anew before every fit, because a
virtual machine is not as fast at one time as at another. The probe before a fit, and reading, are
in neither.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.commands import FEWTUNE, QUIET
from benchmarks.jsonl import lines
from benchmarks.samples import ROOT, WORK

RESULTS = Path(__file__).with_name("whole.jsonl")
METHODS = "full,lora,adapter,freeze,bitfit,ia3"
AIM = 0.25  # of the measured time
DATA = ROOT / "examples" / "fault_reports.csv"
TIMEOUT = 1800  # seconds


def main() -> None:
    """Plan and run one after another, print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    if not given.table:
        for method in given.methods.split(","):
            one = measured(method, planned())
            with open(RESULTS, "a", encoding="utf-8") as file:
                file.write(json.dumps(one) + "\n")
    print(table(lines(RESULTS)))


def planned() -> dict[str, dict[str, float]]:
    """Seconds by method, as the plan tells them after it has timed its steps."""
    command = [str(FEWTUNE), "plan", str(DATA), "--model", "minilm", "--again", "--json"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return {one["method"]: one["time"] for one in json.loads(done.stdout)["methods"]}


def measured(method: str, told: dict[str, dict[str, float]]) -> dict[str, Any]:
    """One run of a method with its defaults."""
    folder = WORK / "whole" / method
    shutil.rmtree(folder, ignore_errors=True)
    command = [str(FEWTUNE), "train", str(DATA), "--model", "minilm", "--method", method]
    log = WORK / "logs" / f"whole-{method}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    own = ["--no-learning_curve", "--output", str(folder / "run")]
    done = machine.run([*command, *own], QUIET, folder, log, TIMEOUT)
    if done.exit_code:
        raise SystemExit(f"{method}: exit code {done.exit_code}; see {log}")
    scores = json.loads((folder / "run" / "scores.json").read_text(encoding="utf-8"))
    return {
        "method": method,
        "machine": machine.describe(),
        "predicted": round(told[method]["trunk"] + told[method]["steps"], 2),
        "measured": round(scores["seconds"]["train"], 2),
        "others_cpu_share": done.others_cpu_share,
    }


def table(found: list[dict[str, Any]]) -> str:
    """Predicted and measured seconds, their ratio, and what others used of the machine."""
    rows = [
        "| method | predicted, s | measured, s | predicted / measured | in 25 % | others' share |",
        "|---|---|---|---|---|---|",
    ]
    for one in found:
        ratio = one["predicted"] / one["measured"]
        near = "yes" if abs(ratio - 1) <= AIM else "**no**"
        rows.append(
            f"| {one['method']} | {one['predicted']:.1f} | {one['measured']:.1f} | {ratio:.2f} | "
            f"{near} | {one['others_cpu_share']:.0%} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
