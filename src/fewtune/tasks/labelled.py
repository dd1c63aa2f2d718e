"""What the tasks that answer with labels have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fewtune.data.columns import Role
from fewtune.data.options import DataOptions
from fewtune.data.row import Row
from fewtune.models.choice import Choice
from fewtune.tasks.base import Task

if TYPE_CHECKING:
    from typing import Self

    from torch import Tensor

    from fewtune.models.batches import Encoded


@dataclass(frozen=True, eq=False)
class Answered:
    """What a system answered to rows.

    Attributes:
        probabilities: (rows, classes).
        chosen: (rows, classes), yes for the labels it answered.
    """

    probabilities: np.ndarray
    chosen: np.ndarray


@dataclass(frozen=True)
class Labelled(Task, ABC):
    """A text, and labels out of a closed set.

    Attributes:
        labels: class names in the order of the logits.
        class_weights: (classes,) weight of a class's rows, or of its ones; None for equal weights.
        label_smoothing: share of a label given to all classes alike.
    """

    labels: tuple[str, ...]
    class_weights: tuple[float, ...] | None = None
    label_smoothing: float = 0.0

    hub: ClassVar[str] = "text-classification"
    usage: ClassVar[str] = 'predict {} "some text"'
    reads: ClassVar[tuple[Role, ...]]
    #: Whether which probabilities are answers must be chosen on rows that were not learned from.
    decides: ClassVar[bool] = False

    @property
    @abstractmethod
    def choice(self) -> Choice:
        """What the logits mean."""

    @classmethod
    @abstractmethod
    def of_rows(
        cls, labels: tuple[str, ...], rows: Sequence[Row], balanced: bool, label_smoothing: float
    ) -> Self:
        """The task with what its training rows say; `balanced` weighs classes by their rows."""

    @classmethod
    def reading(cls, options: DataOptions) -> DataOptions:
        """The user's options with columns by the names of our roles."""
        return options

    @classmethod
    def told(cls, labels: Sequence[str], thresholds: Sequence[float] | None, least: int) -> Self:
        """The task that a saved model's `About` tells of."""
        return cls(tuple(labels))

    def looking_for(self, label: str | None) -> Self:
        """The task with another positive class than its own, where there is one."""
        return self

    def telling(self) -> dict[str, Any]:
        """What a saved model's `About` must tell of the task."""
        return {"labels": list(self.labels)}

    @abstractmethod
    def targets(self, rows: Sequence[Row]) -> np.ndarray:
        """What the rows' labels are to the loss."""

    def truth(self, rows: Sequence[Row]) -> np.ndarray:
        """The targets as scores want them, which also tell of labels that are not among ours."""
        return self.targets(rows)

    @abstractmethod
    def ones(self, targets: np.ndarray) -> np.ndarray:
        """Which classes targets name, (rows, classes) of yes and no."""

    def known(self, row: Row) -> bool:
        """Whether a row's label is one that training rows have."""
        return bool(self.ones(self.targets([row])).any())

    def answered(self, probabilities: np.ndarray) -> Answered:
        """Probabilities with the answers they amount to."""
        return Answered(probabilities, self.choice.chosen(probabilities))

    def right(self, probabilities: np.ndarray, rows: Sequence[Row]) -> np.ndarray:
        """Which rows all is right of, (rows,) of yes and no; a label not among ours never is."""
        return self.choice.right(probabilities, self.targets(rows))

    def answers(self, probabilities: np.ndarray) -> list[Any]:
        """What is answered to each row."""
        return self.named(self.choice.chosen(probabilities))

    @abstractmethod
    def named(self, chosen: np.ndarray) -> list[Any]:
        """The answers that are chosen, (rows, classes) of yes and no, by the labels' names."""

    @abstractmethod
    def expected(self, row: Row) -> Any:
        """What should be answered; None where nobody said."""

    @abstractmethod
    def fields(self, target: Any) -> dict[str, Any]:
        """A row's roles for a target; for None those of a row that nobody labelled."""

    @abstractmethod
    def loss(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Summed loss and summed weight, so that uneven batches add up exactly."""

    @abstractmethod
    def majority(self, targets: np.ndarray, rows: int) -> np.ndarray:
        """The baseline that knows only how often each class occurs, (rows, classes)."""

    def watched(self, probabilities: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Scores that are watched while training, by metric name."""
        return {
            "log_loss": float(self.choice.losses(probabilities, targets).mean()),
            "accuracy": float(self.choice.right(probabilities, targets).mean()),
        }

    def decided_on(self, probabilities: np.ndarray, targets: np.ndarray, kind: str) -> Self:
        """The task with what turns probabilities into answers chosen for these.

        Args:
            probabilities: (rows, classes), given by models that did not learn from the rows.
            targets: of those rows.
            kind: a value of the option `thresholds`.
        """
        return self

    @abstractmethod
    def suggestion(self, probabilities: np.ndarray) -> dict[str, Any]:
        """What a person is asked to correct, of the probabilities of one row, (classes,)."""

    @property
    def limits(self) -> tuple[float, ...] | None:
        """The thresholds of the labels; None where the likeliest is answered."""
        return None

    def at(self, limits: Sequence[float] | None) -> Self:
        """The task with these thresholds."""
        return self

    @abstractmethod
    def confident(
        self, probabilities: np.ndarray, least: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Targets that the probabilities amount to, how sure each row is, and which are sure.

        Args:
            probabilities: (rows, classes), calibrated.
            least: the probability from which a row is sure.
        """

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
