"""Several labels a row: which of a closed set of labels belong to a text, none, one or many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fewtune.data.columns import Role
from fewtune.data.options import DataOptions
from fewtune.data.row import Row
from fewtune.data.shapes import TAGGED, Shape
from fewtune.models.choice import AnyOf, Choice
from fewtune.tasks.labelled import Labelled
from fewtune.tasks.thresholds import thresholds_for

if TYPE_CHECKING:
    from typing import Self

    from torch import Tensor


@dataclass(frozen=True)
class Multilabel(Labelled):
    """Targets are (rows, classes) of 0 and 1.

    Attributes:
        thresholds: (classes,) the least probability of a label that is answered; None for 0.5.
        least: 1 where every training row has a label: then every row is answered with one.
    """

    thresholds: tuple[float, ...] | None = None
    least: int = 0

    name: ClassVar[str] = "multilabel"
    reads: ClassVar[tuple[Role, ...]] = (Role("text"), Role("labels"))
    primary: ClassVar[str] = "micro_f1"
    several: ClassVar[bool] = True
    shape: ClassVar[Shape] = TAGGED
    holds: ClassVar[str] = "a text and several labels a row"
    # four are wider than 80 letters
    shown: ClassVar[tuple[str, ...]] = ("micro_f1", "macro_f1", "subset_accuracy")
    decides: ClassVar[bool] = True

    @property
    def choice(self) -> Choice:
        """Any of the classes, by the thresholds."""
        given = None if self.thresholds is None else np.array(self.thresholds)
        return AnyOf(given, self.least)

    @classmethod
    def of_rows(
        cls, labels: tuple[str, ...], rows: Sequence[Row], balanced: bool, label_smoothing: float
    ) -> Self:
        """The task with the labels of the training rows, and the weights of their ones."""
        least = int(all(row["labels"] for row in rows))
        task = cls(labels, None, label_smoothing, None, least)
        if not balanced:
            return task
        return replace(task, class_weights=balanced_ones(task.targets(rows)))

    @classmethod
    def reading(cls, options: DataOptions) -> DataOptions:
        """`--label COLUMN` names the column of all labels."""
        if options.label is None:
            return options
        named = {**options.map, "labels": options.label}
        return options.model_copy(update={"label": None, "map": named})

    @classmethod
    def told(cls, labels: Sequence[str], thresholds: Sequence[float] | None, least: int) -> Self:
        """With the thresholds of the saved model."""
        given = None if thresholds is None else tuple(thresholds)
        return cls(tuple(labels), thresholds=given, least=least)

    def telling(self) -> dict[str, Any]:
        """Labels and thresholds."""
        given = self.thresholds or (0.5,) * len(self.labels)
        return {"labels": list(self.labels), "thresholds": list(given), "least": self.least}

    def targets(self, rows: Sequence[Row]) -> np.ndarray:
        """(rows, classes), float32; labels that are not among `labels` are in no column."""
        return self.truth(rows)[:, :-1].astype(np.float32)

    def truth(self, rows: Sequence[Row]) -> np.ndarray:
        """(rows, classes + 1), whole numbers: the last column counts labels not among ours."""
        index = {label: i for i, label in enumerate(self.labels)}
        found = np.zeros((len(rows), len(self.labels) + 1), dtype=np.int64)
        for k, row in enumerate(rows):
            for label in row["labels"]:
                found[k, index.get(label, len(self.labels))] += 1
        return found

    def known(self, row: Row) -> bool:
        """Whether training rows have all of a row's labels; no label at all is an answer too."""
        return bool(self.truth([row])[0, -1] == 0)

    def ones(self, targets: np.ndarray) -> np.ndarray:
        """As they stand."""
        return targets > 0

    def right(self, probabilities: np.ndarray, rows: Sequence[Row]) -> np.ndarray:
        """Which rows are answered with their labels and no other."""
        return super().right(probabilities, rows) & (self.truth(rows)[:, -1] == 0)

    def named(self, chosen: np.ndarray) -> list[Any]:
        """The labels of each row, in the order of `labels`."""
        return [[self.labels[i] for i in np.flatnonzero(one).tolist()] for one in chosen]

    def expected(self, row: Row) -> Any:
        """Its labels, in the order of `labels`, then those that are not among ours."""
        given = row.get("labels")
        if given is None:
            return None
        place = {label: i for i, label in enumerate(self.labels)}
        return sorted(given, key=lambda label: place.get(label, len(place)))

    def fields(self, target: Any) -> dict[str, Any]:
        """`labels`."""
        named = () if target is None else np.flatnonzero(target > 0).tolist()
        return {"labels": tuple(self.labels[i] for i in named)}

    def loss(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Binary cross-entropy summed over classes and rows, and the number of rows.

        Args:
            logits: (rows, classes).
            targets: (rows, classes) of 0 and 1.
        """
        import torch

        wanted = targets.float() * (1 - self.label_smoothing) + self.label_smoothing / 2
        weights = None
        if self.class_weights is not None:
            weights = torch.tensor(self.class_weights, device=logits.device)
        total = torch.nn.functional.binary_cross_entropy_with_logits(
            logits.float(), wanted, pos_weight=weights, reduction="sum"
        )
        return total, torch.tensor(float(len(targets)), device=logits.device)

    def majority(self, targets: np.ndarray, rows: int) -> np.ndarray:
        """The share of the rows that each class belongs to, (rows, classes)."""
        return np.tile(targets.mean(axis=0, dtype=np.float64), (rows, 1))

    def watched(self, probabilities: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Also micro F1, at the thresholds as they are."""
        chosen, ones = self.choice.chosen(probabilities), self.ones(targets)
        f1 = 2 * (chosen & ones).sum() / max(1, chosen.sum() + ones.sum())
        return {**super().watched(probabilities, targets), "micro_f1": float(f1)}

    def decided_on(self, probabilities: np.ndarray, targets: np.ndarray, kind: str) -> Self:
        """With the thresholds that answer these best."""
        found = thresholds_for(probabilities, targets, self.least, kind)
        return replace(self, thresholds=tuple(found.round(4).tolist()))

    def suggestion(self, probabilities: np.ndarray) -> dict[str, Any]:
        """The labels, how sure the least sure label is, and the likeliest that is not answered."""
        chosen = self.choice.chosen(probabilities[None])[0]
        sure = float(np.where(chosen, probabilities, 1 - probabilities).min())
        rest = np.where(chosen, -1.0, probabilities)
        return {
            "labels": self.answers(probabilities[None])[0],
            "confidence": round(sure, 4),
            "second": None if chosen.all() else self.labels[int(rest.argmax())],
        }

    @property
    def limits(self) -> tuple[float, ...] | None:
        """The thresholds."""
        return self.thresholds

    def at(self, limits: Sequence[float] | None) -> Self:
        """The task with these thresholds."""
        return replace(self, thresholds=None if limits is None else tuple(limits))

    def confident(
        self, probabilities: np.ndarray, least: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows whose every class is likely or unlikely; as sure as the least sure of them.

        A row without a likely one is sure only where rows may have no label.
        """
        ones = probabilities >= least
        sure = np.where(ones, probabilities, 1 - probabilities).min(axis=1)
        enough = ones.sum(axis=1) >= self.least
        return ones.astype(np.float32), sure, enough & (sure >= least)


def balanced_ones(targets: np.ndarray) -> tuple[float, ...]:
    """Rows without the class / rows with it, so that both weigh the same.

    >>> balanced_ones(np.array([[1, 0], [0, 0], [0, 1], [0, 1]]))
    (3.0, 1.0)
    """
    ones = targets.sum(axis=0).clip(min=1)
    return tuple(((len(targets) - ones).clip(min=1) / ones).tolist())
