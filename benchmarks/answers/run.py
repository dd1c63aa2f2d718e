"""Learning answers and writing them: fewtune beside TRL and transformers, each in its own process.

    python -m benchmarks.answers.run [--cases a,b-lora,...] [--rounds 2]

Every run is a line of results.jsonl beside this file; lines that are there are not run again, so
an interrupted sitting goes on. `python -m benchmarks.answers.table` prints what they say.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from benchmarks import commands, machine
from benchmarks.samples import ROOT, WORK

HERE = Path(__file__).parent
RESULTS = HERE / "results.jsonl"
FROM_ROOT = {**commands.QUIET, "PYTHONPATH": str(ROOT)}


def main() -> None:
    args = _arguments()
    settings = yaml.safe_load((HERE / "settings.yaml").read_text(encoding="utf-8"))
    cases = _chosen(settings["cases"], args.cases)
    if why := absent():
        print(why)
        return
    commands.prepare_peers()
    done = _done(args.output, set(cases) if args.again else set())
    for name, case in cases.items():
        rounds = args.rounds or case.get("rounds", settings["rounds"])
        for key in _keys(name, case, rounds):
            if key in done:
                continue
            record = {"key": list(key), **measure(name, case, key[1], settings)}
            print(_progress(record), file=sys.stderr, flush=True)
            with open(args.output, "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")


def absent() -> str | None:
    """A sentence when models and data are not there, else None."""
    needed = ("models/stories260K", "models/tokenizer_minimind6400", "data/maintnet_aircraft")
    lacking = [one for one in needed if not (ROOT.parent / "shared" / one).is_dir()]
    if not lacking:
        return None
    return (
        f"Skipped: {', '.join(lacking)} not in ../shared; the benchmark needs these folders beside "
        "the repository."
    )


def measure(name: str, case: dict[str, Any], side: str, settings: dict[str, Any]) -> dict[str, Any]:
    """One side of a case, once: what it took and what it said, or why there is nothing."""
    free = _free_gib()
    if free < case.get("needs_gib", 0):
        return {"error": f"it needs about {case['needs_gib']} GiB and {free:.1f} are free"}
    job = _job(name)
    folder, log = WORK / "runs" / f"answers-{name}-{side}", WORK / "logs" / f"answers-{name}-{side}"
    shutil.rmtree(folder, ignore_errors=True)
    command = _command(settings["sides"][side], job)
    done = machine.run(
        command, FROM_ROOT, folder, log.with_suffix(".log"), settings["timeout_seconds"]
    )
    record: dict[str, Any] = {
        "date": date.today().isoformat(),
        "machine": machine.describe(),
        **asdict(done),
    }
    lines = record.pop("stdout").strip().splitlines()
    if done.exit_code:
        record["error"] = f"exit code {done.exit_code}; its messages are in benchmarks/work/logs"
    else:
        record |= json.loads(lines[-1])
    if (said := folder / "said.json").is_file():
        shutil.copy(said, job.with_name(f"said-{side}.json"))
        record["same_answers"] = _same(job, side, case["sides"][0])
    shutil.rmtree(folder, ignore_errors=True)
    return record


def _command(spec: dict[str, Any], job: Path) -> list[str]:
    if "module" in spec:
        start = [sys.executable, "-m", spec["module"]]
    else:
        python = commands.PEERS_VENV / "bin" / "python"
        start = [str(python), str(commands.PEERS / spec["peer"])]
    return [*start, str(job), *spec.get("options", [])]


def _job(name: str) -> Path:
    """Made in a process of its own: this one never loads torch."""
    command = [sys.executable, "-m", "benchmarks.answers.make", name]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip().splitlines()[-1])


def _same(job: Path, side: str, first: str) -> float | None:
    """The share of answers that are letter by letter those of the case's first side."""
    own, other = (job.with_name(f"said-{one}.json") for one in (side, first))
    if not other.is_file():
        return None
    pairs = list(zip(*(json.loads(path.read_text()) for path in (own, other)), strict=True))
    return sum(a == b for a, b in pairs) / len(pairs)


def _keys(name: str, case: dict[str, Any], rounds: int) -> Iterator[tuple[str, str, int]]:
    """Alternating: every side once in each round."""
    for number in range(rounds):
        for side in case["sides"]:
            yield name, side, number


def _done(path: Path, again: set[str]) -> set[tuple[str, str, int]]:
    """Keys of the lines that are kept: those that failed, and those asked for again, are not."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    records = [json.loads(line) for line in lines]
    kept = [one for one in records if "error" not in one and one["key"][0] not in again]
    if len(kept) < len(records):
        path.write_text("".join(json.dumps(one) + "\n" for one in kept), encoding="utf-8")
    return {tuple(one["key"]) for one in kept}


def _chosen(cases: dict[str, Any], beginnings: str | None) -> dict[str, Any]:
    """The cases whose names begin so; all of them when none is named."""
    wanted = tuple((beginnings or "").split(","))
    found = {name: case for name, case in cases.items() if name.startswith(wanted)}
    if not found:
        raise SystemExit(f"no case begins with {beginnings}; settings.yaml has {', '.join(cases)}")
    return found


def _free_gib() -> float:
    text = Path("/proc/meminfo").read_text(encoding="ascii")
    line = next(line for line in text.splitlines() if line.startswith("MemAvailable"))
    return int(line.split()[1]) / 2**20


def _progress(record: dict[str, Any]) -> str:
    """One line about one run, for the person who waits."""
    name, side, number = record["key"]
    start = f"{name:16} {side:14} {number}"
    if "error" in record:
        return f"{start}  {record['error']}"
    told = record.get("tokens_per_second") or record.get("rows_per_second")
    speed = "" if told is None else f"{told:10.1f} a second"
    return f"{start} {record['wall_seconds']:7.1f} s {record['peak_rss_mib']:7.0f} MiB {speed}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", metavar="A,B", help="how the names of the cases begin")
    parser.add_argument("--rounds", type=int, help="instead of the settings' number")
    parser.add_argument("--again", action="store_true", help="forget these cases' lines first")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the lines are kept")
    return parser.parse_args()


if __name__ == "__main__":
    main()
