"""What accelerate's `estimate-memory` says of the same model: a multiple of its weights."""

from __future__ import annotations

from accelerate.commands.estimate import estimate_training_usage
from accelerate.utils import calculate_maximum_sizes
from benchmarks.memory.made import Case


def estimate(case: Case) -> int:
    """Bytes of training with Adam, as the command's table has them; it knows no method, no batch.

    Its largest figure of the four phases (model, gradients, step) in float32, or for bfloat16 in
    what it calls mixed precision.
    """
    import torch
    import transformers

    config = transformers.AutoConfig.for_model(**case.config)
    kind = transformers.AutoModelForCausalLM if case.answers else transformers.AutoModel
    with torch.device("meta"):
        total, _ = calculate_maximum_sizes(kind.from_config(config))
    phases = estimate_training_usage(total, "float16" if case.bf16 else "float32")
    return int(max(phases.values()))
