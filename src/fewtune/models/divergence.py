"""How far a tuned language model's next-token shares lie from the base's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fewtune.models.answer_loss import CHUNK
from fewtune.models.batches import Marked, by_length
from fewtune.models.device import Machine
from fewtune.models.head import Head

#: (input_ids, attention_mask) -> states, (rows, tokens, width).
States = Callable[[Tensor, Tensor], Tensor]


@torch.inference_mode()
def divergence(
    rows: Marked, machine: Machine, base: tuple[States, Head], tuned: tuple[States, Head]
) -> tuple[np.ndarray, np.ndarray]:
    """KL(base || tuned) over the learned tokens of rows, in nats.

    Args:
        rows: texts.
        base, tuned: what makes states, and the head that reads them.

    Returns:
        Of each row the summed divergence and the number of tokens; each (rows,).
    """
    total, count = np.zeros(len(rows)), np.zeros(len(rows))
    for chosen in by_length(rows.lengths, 16):
        ids, mask = (one.to(machine.device) for one in rows.batch(chosen))
        at, _, _ = rows.targets(chosen)
        with machine.autocast():
            states = [make(ids, mask)[at[:, 0], at[:, 1]] for make, _ in (base, tuned)]
        owner = chosen[at[:, 0].numpy()]
        size = max(1, CHUNK // len(base[1].weight))
        for start in range(0, len(owner), size):
            here = slice(start, start + size)
            logs = [
                head(some[here]).log_softmax(1)
                for some, (_, head) in zip(states, (base, tuned), strict=True)
            ]
            each = (logs[0].exp() * (logs[0] - logs[1])).sum(1)
            np.add.at(total, owner[here], each.double().cpu().numpy())
        np.add.at(count, owner, 1)
    return total, count
