"""How token states become one vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Mode = Literal["mean", "cls", "lasttoken", "max"]


@dataclass(frozen=True, slots=True)
class Pooling:
    """How token states become one vector: `mode`, and whether it is scaled to length 1."""

    mode: Mode = "mean"
    normalize: bool = False

    def __call__(self, states: Tensor, mask: Tensor) -> Tensor:
        """Pool right-padded states.

        Args:
            states: (batch, tokens, width).
            mask: (batch, tokens), 1 for a token and 0 for padding.

        Returns:
            (batch, width), float32.
        """
        import torch

        states = states.float()
        weights = mask.unsqueeze(-1).to(states.dtype)  # (batch, tokens, 1)
        if self.mode == "mean":
            pooled = (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        elif self.mode == "cls":
            pooled = states[:, 0]
        elif self.mode == "max":
            pooled = states.masked_fill(weights == 0, -torch.inf).amax(1)
        else:
            last = mask.sum(1).long().clamp(min=1) - 1
            pooled = states[torch.arange(len(states), device=states.device), last]
        return torch.nn.functional.normalize(pooled, dim=-1) if self.normalize else pooled
