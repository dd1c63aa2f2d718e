"""Bytes of live tensors, counted where every operation's results come by."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class LiveBytes(TorchDispatchMode):
    """Within, `now` are the bytes of all storages seen that still live, `peak` the most at once.

    Views share a storage and count once. It works on fake tensors, which hold nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._live: dict[int, weakref.ref[Any]] = {}

    def add(self, tensors: Iterable[Any]) -> None:
        """Count tensors that were made outside."""
        for one in tensors:
            if isinstance(one, Tensor) and not one.is_sparse:
                self._add(one)
            elif isinstance(one, Tensor):
                self.add((one._indices(), one._values()))

    def add_model(self, model: nn.Module) -> None:
        """Count parameters and buffers."""
        self.add([*model.parameters(), *model.buffers()])

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._live:
            return
        size = storage.nbytes()

        def gone(_: Any) -> None:
            self.now -= size
            self._live.pop(key, None)

        self._live[key] = weakref.ref(storage, gone)
        self.now += size
        self.peak = max(self.peak, self.now)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.add(tree_iter(out))
        return out
