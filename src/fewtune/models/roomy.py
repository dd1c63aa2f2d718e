"""A cache with room to grow: a new token's keys and values are written behind the old ones.

transformers' own layer makes every key and value anew for each token, which took more than half of
the time of 64 answers of a model with 15 million parameters (docs/log.md).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicLayer

ROOM = 64  # tokens for which there is room after all was copied


class RoomyLayer(DynamicLayer):
    """Keys and values (rows, heads, tokens, width) as the first tokens of longer tensors."""

    def __init__(self) -> None:
        super().__init__()
        self._roomy: dict[str, Tensor] = {}

    @classmethod
    def of(cls, layer: DynamicLayer) -> RoomyLayer:
        """With what a layer holds."""
        roomy = cls()
        vars(roomy).update(vars(layer))
        return roomy

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Take new keys and values, (rows, heads, new tokens, width); return all of them."""
        keys, values = self.keys, self.values
        if keys is None or values is None or not keys.numel():
            return super().update(key_states, value_states, *args, **kwargs)
        # rotated keys are float32 where the product they go into is not: cast once, not every token
        like = value_states.dtype
        self.keys = self._behind("keys", keys, key_states, like)
        self.values = self._behind("values", values, value_states, like)
        return self.keys, self.values

    def _behind(self, name: str, old: Tensor, new: Tensor, like: torch.dtype) -> Tensor:
        used, all_ = old.shape[2], old.shape[2] + new.shape[2]
        held = self._roomy.get(name)
        # rows that left, or a cache put in another order, are new tensors without room
        if held is None or held.data_ptr() != old.data_ptr() or held.shape[2] < all_:
            held = old.new_empty(*old.shape[:2], all_ + ROOM, old.shape[3], dtype=like)
            held[:, :, :used] = old
            self._roomy[name] = held
        held[:, :, used:all_] = new
        return held[:, :, :all_]


def with_room(cache: Any) -> Any:
    """Let the plain layers of a transformers cache grow in place; others stay as they are."""
    layers = getattr(cache, "layers", [])
    for at, layer in enumerate(layers):
        if type(layer) is DynamicLayer:  # a sliding window drops its oldest tokens: not ours
            layers[at] = RoomyLayer.of(layer)
    return cache
