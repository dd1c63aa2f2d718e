"""Which rate each method wants for generation: two small real language models, training rows only.

    python -m benchmarks.defaults.answers --output benchmarks/defaults/answers.jsonl

Every trial is one method at one rate, three passes over 300 rows; its line has the loss per token
on 150 other training rows, beside the untouched model's.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from fewtune.choose.recipe import decide
from fewtune.data.dialogue import Message
from fewtune.data.options import DataOptions
from fewtune.data.read import read_any
from fewtune.data.row import Origin, Row
from fewtune.methods import parse
from fewtune.models.options import ModelOptions
from fewtune.models.source import find
from fewtune.tasks.generate import Generate
from fewtune.train.answers import AnswerBench, Answerer
from fewtune.train.options import TrainOptions

SHARED = Path(__file__).resolve().parents[3] / "shared"
TRAIN, HELD = 300, 150
RATES = {
    "full": (3e-4, 1e-3, 3e-3, 1e-2),
    "freeze": (3e-4, 1e-3, 3e-3, 1e-2),
    "lora": (1e-3, 3e-3, 1e-2, 3e-2),
    "adapter": (1e-3, 3e-3, 1e-2, 3e-2),
    "ia3": (3e-3, 1e-2, 3e-2, 1e-1),
    "prompt": (1e-2, 3e-2, 1e-1, 3e-1),
    "ptuning": (3e-4, 1e-3, 3e-3, 1e-2),
    "prefix": (3e-3, 1e-2, 3e-2, 1e-1),
}


def reports() -> list[Row]:
    """Aircraft discrepancies and what was done."""
    path = SHARED / "data" / "maintnet_aircraft" / "sft" / "train.jsonl"
    return read_any(path, DataOptions()).rows


def poems() -> list[Row]:
    """Titles and poems, in the model's own form."""
    told = json.loads((SHARED / "data" / "zh_poems" / "poetry_corpus.json").read_text())
    return [
        Row(
            Origin("poems", k),
            {"messages": (Message("user", f"主题：{one['title'][:8]}"),
                          Message("assistant", one["content"][:64]))},
        )
        for k, one in enumerate(told)
    ]  # fmt: skip


SETS = {
    "stories260K": (reports, None),
    "zh-poem-750k": (poems, "bare"),
}


def main() -> None:
    """Run the trials that the output file does not have yet."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", default=str(Path(__file__).with_name("answers.jsonl")))
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    out = Path(arguments.output)
    lines = out.read_text().splitlines() if out.exists() else []
    done = {tuple(json.loads(line)["key"]) for line in lines}
    for model, (rows, template) in SETS.items():
        chosen = np.random.Generator(np.random.PCG64(0)).permutation(len(found := rows()))
        train = [found[k] for k in chosen[:TRAIN]]
        held = [found[k] for k in chosen[TRAIN : TRAIN + HELD]]
        for method, rates in RATES.items():
            for rate in rates:
                key = [model, method, rate]
                if tuple(key) in done:
                    continue
                line = {"key": key, **trial(model, template, method, rate, train, held)}
                with out.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                print(line, flush=True)


def trial(
    model: str, template: str | None, name: str, rate: float, train: list[Row], held: list[Row]
) -> dict[str, float]:
    """Fit once and ask about the rows held out."""
    method = parse(name, {})
    options = TrainOptions(learning_rate=rate, num_train_epochs=3)
    given = ModelOptions(model=str(SHARED / "models" / model))
    bench = AnswerBench(
        find(given), Generate(), given, options, 0, method.reserved_tokens, {}, template
    )
    learned, asked = bench.encode(train).rows, bench.encode(held).rows
    before, count, _ = bench.voice(bench.base).losses(asked)
    candidate = Answerer(bench, method)
    candidate.attach()
    candidate.measure(learned.lengths)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for _ in candidate.fit(learned, decide(method, options, len(train), False), Path(folder)):
            pass
    seconds = time.perf_counter() - begun
    loss, _, _ = bench.voice(candidate.model).losses(asked)
    return {
        "loss": float(loss.sum() / count.sum()),
        "before": float(before.sum() / count.sum()),
        "seconds": round(seconds, 2),
    }


if __name__ == "__main__":
    main()
