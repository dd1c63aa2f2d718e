"""Memory of a training step: predicted, and measured on real fits, each in a process of its own.

    python -m benchmarks.memory.run [--models minilm,gpt2]

Every case is a line of results.jsonl beside this file; cases that are there are not run again.
`python -m benchmarks.memory.table` prints what they say.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from benchmarks import machine
from benchmarks.memory.case import case_of
from benchmarks.memory.estimate import estimate
from benchmarks.memory.made import Case, folder_of

HERE = Path(__file__).parent
RESULTS = HERE / "results.jsonl"
SPARE = 3 * 2**30  # bytes that must be free beyond a model's own, or the case is left out


def main() -> None:
    """Run the cases that results.jsonl does not have yet."""
    settings = yaml.safe_load((HERE / "settings.yaml").read_text(encoding="utf-8"))
    known = set(_arguments().models or settings["models"])
    done = {json.loads(line)["case"] for line in _lines()}
    for told in cases(settings):
        case = case_of(told)
        if case.key in done or told["model"] not in known:
            continue
        folder_of(case)  # made here, so that no measured process holds its making
        record = {"case": case.key, "told": told, **_measured(told, _needs(case))}
        if record.get("measured"):
            record["estimate"] = estimate(case)
        record |= {"date": date.today().isoformat(), "machine": machine.describe()}
        with open(RESULTS, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        print(case.key, record.get("measured"), record.get("why"), file=sys.stderr, flush=True)


def cases(settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every model with every method, then those that change one thing."""
    for model in settings["models"]:
        for method in settings["methods"]:
            yield {"model": model, "method": method}
    yield from settings["also"]


def _needs(case: Case) -> int:
    """Bytes of weights, gradients and moments."""
    return (16 if case.method == "full" else 6) * case.shape.backbone_parameters


def _measured(told: dict[str, Any], needs: int) -> dict[str, Any]:
    """The case's own process, then one that keeps freed memory."""
    found: dict[str, Any] = {}
    for words in ([], ["kept"]):
        if (free := _free_bytes()) < needs + SPARE:
            return found | {"why": f"only {free / 2**30:.1f} GiB were free"}
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.memory.case", json.dumps(told), *words],
            capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        if done.returncode:
            return found | {"why": done.stderr.strip().splitlines()[-1]}
        found |= json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _free_bytes() -> int:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(one.split()[1]) * 1024 for one in lines if one.startswith("MemAvailable"))


def _lines() -> list[str]:
    return RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.exists() else []


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=lambda text: text.split(","))
    return parser.parse_args()


if __name__ == "__main__":
    main()
