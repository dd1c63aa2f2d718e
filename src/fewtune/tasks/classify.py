"""Text classification: one label a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fewtune.data.columns import Role
from fewtune.data.row import Row

if TYPE_CHECKING:
    from torch import Tensor

    from fewtune.models.batches import Encoded

UNKNOWN = -1  # the index of a label that the training rows do not have


@dataclass(frozen=True)
class Classify:
    """What a text is about, out of a closed set of labels.

    Attributes:
        labels: class names in the order of the logits.
        class_weights: (classes,) weight of a row by its class; None for equal weights.
        label_smoothing: share of a label given to all classes alike.
    """

    labels: tuple[str, ...]
    class_weights: tuple[float, ...] | None = None
    label_smoothing: float = 0.0

    name: ClassVar[str] = "classify"
    reads: ClassVar[tuple[Role, ...]] = (Role("text"), Role("label"))
    primary: ClassVar[str] = "accuracy"
    selection: ClassVar[str] = "log_loss"
    row_independent: ClassVar[bool] = True

    def targets(self, rows: Sequence[Row]) -> np.ndarray:
        """Class indices, (rows,); UNKNOWN for labels that are not among `labels`."""
        index = {label: i for i, label in enumerate(self.labels)}
        return np.array([index.get(row["label"], UNKNOWN) for row in rows], dtype=np.int64)

    def encode(self, texts: Sequence[str], tokenizer: Any, max_length: int) -> Encoded:
        """Token ids of texts; longer ones are cut at the end and counted."""
        from fewtune.models.batches import Encoded

        # the tokenizer's limit is set to one token more, so that a cut is seen as a cut
        ids = tokenizer(
            list(texts), truncation=True, max_length=max_length + 1, return_attention_mask=False
        )["input_ids"]
        cut = [i for i, row in enumerate(ids) if len(row) > max_length]
        if cut:
            shorter = tokenizer([texts[i] for i in cut], truncation=True, max_length=max_length)[
                "input_ids"
            ]
            for i, row in zip(cut, shorter, strict=True):
                ids[i] = row
        arrays = [np.asarray(row or [tokenizer.pad_token_id], dtype=np.int64) for row in ids]
        return Encoded(arrays, tokenizer.pad_token_id, cut)

    def loss(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Summed loss and summed weight, so that uneven batches add up exactly.

        Args:
            logits: (rows, classes).
            targets: (rows,) class indices.
        """
        import torch

        each = torch.nn.functional.cross_entropy(
            logits.float(), targets, reduction="none", label_smoothing=self.label_smoothing
        )
        if self.class_weights is None:
            return each.sum(), torch.tensor(float(len(targets)), device=each.device)
        weights = torch.tensor(self.class_weights, device=each.device)[targets]
        return (each * weights).sum(), weights.sum()

    def majority(self, targets: np.ndarray, rows: int) -> np.ndarray:
        """The baseline that knows only how often each class occurs, (rows, classes)."""
        shares = np.bincount(targets, minlength=len(self.labels)) / len(targets)
        return np.tile(shares, (rows, 1))


def balanced_weights(targets: np.ndarray, classes: int) -> tuple[float, ...]:
    """rows / (classes * rows of the class), as scikit-learn's `balanced`.

    >>> balanced_weights(np.array([0, 0, 0, 1]), 2)
    (0.6666666666666666, 2.0)
    """
    counts = np.bincount(targets, minlength=classes).clip(min=1)
    return tuple((len(targets) / (classes * counts)).tolist())
