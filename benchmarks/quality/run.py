"""Quality: accuracy of every command over five samples of BANKING77, 10 rows a class.

    python -m benchmarks.quality.run [--also NAME ...] [--only NAME ...] [--output FILE]

Writes results/<date>.json beside this file and the table in benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import sys
from datetime import date
from pathlib import Path

import yaml
from benchmarks import commands, machine, samples, table

HERE = Path(__file__).parent


def main() -> None:
    args = _arguments()
    if why := samples.absent():
        print(why)
        return
    settings = yaml.safe_load((HERE / "settings.yaml").read_text(encoding="utf-8"))
    known = settings["commands"]
    usual = [name for name, spec in known.items() if not spec.get("optional")]
    chosen = table.choose(known, args.only or [*usual, *args.also])
    if any("peer" in spec for spec in chosen.values()):
        commands.prepare_peers()
    runs = []
    for seed in settings["seeds"]:
        data = samples.sample(seed, settings["rows_per_class"])
        for name, spec in chosen.items():
            record = commands.measure(name, spec, data, f"seed{seed}", settings["timeout_seconds"])
            print(table.progress(record), file=sys.stderr, flush=True)
            runs.append({**record, "seed": seed})
    result = {
        "date": date.today().isoformat(),
        "settings": {**settings, "commands": chosen},
        "machine": machine.describe(),
        "versions": commands.environment_versions(),
        "runs": runs,
    }
    table.save(args.output or HERE / "results" / f"{result['date']}.json", result)
    if args.output is None:
        table.rewrite()
    print(table.quality(result))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--also", nargs="+", default=[], metavar="NAME", help="optional commands")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these commands and no other")
    parser.add_argument(
        "--output", type=Path, help="write there and leave the README's table alone"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
