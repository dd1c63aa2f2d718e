"""Facts of made-up cases: a shape, counts as `methods.count` gives them, made-up timings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fewtune.choose.cost import Curve, Timings
from fewtune.choose.facts import Facts, Hardware
from fewtune.choose.proposal import with_options
from fewtune.methods import METHODS
from fewtune.methods.count import Count
from fewtune.models.shape import Shape, shape_of
from fewtune.trials.options import TextPrompt

MINILM = {
    "model_type": "bert", "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12,
    "intermediate_size": 1536, "vocab_size": 30522, "max_position_embeddings": 512,
}  # fmt: skip
BERT_BASE = MINILM | {
    "hidden_size": 768, "num_hidden_layers": 12, "intermediate_size": 3072,
}  # fmt: skip
QWEN = {
    "model_type": "qwen2", "hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14,
    "num_key_value_heads": 2, "intermediate_size": 4864, "vocab_size": 151936,
    "tie_word_embeddings": True,
}  # fmt: skip
QWEN_7B = QWEN | {
    "hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28,
    "num_key_value_heads": 4, "intermediate_size": 18944, "vocab_size": 152064,
    "tie_word_embeddings": False,
}  # fmt: skip

#: Seconds that make round numbers: a forward pass of 1e9 operations takes 10 ms.
TIMINGS = Timings(
    forward=Curve(0.0, 1e-11),
    full=Curve(0.02, 1e-11),
    adapter=Curve(0.01, 1e-11),
    lora=Curve(0.02, 1e-11),
    optimiser=5e-10,
    how="measured",
    note="made up.",
)
GIB = 2**30


def counts(shape: Shape, classes: int | None) -> dict[str, Count]:
    """About what each method trains; `full` and `freeze` exactly."""
    head = (classes or 0) * (shape.width + 1)
    base = shape.backbone_parameters + shape.head_parameters * (classes is None)
    part = shape.layers * shape.width * 20

    def added(number: int) -> Count:
        return Count(number + head, base + number + head, 0, number)

    found = {name: added(part) for name in METHODS if name not in ("tfidf", "probe")}
    found |= {
        "tfidf": Count(1000, 1000),
        "probe": Count(head, base + head, shape.layers),
        "freeze": Count(2 * shape.block_parameters + head, base + head, shape.layers - 2),
        "bitfit": Count(part + head, base + head, 0),
        "full": Count(base + head, base + head),
    }
    if classes is None:
        del found["probe"], found["tfidf"]
    return found


def facts(config: dict[str, Any] = MINILM, rows: int = 500, **more: Any) -> Facts:
    """A case; `memory` in GiB, and any field of Facts."""
    shape = shape_of(config)
    task = more.pop("task", "generate" if shape.causal else "classify")
    memory = int(more.pop("memory", 16) * GIB)
    hardware = Hardware("cpu", cores=2, bf16=more.pop("bf16", False), memory=memory, ram=memory)
    draw = np.random.Generator(np.random.PCG64(0))
    made = Facts(
        task=task,
        rows=rows,
        per_class={} if task == "generate" else {f"c{k}": rows // 10 for k in range(10)},
        lengths=draw.integers(8, 40, rows),
        learned=10.0 if task == "generate" else 0.0,
        model="minilm" if config is MINILM else "some/model",
        parameters=shape.backbone_parameters + shape.head_parameters,
        shape=shape,
        hardware=hardware,
        methods={**{name: way() for name, way in METHODS.items()}, "text-prompt": TextPrompt()},
        counts={},
        timings=TIMINGS,
    )
    made = replace(made, **more)
    made = replace(made, methods=with_options(made, {}))
    return replace(made, counts=counts(shape, made.classes))
