"""Text classification: one label a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fewtune.data.columns import Role
from fewtune.data.row import Row
from fewtune.data.shapes import LABELLED, Shape
from fewtune.models.choice import ONE_OF, Choice
from fewtune.tasks.labelled import Labelled

if TYPE_CHECKING:
    from typing import Self

    from torch import Tensor

UNKNOWN = -1  # the index of a label that the training rows do not have


@dataclass(frozen=True)
class Classify(Labelled):
    """What a text is about, out of a closed set of labels. Targets are class indices.

    Attributes:
        positive: of two labels the one that is looked for, the rarer of the training rows, the
            second of equals; empty where there are not two.
    """

    positive: str = ""

    name: ClassVar[str] = "classify"
    reads: ClassVar[tuple[Role, ...]] = (Role("text"), Role("label"))
    primary: ClassVar[str] = "accuracy"
    shape: ClassVar[Shape] = LABELLED
    holds: ClassVar[str] = "a text and one label a row"
    shown: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1", "log_loss")

    @property
    def choice(self) -> Choice:
        """One of the classes."""
        return ONE_OF

    @classmethod
    def of_rows(
        cls, labels: tuple[str, ...], rows: Sequence[Row], balanced: bool, label_smoothing: float
    ) -> Self:
        """The task with the labels, the class weights and the positive class of training rows."""
        targets = cls(labels).targets(rows)
        weights = balanced_weights(targets, len(labels)) if balanced else None
        return cls(labels, weights, label_smoothing, rarer(targets, labels))

    def looking_for(self, label: str | None) -> Self:
        """With this positive class; None leaves it as it is."""
        return self if label is None else replace(self, positive=label)

    def telling(self) -> dict[str, Any]:
        """Labels, and which is the positive one."""
        return {"labels": list(self.labels), "positive": self.positive}

    def targets(self, rows: Sequence[Row]) -> np.ndarray:
        """Class indices, (rows,); UNKNOWN for labels that are not among `labels`."""
        index = {label: i for i, label in enumerate(self.labels)}
        return np.array([index.get(row["label"], UNKNOWN) for row in rows], dtype=np.int64)

    def ones(self, targets: np.ndarray) -> np.ndarray:
        """One class a row, none where it is unknown."""
        return np.arange(len(self.labels)) == targets[:, None]

    def named(self, chosen: np.ndarray) -> list[Any]:
        """The label of each row."""
        return [self.labels[i] for i in chosen.argmax(axis=1).tolist()]

    def expected(self, row: Row) -> Any:
        """Its label."""
        return row.get("label")

    def fields(self, target: Any) -> dict[str, Any]:
        """`label`."""
        return {"label": None if target is None else self.labels[int(target)]}

    def loss(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Summed cross-entropy and summed weight.

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

    def suggestion(self, probabilities: np.ndarray) -> dict[str, Any]:
        """The likeliest label, how sure it is, and the next likeliest."""
        best, second = np.argsort(-probabilities)[:2].tolist()
        sure = round(float(probabilities[best]), 4)
        return {"label": self.labels[best], "confidence": sure, "second": self.labels[second]}

    def confident(
        self, probabilities: np.ndarray, least: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The likeliest class, where it is likely enough."""
        sure = probabilities.max(1)
        return probabilities.argmax(1), sure, sure >= least


def rarer(targets: np.ndarray, labels: Sequence[str]) -> str:
    """Of two labels the rarer one, the second of equals; empty where there are not two.

    >>> rarer(np.array([0, 0, 1]), ["ok", "faulty"]), rarer(np.array([0, 1]), ["ok", "faulty"])
    ('faulty', 'faulty')
    """
    if len(labels) != 2:
        return ""
    rows = np.bincount(targets[targets != UNKNOWN], minlength=2)
    return labels[0 if rows[0] < rows[1] else 1]


def balanced_weights(targets: np.ndarray, classes: int) -> tuple[float, ...]:
    """rows / (classes * rows of the class), as scikit-learn's `balanced`.

    >>> balanced_weights(np.array([0, 0, 0, 1]), 2)
    (0.6666666666666666, 2.0)
    """
    counts = np.bincount(targets, minlength=classes).clip(min=1)
    return tuple((len(targets) / (classes * counts)).tolist())
