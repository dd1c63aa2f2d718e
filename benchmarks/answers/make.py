"""The models, rows and prompts of a case, made where they are not there yet, and its job.

    python -m benchmarks.answers.make CASE         prints where the job is

Every side gets the same token ids: rows are cut into tokens once, by fewtune's own chat template.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from benchmarks.samples import ROOT, WORK

from fewtune.data.dialogue import Message
from fewtune.data.options import DataOptions
from fewtune.data.read import read_any
from fewtune.data.row import Row
from fewtune.models.chat import stop_ids
from fewtune.models.options import ModelOptions
from fewtune.models.source import find
from fewtune.tasks.generate import Generate, asked
from fewtune.train.answers import AnswerBench
from fewtune.train.options import TrainOptions

SHARED = ROOT.parent / "shared"
AIRCRAFT = SHARED / "data" / "maintnet_aircraft" / "sft"
TOKENIZER = SHARED / "models" / "tokenizer_minimind6400"
MADE = WORK / "answers"
MOST_TURNED_TO_ONE = 5  # discrepancies in a prompt: 1 to so many, so that lengths differ


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case")
    name = parser.parse_args().case
    text = Path(__file__).with_name("settings.yaml").read_text(encoding="utf-8")
    print(write_job(name, yaml.safe_load(text)))


def write_job(name: str, settings: dict[str, Any]) -> Path:
    """Make what a case needs; its job lies beside it."""
    case = settings["cases"][name]
    folder = model_folder(case["model"], settings["models"][case["model"]])
    bench = bench_of(folder)
    place = MADE / "jobs" / name
    place.mkdir(parents=True, exist_ok=True)
    job: dict[str, Any] = {
        "model": str(folder),
        "batch": settings["batch"],
        "seed": settings["seed"],
        "warm": settings["warm"],
        "exact": case.get("exact", False),
        "held": None,
        "steps": case.get("steps"),
    }
    if "prompts" in case:
        job |= {"max_new_tokens": settings["max_new_tokens"], "stop_ids": _stop_ids(bench, folder)}
        job["said"] = "said.json"  # in the folder that a side runs in
        job["rows"] = _write(place / "prompts.jsonl", prompts(bench, case["prompts"], settings))
    else:
        job |= {"method": case["method"], "rate": case["rate"]}
        job["rows"] = _write(place / "rows.jsonl", _rows(bench, case, settings))
        if case.get("held"):
            job["held"] = _write(place / "held.jsonl", aircraft(bench, "test", case["held"]))
    path = place / "job.json"
    path.write_text(json.dumps(job, indent=1) + "\n", encoding="utf-8")
    return path


def model_folder(name: str, shape: dict[str, Any]) -> Path:
    """A folder of ../shared/models, or a model of random weights made after its shape."""
    if "folder" in shape:
        return SHARED / "models" / shape["folder"]
    folder = MADE / "models" / name
    stamp = folder / "shape.json"
    if stamp.is_file() and json.loads(stamp.read_text(encoding="utf-8")) == shape:
        return folder
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(0)
    fields = {key: value for key, value in shape.items() if key != "model_type"}
    marks = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}  # the tokenizer's
    config = AutoConfig.for_model(shape["model_type"], **fields, **marks)
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    for one in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TOKENIZER / one, folder / one)
    stamp.write_text(json.dumps(shape), encoding="utf-8")
    return folder


def bench_of(folder: Path) -> AnswerBench:
    """A bench whose tokenizer has its chat template; no weights are loaded."""
    given = ModelOptions(model=str(folder))
    return AnswerBench(find(given), Generate(), given, TrainOptions(), 0)


def aircraft(bench: AnswerBench, split: str, count: int) -> list[dict[str, Any]]:
    """Discrepancies and what was done about them, as tokens."""
    encoded = bench.encode(_reports(split)[:count])
    rows = encoded.rows
    return [
        {"input_ids": ids.tolist(), "completion_mask": (weights > 0).astype(int).tolist()}
        for ids, weights, owner in zip(rows.ids, rows.weights, rows.rows, strict=True)
        if owner not in set(encoded.unlearned)
    ]


def made(prompt: int, answer: int, count: int, seed: int) -> list[dict[str, Any]]:
    """Rows of random tokens that every tokenizer here knows, all of one length."""
    draw = np.random.Generator(np.random.PCG64(seed))
    ids = draw.integers(10, 6400, (count, prompt + answer))
    mask = [0] * prompt + [1] * answer
    return [{"input_ids": row.tolist(), "completion_mask": mask} for row in ids]


def prompts(bench: AnswerBench, count: int, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Questions about one to five discrepancies, as turns and as tokens."""
    reports = [asked(row)[0][-1].content for row in _reports("train")]
    found = []
    for at in range(count):
        several = reports[at : at + 1 + at % MOST_TURNED_TO_ONE]
        task, first = several[0].split("\n", 1)
        text = "\n".join([task, first, *(one.split("\n", 1)[1] for one in several[1:])])
        room = bench.source.positions - settings["max_new_tokens"]
        ids = bench.task.prompt((Message("user", text),), bench.tokenizer, room)
        found.append({"messages": [{"role": "user", "content": text}], "input_ids": ids.tolist()})
    return found


def _reports(split: str) -> Sequence[Row]:
    return read_any(AIRCRAFT / f"{split}.jsonl", DataOptions()).rows


def _rows(bench: AnswerBench, case: dict[str, Any], settings: dict[str, Any]) -> list[dict]:
    if case["rows"] == "aircraft":
        return aircraft(bench, "train", case["take"])
    return made(**case["rows"], count=settings["batch"] * case["steps"], seed=settings["seed"])


def _stop_ids(bench: AnswerBench, folder: Path) -> list[int]:
    own = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    return stop_ids(bench.tokenizer, [own.get("eos_token_id")])


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


if __name__ == "__main__":
    main()
