"""What a choice rests on: numbers of the data, the model and the machine, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from fewtune.tasks import TASKS
from fewtune.train.options import TrainOptions

if TYPE_CHECKING:
    from fewtune.choose.cost import Timings
    from fewtune.methods.base import Method
    from fewtune.methods.count import Count
    from fewtune.models.shape import Shape

SMALL, LARGE = 1_000, 10_000  # rows: below the one `small`, above the other `large`

Device = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class Hardware:
    """Where a run would compute.

    Attributes:
        device: `cpu` or `cuda`.
        cores: this process may use.
        bf16: whether matrix products are made in bfloat16; `units` what the processor calls them.
        ram: bytes of main memory, `free` what of it nobody uses.
        gpus: names, and `gpu_memory` the bytes of the first.
        memory: bytes that a run may use; `told` where the user said so.
        here: whether the device is in this machine.
        factor: measured over predicted memory of past runs on this machine.
    """

    device: Device
    cores: int
    bf16: bool
    memory: int
    told: bool = False
    cpu: str = ""
    units: tuple[str, ...] = ()
    ram: int = 0
    free: int = 0
    gpus: tuple[str, ...] = ()
    gpu_memory: int = 0
    here: bool = True
    factor: float = 1.0


@dataclass(frozen=True)
class Facts:
    """All that ranks methods.

    Attributes:
        task: its name.
        rows: training rows.
        per_class: rows of each class; empty where the task has no classes.
        lengths: (rows,) tokens of each training row.
        learned: targets of an average row of a language model; 0 for labels.
        unknown: share of the tokens that the tokenizer does not know.
        chinese: share of the rows that are mostly Chinese.
        model: as the user named it.
        parameters: of the base, a language model's head among them.
        shape: of the base.
        hardware: where it would run.
        methods: every method there is, by name, in the registry's order, with its options here.
        counts: what each trains of this model.
        timings: what passes cost; None where nobody knows.
        needs: what the user needs besides a good score (NEEDS).
        budget: seconds that training may take; None for any.
        train: options of training that the user gave.
        has_valid: whether there are validation rows.
        attention: the kernel that the user gave, or `auto`.
    """

    task: str
    rows: int
    per_class: Mapping[str, int]
    lengths: np.ndarray
    model: str
    parameters: int
    shape: Shape
    hardware: Hardware
    methods: Mapping[str, Method]
    counts: Mapping[str, Count]
    timings: Timings | None = None
    learned: float = 0.0
    unknown: float = 0.0
    chinese: float = 0.0
    needs: frozenset[str] = frozenset()
    budget: float | None = None
    train: TrainOptions = field(default_factory=TrainOptions)
    has_valid: bool = False
    attention: Literal["auto", "eager", "sdpa"] = "auto"

    @property
    def writes(self) -> bool:
        """Whether a language model learns to write."""
        return TASKS[self.task].writes

    @property
    def size(self) -> str:
        """`small`, `medium` or `large`, by the number of rows."""
        return "small" if self.rows < SMALL else "large" if self.rows > LARGE else "medium"

    @property
    def classes(self) -> int | None:
        """Of the new head; None where a language model writes."""
        return None if self.writes else max(1, len(self.per_class))

    @property
    def width(self) -> int | None:
        """Of a language model that learns to write, as `choose.recipe.decide` takes it."""
        return self.shape.width if self.writes else None
