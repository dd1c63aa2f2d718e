"""The learning rate over the steps, as a factor of its peak."""

from __future__ import annotations

import math


def factor(kind: str, step: int, steps: int, warmup: int) -> float:
    """What the peak rate is multiplied by at `step` (0-based).

    Args:
        kind: `linear` and `cosine` fall to 0 at `steps`, `constant` stays.
        warmup: steps over which the rate rises from near 0 to its peak.

    >>> [round(factor("linear", s, 10, 2), 2) for s in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.12]
    """
    if step < warmup:
        return (step + 1) / warmup
    if kind == "constant":
        return 1.0
    done = (step - warmup) / max(1, steps - warmup)
    return 1.0 - done if kind == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
