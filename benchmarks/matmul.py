"""How fast this machine multiplies matrices, and how much of that a training run reaches.

    python -m benchmarks.matmul        one line of JSON: GFLOP/s in fp32 and bf16

torch is imported inside the function that needs it: the table is written without it.
"""

from __future__ import annotations

import json
import struct
import time
from math import prod
from pathlib import Path
from statistics import median

SIZES = (1024, 2048, 4096)


def gemm_rates(threads: int = 2, seconds: float = 2.0) -> dict[str, float]:
    """GFLOP/s of square products, the best size's median, `{"fp32": ..., "bf16": ...}`.

    Args:
        threads: torch's threads.
        seconds: time spent on each size and precision.
    """
    import torch

    torch.set_num_threads(threads)
    rates = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        rates[name] = max(_rate(torch.randn(n, n).to(dtype), seconds) for n in SIZES)
    return {name: round(rate, 1) for name, rate in rates.items()}


def _rate(matrix, seconds: float) -> float:
    """Median GFLOP/s of matrix @ matrix over `seconds` (at least three products)."""
    size = matrix.shape[0]
    matrix @ matrix  # warm: threads, and bf16's packing
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        start = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - start)
    return 2 * size**3 / median(times) / 1e9


def training_flops(matrix_parameters: int, tokens: int) -> float:
    """6NT: two operations a parameter and token forwards, twice that backwards.

    Args:
        matrix_parameters: N, trained parameters that multiply (no embeddings: they are looked up).
        tokens: T, real tokens of all epochs together; padding is no work done.

    Attention's own products add 12 x layers x length x width a token: under 1 % of 6N at the
    16 tokens of these rows, so they are left out. Source: arXiv:2001.08361, section 2.1.
    """
    return 6.0 * matrix_parameters * tokens


def matrix_parameters(weights: Path) -> int:
    """Parameters of the encoder's weight matrices, from the header of its safetensors file.

    Embeddings are tables and the pooler is not used under mean pooling: neither is counted.
    """
    with open(weights, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    return sum(
        prod(tensor["shape"])
        for name, tensor in header.items()
        if name != "__metadata__"
        and len(tensor["shape"]) == 2
        and "embeddings" not in name
        and "pooler" not in name
    )


if __name__ == "__main__":
    print(json.dumps(gemm_rates()))
