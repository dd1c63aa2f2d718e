"""A 7B configuration: the closed form beside a step on fake tensors, which hold nothing.

    python -m benchmarks.memory.traced

Writes traced.jsonl beside this file. The model is built on the meta device and made fake; every
operation of two steps is dispatched and its results are counted, about a minute a case.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import torch
import transformers
from benchmarks import machine
from benchmarks.memory.counter import LiveBytes
from benchmarks.memory.made import Case, attached
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from fewtune.choose.memory import predict
from fewtune.models.answer_loss import answer_loss
from fewtune.models.causal import CausalModel
from fewtune.models.head import head_of

RESULTS = Path(__file__).with_name("traced.jsonl")
QWEN_7B: dict[str, Any] = {
    "model_type": "qwen2",
    "hidden_size": 3584,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "intermediate_size": 18944,
    "vocab_size": 152064,
}


def main() -> None:
    """Trace every case and write it down."""
    with open(RESULTS, "w", encoding="utf-8") as file:
        for case in cases():
            begun = time.perf_counter()
            record = traced(case)
            record["seconds"] = round(time.perf_counter() - begun, 1)
            record |= {"date": date.today().isoformat(), "machine": machine.describe()}
            print(case.key, record["told"]["peak"] / record["counted"], flush=True)
            file.write(json.dumps(record) + "\n")


def cases() -> Iterator[Case]:
    """Full and LoRA, in both precisions, and with activations computed twice."""
    for method, bf16, checkpointing in (
        ("full", False, False),
        ("full", True, False),
        ("full", True, True),
        ("lora", False, False),
        ("lora", True, False),
        ("lora", True, True),
    ):
        yield Case(
            "qwen2-7b", QWEN_7B, method, 4, 512, {}, answers=128, bf16=bf16,
            checkpointing=checkpointing,
        )  # fmt: skip


def traced(case: Case) -> dict[str, Any]:
    """Most bytes of live fake tensors in the second step, and what was told."""
    config = transformers.AutoConfig.for_model(**case.config)
    config.use_cache = False
    config._attn_implementation = case.attention
    with torch.device("meta"):
        whole = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        model = attached(case, CausalModel(whole)).model
    step = case.step(model, 0)
    mode = FakeTensorMode()
    _make_fake(model, mode)
    with mode, LiveBytes() as counter:
        counter.add_model(model)
        _steps(case, model, counter)
    told = replace(predict(case.shape, step), loading=0)  # nothing is loaded here
    return {"case": case.key, "counted": counter.peak, "told": told.as_json()}


def _steps(case: Case, model: Any, counter: LiveBytes) -> None:
    rows, length, answers = case.rows, case.length, case.rows * case.answers
    ids = torch.zeros(rows, length, dtype=torch.long)
    mask = torch.ones(rows, 1, length, length).tril().bool()  # as padding makes it
    row, place = torch.zeros(2, answers, dtype=torch.long)
    targets, counts = torch.zeros(answers, dtype=torch.long), torch.ones(answers)
    head = head_of(model, case.machine)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, fused=True)
    model.train()
    for _ in range(2):  # the first makes the optimiser's states
        counter.peak = counter.now
        with case.machine.autocast():
            states = model.features(ids, mask)[row, place]
            loss = answer_loss(head, states, targets, counts)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)


def _make_fake(model: nn.Module, mode: FakeTensorMode) -> None:
    """Meta parameters and buffers as fake ones of the CPU; shared ones stay shared."""
    made: dict[int, nn.Parameter] = {}
    with mode:
        for module in model.modules():
            for name, one in module._parameters.items():
                if one is None:
                    continue
                if id(one) not in made:
                    empty = torch.empty(one.shape, dtype=one.dtype)
                    made[id(one)] = nn.Parameter(empty, requires_grad=one.requires_grad)
                module._parameters[name] = made[id(one)]
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)


if __name__ == "__main__":
    main()
