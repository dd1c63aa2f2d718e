"""What a method trains of a model: counted on the model's sizes, no weight is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fewtune.methods.base import Method, prepare

if TYPE_CHECKING:
    from fewtune.models.tunable import Tunable


@dataclass(frozen=True, slots=True)
class Count:
    """Parameters of a model prepared for a method.

    Attributes:
        trained: that train, a new head's among them.
        total: all, the added ones among them.
        lowest: the lowest block that needs a gradient; the number of blocks where none does.
        added: trained parameters that are not the base's own, nor the head's.
        refusal: why the method cannot be used here, as a sentence; the other fields are 0 then.
    """

    trained: int = 0
    total: int = 0
    lowest: int = 0
    added: int = 0
    refusal: str | None = None

    @property
    def share(self) -> float:
        """Trained of all, 0..1."""
        return self.trained / self.total if self.total else 0.0


def count(make: Callable[[], Tunable], method: Method) -> Count:
    """Prepare a model of no numbers for a method, and count.

    Args:
        make: gives a fresh model on the meta device (`models.empty.empty`).
        method: with its options.
    """
    import torch

    from fewtune.models.parts import lowest_trained_block

    model = make()
    base = {id(p) for p in model.parameters()}
    if reason := method.refuses(model):
        return Count(refusal=reason)
    with torch.device("meta"):
        prepared = prepare(model, method).model
    every = {id(p): p for p in prepared.parameters()}
    trained = {key: p for key, p in every.items() if p.requires_grad}
    return Count(
        trained=sum(p.numel() for p in trained.values()),
        total=sum(p.numel() for p in every.values()),
        lowest=lowest_trained_block(prepared.backbone),
        added=sum(p.numel() for key, p in trained.items() if key not in base),
    )
