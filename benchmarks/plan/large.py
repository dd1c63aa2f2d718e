"""How long `fewtune plan` takes for a 7B configuration and 1,000 rows.

    python -m benchmarks.plan.large          large.json, and the lines on stdout

The folder of the model holds a configuration and a small tokenizer, no weights. The first run
finds everything out about the machine, the second reads that from the cache.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import date
from itertools import islice
from pathlib import Path
from time import perf_counter

from benchmarks.commands import FEWTUNE
from benchmarks.machine import describe
from benchmarks.memory.traced import QWEN_7B
from benchmarks.samples import ROOT, WORK

SHARED = ROOT.parent / "shared"
TOKENIZER = SHARED / "models" / "tokenizer_minimind6400"
TALKS = SHARED / "data" / "gsm8k" / "train.jsonl"
RESULTS = Path(__file__).with_name("large.json")
ROWS = 1000
AIM = 15.0  # seconds


def main() -> None:
    """Run it with an empty cache and with a full one."""
    if not (TOKENIZER.is_dir() and TALKS.is_file()):
        print("Skipped: tokenizer_minimind6400 or gsm8k not in ../shared.")
        return
    model, rows, cache = _prepared(WORK / "plan-large")
    env = os.environ | {"FEWTUNE_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    found = {}
    for name in ("empty cache", "full cache"):
        begun = perf_counter()
        command = [str(FEWTUNE), "plan", str(rows), "--model", str(model), "--json"]
        said = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
        found[name] = round(perf_counter() - begun, 1)
        size = json.loads(said.stdout)["model"]["parameters"]
        print(f"{size:,} parameters, {ROWS:,} rows, {name}: {found[name]} s (aim {AIM:g} s)")
    told = {"date": date.today().isoformat(), "machine": describe(), "seconds": found, "aim": AIM}
    RESULTS.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _prepared(folder: Path) -> tuple[Path, Path, Path]:
    """The model's folder, the rows, and a cache with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    model, rows = folder / "qwen2-7b", folder / "rows.jsonl"
    shutil.copytree(TOKENIZER, model)
    (model / "config.json").write_text(json.dumps(QWEN_7B), encoding="utf-8")
    with open(TALKS, encoding="utf-8") as file:
        rows.write_text("".join(islice(file, ROWS)), encoding="utf-8")
    return model, rows, folder / "cache"


if __name__ == "__main__":
    main()
