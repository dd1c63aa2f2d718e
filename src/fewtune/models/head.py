"""A language model's head as it is computed with: in the arithmetic of the machine, copied once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from fewtune.models.causal import CausalModel
from fewtune.models.device import Machine
from fewtune.models.ladder import needed


@dataclass(frozen=True)
class Head:
    """A linear layer over the vocabulary: `weight` (vocabulary, width), `bias` or None."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, states: Tensor) -> Tensor:
        """Logits, (..., vocabulary), float32."""
        return nn.functional.linear(states.to(self.weight.dtype), self.weight, self.bias).float()


def head_of(model: CausalModel, machine: Machine) -> Head:
    """The model's head; a frozen one in bfloat16 where the machine computes in it.

    Autocast would round a frozen float32 matrix anew at every token, which for 150,000 words costs
    more than the product. The matrix is often the embeddings' too, so a copy is rounded.

    Raises:
        FewtuneError: there is no room for the copy.
    """
    weight: Tensor = model.head.weight  # type: ignore[assignment]
    bias: Tensor | None = getattr(model.head, "bias", None)
    if machine.bf16 and not weight.requires_grad:
        low = torch.bfloat16
        copied = needed(partial(weight.detach().to, low), "the head in bfloat16")
        return Head(copied, None if bias is None else bias.detach().to(low))
    return Head(weight, bias)
