"""What tuning methods know of a model: a backbone to put parts round, and a head."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn


class Tunable(nn.Module):
    """`forward(tokens) = head(something of backbone(tokens))`.

    Attributes:
        backbone: a transformers base model, or a method's wrapper around one.
        head: the last linear layer.
        virtual_tokens: how many states before the text's a soft prompt adds.
        taken_positions: how many positions it takes; a prefix takes some and adds no states.
        head_is_new: True where the head is the task's: it knows nothing yet and always trains.
        inside: where the backbone stands in transformers' model of the whole; "" where it is that.
    """

    backbone: nn.Module
    head: nn.Module
    virtual_tokens: int
    taken_positions: int = 0
    head_is_new: ClassVar[bool]
    inside: str = ""

    def features(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """What the head reads."""
        raise NotImplementedError

    def whole(self) -> nn.Module:
        """transformers' model of the whole, with the backbone as it is now."""
        return self.backbone

    def load_new_head(self, folder: Path) -> None:
        """Put the head that `save_plain` wrote apart into place; nothing where it has none."""

    def save_plain(self, folder: Path, max_length: int) -> None:
        """Write a folder that plain libraries load; only of a model without added parts."""
        raise NotImplementedError
