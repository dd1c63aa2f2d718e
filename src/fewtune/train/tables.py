"""Gradients of large embedding tables, for the rows that a batch used.

A batch of 16 short texts touches some 150 of 30,522 rows; the dense gradient of the others is
47 MB of zeros to write, measure, scale and read at every step. Here the gradient arrives sparse,
and only its rows are written into a buffer that is otherwise zero and stays. AdamW then sees the
same dense gradient as ever: the mathematics do not change.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LARGE = 1_000_000  # numbers in a table; below, a dense gradient costs nothing


class Tables:
    """The large trained tables of a model, with their gradient buffers."""

    def __init__(self, model: nn.Module, device: str) -> None:
        self._buffers: dict[nn.Parameter, Tensor] = {}
        self._used: dict[nn.Parameter, Tensor] = {}
        if device != "cpu":  # on a GPU the zeros are free, and atomics would cost the determinism
            return
        for module in model.modules():
            if isinstance(module, nn.Embedding) and module.weight.requires_grad:
                module.sparse = module.weight.numel() >= LARGE

    def gradients(self, parameters: list[nn.Parameter]) -> list[Tensor]:
        """The gradients to measure and scale in place; of a table, those of its used rows."""
        found = []
        for parameter in parameters:
            gradient = parameter.grad
            if gradient is None:
                continue
            if gradient.is_sparse:
                parameter.grad = gradient.coalesce()
                gradient = parameter.grad._values()
            found.append(gradient)
        return found

    @torch.no_grad()
    def spread(self, parameters: list[nn.Parameter]) -> None:
        """Give every table a dense gradient, for an optimiser that wants one."""
        for parameter in parameters:
            gradient = parameter.grad
            if gradient is None or not gradient.is_sparse:
                continue
            buffer = self._buffers.setdefault(parameter, torch.zeros_like(parameter))
            used = gradient._indices()[0]
            buffer.index_copy_(0, used, gradient._values())
            parameter.grad, self._used[parameter] = buffer, used

    @torch.no_grad()
    def clear(self) -> None:
        """Zero the rows that were written."""
        for parameter, used in self._used.items():
            self._buffers[parameter].index_fill_(0, used, 0.0)
        self._used.clear()
