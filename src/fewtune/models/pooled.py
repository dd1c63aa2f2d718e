"""A text classifier: backbone, pooling, one linear head.

The same module serves encoders and decoders, so every tuning method meets one shape. Pooling is
what the encoder was trained with (Reimers and Gurevych 2019, arXiv:1908.10084, section 3); decoders
are read at their last token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

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
        return nn.functional.normalize(pooled, dim=-1) if self.normalize else pooled


class PooledModel(nn.Module):
    """`logits = head(pool(backbone(tokens)))`.

    Attributes:
        backbone: a transformers base model, or a method's wrapper around one.
        head: (width) -> (classes), float32.
        virtual_tokens: how many positions before the text a soft prompt adds; pooling skips them.
    """

    def __init__(self, backbone: nn.Module, pooling: Pooling, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.pooling = pooling
        self.virtual_tokens = 0
        width = backbone.config.hidden_size  # type: ignore[union-attr]
        self.head = nn.Linear(width, classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def features(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Pooled features, (batch, width), float32.

        Left padding is moved to the right first, so absolute positions, soft prompts and causal
        masks see the same row whatever side its batch was padded on.
        """
        input_ids, attention_mask = right_padded(input_ids, attention_mask)
        states = self.backbone(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state  # (batch, virtual + tokens, width)
        return self.pooling(states[:, self.virtual_tokens :], attention_mask)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits, (batch, classes), float32."""
        return self.classify(self.features(input_ids, attention_mask))

    def classify(self, features: Tensor) -> Tensor:
        """Logits of pooled features; in float32, because a probe's weights are large."""
        with torch.autocast(features.device.type, enabled=False):
            return self.head(features.float())


def right_padded(input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
    """The same batch with its padding on the right.

    >>> ids, mask = torch.tensor([[0, 7, 8]]), torch.tensor([[0, 1, 1]])
    >>> [t.tolist() for t in right_padded(ids, mask)]
    [[[7, 8, 0]], [[1, 1, 0]]]
    """
    if bool(attention_mask[:, 0].all()):
        return input_ids, attention_mask
    order = attention_mask.argsort(dim=1, descending=True, stable=True)
    return input_ids.gather(1, order), attention_mask.gather(1, order)
