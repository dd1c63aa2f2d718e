"""How far a fit moved what it trains: the method's parts and the head, each by itself.

Of every trained tensor a sample of numbers is remembered from before the first step, so that a
model of 7 billion weights needs a few megabytes and no second copy. A sample of 4,096 numbers tells
a relative change to about one part in a hundred, and whether anything moved at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fewtune.methods.base import Prepared

SAMPLE = 4096  # numbers of a tensor; a smaller one is remembered whole
#: The size, a number (root mean square), that a part is held against where it began smaller: what
#: starts at zero (LoRA's B, a head) has no size of its own, and pretrained weights have about 0.03.
LEAST = 1e-3
HEAD = "head"

Moved = dict[str, dict[str, float | bool]]


@dataclass
class Start:
    """The trained tensors as they were before the first step, as far as they are remembered.

    Attributes:
        seen: name -> the sampled numbers, float32 or as the tensor has them, on the CPU.
    """

    prepared: Prepared
    seen: dict[str, Tensor]

    @classmethod
    def of(cls, prepared: Prepared) -> Start:
        """Remember a model that no step was taken of, also where a checkpoint is loaded then."""
        return cls(prepared, {name: _sampled(one) for name, one in _trained(prepared)})

    def moved(self, optimiser: torch.optim.Optimizer) -> Moved:
        """How far each part is from there now.

        Returns:
            By the part's method, or HEAD: `change` (the norm of the change over that at the start),
            `from_zero` (it began smaller than LEAST, which `change` then is relative to), and
            `gradient`, whether any ever came. A part that trains nothing is not there.
        """
        parts: dict[str, list[tuple[str, nn.Parameter]]] = {}
        for name, parameter in _trained(self.prepared):
            owner = self.prepared.owner.get(name)
            parts.setdefault(owner.name if owner else HEAD, []).append((name, parameter))
        return {part: self._moved(named, optimiser) for part, named in parts.items()}

    def _moved(
        self, named: list[tuple[str, nn.Parameter]], optimiser: torch.optim.Optimizer
    ) -> dict[str, float | bool]:
        """One part."""
        change = start = 0.0  # summed squares
        for name, parameter in named:
            before, now = self.seen[name].double(), _sampled(parameter).double()
            each = parameter.numel() / max(1, now.numel())  # what a sampled number stands for
            change += each * float((now - before).square().sum())
            start += each * float(before.square().sum())
        least = LEAST * LEAST * max(1, sum(one.numel() for _, one in named))
        shift = (change / max(start, least)) ** 0.5
        # weight decay moves what no gradient reaches; the second moment is of gradients alone
        moments = (optimiser.state.get(one, {}).get("exp_avg_sq") for _, one in named)
        return {
            "change": float(f"{shift:.4g}"),  # more digits would be those of the sample
            "from_zero": start < least,
            "gradient": any(bool(one.any()) for one in moments if one is not None),
        }


def _trained(prepared: Prepared) -> Iterator[tuple[str, nn.Parameter]]:
    named = prepared.model.named_parameters()
    return ((name, one) for name, one in named if one.requires_grad)


def _sampled(tensor: Tensor) -> Tensor:
    """Numbers at even distances, copied; an odd distance meets many columns of a matrix."""
    apart = -(-tensor.numel() // SAMPLE) | 1
    return tensor.detach().flatten()[::apart].cpu().clone()
