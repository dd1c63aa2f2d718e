"""What one training step computes, for a model as a whole or above a cached trunk."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from fewtune.models.batches import Encoded
from fewtune.models.device import Machine
from fewtune.models.infer import features
from fewtune.models.parts import blocks_of, lowest_trained_block
from fewtune.models.pooled import PooledModel
from fewtune.models.trunk import Trunk, fill_trunk

Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Work(Protocol):
    """Rows to learn from; the loop knows nothing else about the task."""

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, (rows,)."""
        ...

    @property
    def cached_bytes(self) -> int:
        """Size of what is cached, 0 without a cache."""
        ...

    @property
    def first(self) -> int:
        """The lowest block that runs."""
        ...

    def loss(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Summed loss of the rows, and their summed weight."""
        ...


@dataclass
class WholeRows:
    """Rows go through the whole model, or through the part above a trunk."""

    model: PooledModel
    rows: Encoded
    targets: np.ndarray
    task_loss: Loss
    machine: Machine
    trunk: Trunk | None = None

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row."""
        return self.rows.lengths

    @property
    def cached_bytes(self) -> int:
        """Size of the trunk's cache."""
        return self.trunk.bytes if self.trunk else 0

    @property
    def first(self) -> int:
        """The lowest block that runs."""
        return self.trunk.first if self.trunk else 0

    def loss(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """One forward pass; with a trunk, its blocks stand in for the real ones meanwhile.

        Only meanwhile: validation rows are not in the trunk and need the blocks themselves.
        """
        ids, mask = self.rows.batch(rows)
        targets = torch.from_numpy(self.targets[rows])
        ids, mask, targets = (_moved(t, self.machine.device) for t in (ids, mask, targets))
        with self._replaying(rows), self.machine.autocast():
            logits = self.model(ids, mask)
        return self.task_loss(logits, targets)

    def _replaying(self, rows: np.ndarray) -> AbstractContextManager[None]:
        if self.trunk is None:
            return nullcontext()
        self.trunk.choose(rows, self.machine.device)
        return self.trunk.replaying(self.model)


@dataclass
class FeatureRows:
    """Only the head trains: the whole backbone ran once, a row is its pooled features."""

    model: PooledModel
    features: Tensor
    targets: Tensor
    task_loss: Loss

    @property
    def lengths(self) -> np.ndarray:
        """One vector a row."""
        return np.ones(len(self.features), dtype=np.int64)

    @property
    def cached_bytes(self) -> int:
        """Size of the features."""
        return self.features.numel() * self.features.element_size()

    @property
    def first(self) -> int:
        """No block runs."""
        return len(blocks_of(self.model.backbone))

    def loss(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """The head alone."""
        at = torch.from_numpy(rows).to(self.features.device)
        return self.task_loss(self.model.classify(self.features[at]), self.targets[at])


def plan_work(
    model: PooledModel,
    rows: Encoded,
    targets: np.ndarray,
    task_loss: Loss,
    machine: Machine,
    cache: bool,
    folder: Path,
) -> Work:
    """Choose the cheapest way that computes the same steps.

    Args:
        model: prepared for training.
        targets: (rows,) what `task_loss` wants beside the logits.
        cache: whether frozen blocks may be computed once.
        folder: where a large cache is mapped.
    """
    first = lowest_trained_block(model.backbone) if cache else 0
    if first == 0:
        return WholeRows(model, rows, targets, task_loss, machine)
    if first == len(blocks_of(model.backbone)):
        found = torch.from_numpy(features(model, rows, machine)).to(machine.device)
        return FeatureRows(model, found, torch.from_numpy(targets).to(machine.device), task_loss)
    trunk = fill_trunk(model, rows, first, machine, folder)
    return WholeRows(model, rows, targets, task_loss, machine, trunk)


def _moved(tensor: Tensor, device: str) -> Tensor:
    return tensor.pin_memory().to(device, non_blocking=True) if device == "cuda" else tensor
