"""Run a model over rows without gradients: features, logits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fewtune.models.batches import Encoded, by_length
from fewtune.models.choice import ONE_OF, Choice
from fewtune.models.device import Machine, frozen_in_bf16, placed
from fewtune.models.ladder import in_halves, watched
from fewtune.models.pooled import PooledModel


@torch.inference_mode()
def features(model: PooledModel, rows: Encoded, machine: Machine, size: int = 64) -> np.ndarray:
    """Pooled features of every row, (rows, width), float32."""
    return _run(model, rows, machine, size, model.features)


@torch.inference_mode()
def logits(model: PooledModel, rows: Encoded, machine: Machine, size: int = 64) -> np.ndarray:
    """Logits of every row, (rows, classes), float32."""
    return _run(model, rows, machine, size, model)


def settled_logits(
    model: PooledModel,
    rows: Encoded,
    machine: Machine,
    size: int = 64,
    choice: Choice = ONE_OF,
) -> np.ndarray:
    """Logits whose answer is that of float32 arithmetic, at nearly the price of bfloat16.

    bfloat16 moves a logit a little; only where the answer hangs on less than that (the two best
    classes are closer, or one is nearer to its threshold) can it change. The largest move is
    measured on a sample of rows, and every row whose lead is smaller than four times that is
    computed again in float32.
    """
    if not machine.bf16:
        return logits(model, rows, machine, size)
    quick = logits(model, rows, machine, size)
    sample = np.linspace(0, len(rows) - 1, num=min(64, len(rows))).astype(int)
    exact = logits(model, rows.take(sample), machine.exactly(), size)
    moved = float(np.abs(choice.centred(quick[sample]) - choice.centred(exact)).max())
    close = np.flatnonzero(choice.lead(quick) < 4 * moved)
    quick[sample] = exact
    if len(close):
        quick[close] = logits(model, rows.take(close), machine.exactly(), size)
    return quick


def _run(
    model: PooledModel,
    rows: Encoded,
    machine: Machine,
    size: int,
    forward: Callable[[Tensor, Tensor], Tensor],
) -> np.ndarray:
    placed(model.eval(), machine)
    out: np.ndarray | None = None

    def values_of(chosen: np.ndarray) -> np.ndarray:
        ids, mask = (t.to(machine.device) for t in rows.batch(chosen))
        return forward(ids, mask).float().cpu().numpy()

    with frozen_in_bf16(model, machine), machine.autocast(), watched(model):
        batches = by_length(rows.lengths, size)
        for chosen, values in in_halves(batches, values_of, "evaluation"):
            if out is None:
                out = np.empty((len(rows), values.shape[1]), dtype=np.float32)
            out[chosen] = values
    assert out is not None
    return out
