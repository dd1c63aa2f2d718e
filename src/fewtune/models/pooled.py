"""A text classifier: backbone, pooling, one linear head.

The same module serves encoders and decoders, so every tuning method meets one shape. Pooling is
what the encoder was trained with (Reimers and Gurevych 2019, arXiv:1908.10084, section 3); decoders
are read at their last token.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from fewtune.models.parts import config_of
from fewtune.models.pooling import Pooling
from fewtune.models.tunable import Tunable


class PooledModel(Tunable):
    """`logits = head(pool(backbone(tokens)))`.

    Attributes:
        backbone: a transformers base model, or a method's wrapper around one.
        head: (width) -> (classes), float32.
        virtual_tokens: how many positions before the text a soft prompt adds; pooling skips them.
    """

    head_is_new: ClassVar[bool] = True
    head: nn.Linear

    def __init__(self, backbone: nn.Module, pooling: Pooling, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.pooling = pooling
        self.virtual_tokens = 0
        width = config_of(backbone).hidden_size
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

    def save_plain(self, folder: Path, max_length: int) -> None:
        """A sentence-transformers folder."""
        from fewtune.models.folder import save_whole

        save_whole(self, folder, max_length)

    def load_new_head(self, folder: Path) -> None:
        """Of a sentence-transformers folder."""
        from fewtune.models.folder import load_head

        load_head(self, folder)

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
