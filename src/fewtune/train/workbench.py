"""A pretrained model set up for one task: tokenizer, machine and base, loaded once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from fewtune.models.device import Machine, find_machine, threads
from fewtune.models.ladder import begin
from fewtune.models.load import load_tokenizer
from fewtune.models.options import ModelOptions
from fewtune.models.source import Source
from fewtune.models.tunable import Tunable
from fewtune.train.options import TrainOptions

Model = TypeVar("Model", bound=Tunable)


@dataclass
class Workbench(Generic[Model]):
    """What every candidate on a pretrained model shares.

    Attributes:
        task: what is learned.
        model, train: what the user said about them.
        reserved: positions that virtual tokens will take.
        chosen: what was measured, as in the plan; a resumed run brings it along and nothing is
            measured again.
        keep: called when something was measured, to write it down before a fit stands on it.
        max_length: tokens kept of a row.
    """

    source: Source
    task: Any
    model: ModelOptions
    train: TrainOptions
    seed: int
    reserved: int = 0
    chosen: dict[str, Any] = field(default_factory=dict)
    keep: Callable[[], None] = field(default=lambda: None, kw_only=True)

    def __post_init__(self) -> None:
        import torch

        torch.set_num_threads(int(self.chosen.setdefault("threads", threads())))
        self.machine: Machine = find_machine(
            self.chosen.get("device", self.model.device), self.chosen.get("bf16", self.model.bf16)
        )
        begin(self.model.budget, self.machine.device)
        self.chosen |= {"device": self.machine.device, "bf16": self.machine.bf16}
        self.tokenizer = load_tokenizer(self.source)
        self.max_length = self.source.room(self.reserved)
        self._base: Model | None = None

    def load(self) -> Model:
        """A base from the disk."""
        raise NotImplementedError

    @property
    def base(self) -> Model:
        """An untouched base that the caller leaves as it is."""
        if self._base is None:
            self._base = self.load()
        return self._base

    def take_base(self) -> Model:
        """An untouched base that the caller may change."""
        base, self._base = self._base, None
        return base or self.load()
