"""Averaged weights: over the end of training (Izmailov et al. 2018, arXiv:1803.05407), and between
the pretrained start and the end (WiSE-FT, Wortsman et al. 2022, arXiv:2109.01903, eq. 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

END = 0.2  # the share of the steps, at the end, over which snapshots are spread


def snapshot_steps(steps: int, count: int) -> set[int]:
    """The steps (1-based, the last one included) after which a snapshot is taken.

    >>> sorted(snapshot_steps(100, 5))
    [84, 88, 92, 96, 100]
    """
    return {steps - round(i * END * steps / count) for i in range(count)}


@torch.no_grad()
def towards(model: nn.Module, start: Mapping[str, Tensor], alpha: float) -> None:
    """Set every trained tensor to (1 - alpha) start + alpha trained.

    Args:
        start: the trained tensors as they were before the first step.
        alpha: 0 is the start, 1 the trained weights.
    """
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            before = start[name].to(parameter.device)
            parameter.copy_(before.lerp(parameter, alpha))


@dataclass
class Average:
    """A running mean of the trained tensors."""

    count: int = 0
    mean: dict[str, Tensor] = field(default_factory=dict)

    @torch.no_grad()
    def add(self, model: nn.Module) -> None:
        """Take the present weights into the mean."""
        self.count += 1
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            if self.count == 1:
                self.mean[name] = parameter.detach().clone()
            else:
                self.mean[name].lerp_(parameter.detach(), 1 / self.count)
