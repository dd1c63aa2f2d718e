"""How long the linter takes on 10,000 short rows, without a model and with MiniLM's features.

    python -m benchmarks.check.run

Each in a process of its own; seconds of the whole process and its peak memory.
"""

from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.samples import ROOT, WORK

SHARED = ROOT.parent / "shared" / "data"
TARGETS = {"rows alone": (["--json"], 10), "with minilm": (["--json", "--model", "minilm"], 60)}
SETS = {
    "BANKING77 (77 classes)": SHARED / "banking77" / "train.csv",
    "hotel reviews (2 classes, Chinese)": SHARED / "zh_reviews" / "ChnSentiCorp_htl_all.csv",
}


def main() -> None:
    """Print a table, and write results/."""
    found = []
    print("| data | rows | rules | seconds | aim | peak MiB |\n" + "|" + " --- |" * 6)
    for name, path in SETS.items():
        rows, file = _ten_thousand(path)
        for rules, (flags, aim) in TARGETS.items():
            seconds, mib = _timed(["check", str(file), *flags])
            line = {"data": name, "rows": rows, "rules": rules, "seconds": round(seconds, 1)}
            found.append(line | {"aim": aim, "peak_mib": mib})
            print(f"| {name} | {rows:,} | {rules} | {seconds:.1f} | {aim} | {mib} |", flush=True)
    out = Path(__file__).parent / "results.json"
    out.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _ten_thousand(path: Path) -> tuple[int, Path]:
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[:10_001]
    WORK.mkdir(exist_ok=True)
    out = WORK / f"lint-{path.stem}.csv"
    with open(out, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return len(rows) - 1, out


def _timed(words: list[str]) -> tuple[float, int]:
    begun = time.perf_counter()
    command = [sys.executable, "-m", "fewtune", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    seconds = time.perf_counter() - begun
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024


if __name__ == "__main__":
    main()
