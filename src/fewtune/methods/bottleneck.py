"""The modules of a bottleneck adapter."""

from __future__ import annotations

import torch
from torch import Tensor, nn

FUNCTIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh}


class SerialAdapter(nn.Module):
    """y -> y + scale * up(f(down(y))) behind a layer that ends in the model's width."""

    def __init__(
        self, inner: nn.Module, width: int, bottleneck: int, function: str, scale: float
    ) -> None:
        super().__init__()
        self.inner = inner
        self.scale = scale
        self.active = True
        down, up = nn.Linear(width, bottleneck), nn.Linear(bottleneck, width)
        nn.init.normal_(down.weight, std=0.01)
        for zero in (down.bias, up.weight, up.bias):
            nn.init.zeros_(zero)
        self.bottleneck = nn.Sequential(down, FUNCTIONS[function](), up)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, in) -> (batch, tokens, width)."""
        y = self.inner(x)
        return y + self.scale * self.bottleneck(self.read(y)) if self.active else y

    def read(self, y: Tensor) -> Tensor:
        """What the adapter works on."""
        return y


class Tap(nn.Module):
    """A layer that remembers its input for the adapter beside it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.seen: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """The layer's own output."""
        self.seen = x
        return self.inner(x)


class ParallelAdapter(SerialAdapter):
    """y -> y + scale * up(f(down(x))), x the input of the whole feed-forward part."""

    def __init__(self, inner: nn.Module, tap: Tap, **made) -> None:
        super().__init__(inner, **made)
        self._tap = (tap,)  # in a tuple: the tap is registered where it stands, not here

    def read(self, y: Tensor) -> Tensor:
        """The tapped input; it is let go, so that no graph outlives its step."""
        tap = self._tap[0]
        seen, tap.seen = tap.seen, None
        assert isinstance(seen, torch.Tensor)
        return seen
