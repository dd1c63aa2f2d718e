"""fewtune's side: one fit by the classes that `fewtune train` uses, in a process of its own.

The pipeline around it (linter, baselines, report) is left out: the peers have none. `--sdpa` gives
the attention kernel instead of measuring which is faster, so that nothing but the steps is seen.
"""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.peers.job import Memory, Steps, has_bf16, read_job, read_rows, tell

from fewtune.choose.recipe import decide
from fewtune.methods import parse
from fewtune.models.batches import Marked
from fewtune.models.options import ModelOptions
from fewtune.models.source import find
from fewtune.models.speaking import answer_losses
from fewtune.tasks.generate import Generate
from fewtune.train.answers import AnswerBench, Answerer
from fewtune.train.options import TrainOptions
from fewtune.train.order import epoch_batches


def main() -> None:
    job = read_job()
    candidate = prepared(job)
    rows = marked(job["rows"], candidate.bench)
    begun = time.perf_counter()
    with Memory() as measuring:
        candidate.measure(rows.lengths)
    measured = time.perf_counter() - begun
    with Memory() as memory:
        steps, losses = trained(candidate, rows, job)
    tell(
        "fewtune torch transformers peft",
        **steps.rate(job["warm"]),
        **memory.told(),
        measuring_peak_mib=measuring.peak,
        measuring_seconds=round(measured, 3),
        first_loss=losses[0] if job["exact"] else None,
        held_out_loss=held_out(candidate, job),
        trainable_parameters=candidate.counts()[0],
        attention=candidate.bench.chosen["attention"],
        bf16=candidate.bench.machine.bf16,
        machine_has_bf16=has_bf16(),
        threads=torch.get_num_threads(),
    )


def prepared(job: dict[str, Any]) -> Answerer:
    """The method on the model, with the numbers that the peers have too."""
    method = parse(job["method"], {})
    given = ModelOptions(
        model=job["model"],
        bf16=False if job["exact"] else None,
        attention="sdpa" if "--sdpa" in job["options"] else "auto",
    )
    options = TrainOptions(
        learning_rate=job["rate"],
        per_device_train_batch_size=job["batch"],
        num_train_epochs=1,
        max_steps=job["steps"],
        weight_decay=0.0,
        warmup_ratio=0.0,
        average_last=0,
    )
    bench = AnswerBench(find(given), Generate(), given, options, job["seed"])
    candidate = Answerer(bench, method)
    candidate.attach()
    return candidate


def trained(candidate: Answerer, rows: Marked, job: dict[str, Any]) -> tuple[Steps, list[float]]:
    """When the steps ended, and their losses."""
    recipe = decide(candidate.method, candidate.bench.train, len(rows), has_valid=False)
    steps, losses = Steps(), []
    steps.tokens = [
        int(rows.lengths[batch].sum())
        for epoch in range(math.ceil(recipe.steps * job["batch"] / len(rows)))
        for batch in epoch_batches(rows.lengths, job["batch"], job["seed"], epoch)
    ]
    with tempfile.TemporaryDirectory() as folder:
        for event in candidate.fit(rows, recipe, Path(folder)):
            if event.name == "step":
                steps.end()
                losses.append(event["loss"])
    return steps, losses


def marked(path: str, bench: AnswerBench) -> Marked:
    """Rows of tokens as the fit wants them."""
    rows = read_rows(path)
    return Marked(
        [np.array(row["input_ids"], dtype=np.int64) for row in rows],
        bench.tokenizer.pad_token_id,
        (),
        [np.array(row["completion_mask"], dtype=np.float32) for row in rows],
        range(len(rows)),
    )


def held_out(candidate: Answerer, job: dict[str, Any]) -> float | None:
    """Loss a learned token on the rows held out, in nats, float32 as the peers'."""
    if not job["held"]:
        return None
    candidate.model.float()  # frozen weights were rounded for the fit
    rows, exactly = marked(job["held"], candidate.bench), candidate.bench.machine.exactly()
    loss, count, _ = answer_losses(candidate.model, rows, exactly)
    return float(loss.sum() / count.sum())


if __name__ == "__main__":
    main()
