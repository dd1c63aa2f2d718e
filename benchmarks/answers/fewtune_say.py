"""fewtune's side of generation: `Voice.answer` on dialogues, cutting into tokens included."""

from __future__ import annotations

import json
import time
from pathlib import Path

import torch
from benchmarks.peers.job import Memory, read_job, read_rows, tell

from fewtune.data.dialogue import Message
from fewtune.models.decoding import DecodingOptions
from fewtune.models.options import ModelOptions
from fewtune.models.source import find
from fewtune.tasks.generate import Generate
from fewtune.train.answers import AnswerBench
from fewtune.train.options import TrainOptions


def main() -> None:
    job = read_job()
    given = ModelOptions(model=job["model"], bf16=False if job["exact"] else None)
    bench = AnswerBench(find(given), Generate(), given, TrainOptions(), job["seed"])
    voice = bench.voice(bench.base)
    dialogues = [
        [Message(turn["role"], turn["content"]) for turn in row["messages"]]
        for row in read_rows(job["rows"])
    ]
    decoding = DecodingOptions(max_new_tokens=job["max_new_tokens"])
    voice.answer(dialogues[: job["batch"]], decoding)
    with Memory() as memory:
        begun = time.perf_counter()
        replies = voice.answer(dialogues, decoding)
        seconds = time.perf_counter() - begun
    texts = [reply.text for reply in replies]
    Path(job["said"]).write_text(json.dumps(texts), encoding="utf-8")
    tell(
        "fewtune torch transformers",
        rows=len(texts),
        tokens=sum(reply.tokens for reply in replies),
        seconds=round(seconds, 3),
        rows_per_second=round(len(texts) / seconds, 3),
        **memory.told(),
        bf16=bench.machine.bf16,
        threads=torch.get_num_threads(),
    )


if __name__ == "__main__":
    main()
