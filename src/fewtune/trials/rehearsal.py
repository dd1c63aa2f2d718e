"""Steps of training as they would be: a slice of a model, on rows of random tokens.

How long a step takes does not depend on what the weights are, so none are read: of a model with
many blocks the first few are built. The steps are those of the real loop, with its attention
kernel, precision and optimiser.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from fewtune.base.amounts import told_bytes
from fewtune.choose.cost import ALL, operations
from fewtune.methods import parse
from fewtune.methods.base import Method
from fewtune.trials.clocks import Clocked, between, clocks, least, timed

if TYPE_CHECKING:
    from torch import Tensor

    from fewtune.choose.facts import Hardware
    from fewtune.models.device import Machine
    from fewtune.models.shape import Shape
    from fewtune.models.source import Source

GRID = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)
VOCABULARY = 1000  # tokens of what is built
STEPS = 3  # timed at each length, after one that warms up
CLASSES = 16
#: Operations of the largest step that is timed; more is timed on fewer rows, then shorter ones.
LARGEST = {"cpu": 8e10, "cuda": 4e12}
FEW = 12_000_000  # numbers in the matrices of the blocks that are built, where there are many
MOST = 160_000_000  # numbers in one block; above, nothing is built
TRAINED = 16  # bytes of a number that AdamW trains: itself, its gradient, two moments


@dataclass(frozen=True)
class Rehearsal:
    """What is timed: a slice of a model on batches of given lengths."""

    source: Source
    shape: Shape
    speaks: bool
    hardware: Hardware
    depth: int
    rows: int
    lengths: tuple[int, ...]

    @property
    def machine(self) -> Machine:
        """Where it is timed."""
        return machine_of(self.hardware)

    @property
    def bytes(self) -> int:
        """What a fit of all that is built takes beside its activations, which are few."""
        return TRAINED * self.depth * self.shape.block_matrices

    @property
    def slice(self) -> Shape:
        """The shape of what is built."""
        return replace(self.shape, layers=self.depth)

    def work(self, length: int, passes: float) -> float:
        """Operations of a step."""
        return passes * float(operations(self.slice, np.array(self.rows), np.array(length)))


def planned(
    source: Source, shape: Shape, speaks: bool, hardware: Hardware, lengths: np.ndarray
) -> Rehearsal | None:
    """Which slice is timed on which batches; None where even one row of one block is too much."""
    if too_much(shape, hardware):
        return None
    depth = max(min(2, shape.layers), FEW // shape.block_matrices)
    chosen = grid_lengths(lengths)
    if chosen[1] > source.positions:
        chosen = (min(chosen[0], source.positions // 2), source.positions)
    plan = Rehearsal(source, shape, speaks, hardware, min(depth, shape.layers), 16, chosen)
    if 0 < hardware.memory < plan.bytes:
        plan = replace(plan, depth=1)
    while plan.work(plan.lengths[-1], ALL) > LARGEST[hardware.device]:
        if plan.rows > 1:
            plan = replace(plan, rows=plan.rows // 2)
        elif plan.lengths[0] > GRID[1]:
            plan = replace(plan, lengths=(plan.lengths[0] // 2, plan.lengths[1] // 2))
        else:
            break
    return plan


def too_much(shape: Shape, hardware: Hardware) -> str:
    """Why not even one block is built; empty where one is."""
    if shape.block_matrices > MOST:
        return "a block of this model is too large to time"
    takes = TRAINED * shape.block_matrices
    if 0 < hardware.memory < takes:  # none is told where the system does not tell it
        return (
            f"to time a block of this model takes {told_bytes(takes)}, and "
            f"{told_bytes(hardware.memory)} may be used"
        )
    return ""


def grid_lengths(lengths: np.ndarray) -> tuple[int, ...]:
    """Two lengths of a fixed grid about those of the rows, so that what is timed can be kept.

    >>> grid_lengths(np.array([11, 14, 16, 18, 30])), grid_lengths(np.array([7] * 9))
    ((8, 32), (8, 16))
    """
    low, high = np.percentile(lengths, (25, 95))
    above = next(one for one in GRID if one >= min(high, GRID[-1]))
    below = [one for one in GRID if one <= max(low, GRID[0])][-1]
    return (below, above) if below < above else (below, 2 * below)


def rehearsed(plan: Rehearsal) -> dict[str, Any]:
    """Seconds by length of steps of three methods and of a forward pass, and the optimiser's.

    Raises:
        MemoryError, RuntimeError, RanOut: memory ran out.
    """
    import torch

    from fewtune.models.device import keep_freed_memory, threads

    keep_freed_memory()
    torch.set_num_threads(threads())
    torch.manual_seed(0)
    found: dict[str, Any] = {"optimiser": optimiser_seconds(plan.machine)}
    for name in ("full", "adapter", "lora"):
        bench = Bench(plan, parse(name, {}))
        if "attention" not in found:
            found["attention"] = bench.choose_attention()
            found["forward"] = bench.forward()
        bench.use(found["attention"])
        found[name] = bench.steps()
        found[f"{name}_trained"] = bench.trained
    return found


@dataclass
class Bench:
    """One method on a slice of a model."""

    plan: Rehearsal
    method: Method

    def __post_init__(self) -> None:
        from fewtune.methods.base import prepare
        from fewtune.models.device import round_frozen
        from fewtune.models.empty import build, config_for, shallow
        from fewtune.models.modes import set_dropout

        plan = self.plan
        config = shallow(config_for(plan.source), plan.depth, VOCABULARY)
        model = build(config, plan.source, None if plan.speaks else CLASSES)
        set_dropout(model, 0.0)
        self.prepared = prepare(model, self.method)
        self.model = self.prepared.model.to(plan.machine.device)
        if plan.speaks and self.method.adds_parts:
            round_frozen(self.model, plan.machine)

    @property
    def trained(self) -> int:
        """Trained parameters of the slice."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    def choose_attention(self) -> str:
        """The kernel that a run would choose."""
        from fewtune.models.attention import choose_attention

        return choose_attention(
            self.model, self.plan.machine, self.plan.rows, self.plan.lengths[-1]
        )

    def use(self, kernel: str) -> None:
        """Use a kernel."""
        from fewtune.models.attention import set_attention

        set_attention(self.model, kernel)

    def forward(self) -> list[Clocked]:
        """Seconds of a pass without gradients, by length."""
        return [self._forward(length) for length in self.plan.lengths]

    def _forward(self, length: int) -> Clocked:
        import torch

        machine = self.plan.machine
        ids = torch.full((self.plan.rows, length), 5, device=machine.device)
        mask = torch.ones_like(ids)
        with torch.inference_mode(), machine.autocast():
            passes = [timed(lambda: self.model.features(ids, mask)) for _ in range(1 + STEPS)]
        return least(passes[1:])

    def steps(self) -> list[Clocked]:
        """Seconds of a training step by length, through the real loop."""
        return [self._steps(length) for length in self.plan.lengths]

    def _steps(self, length: int) -> Clocked:
        from fewtune.models.ladder import OverBudget
        from fewtune.train.loop import Fit, run_fit
        from fewtune.train.optimiser import Rates
        from fewtune.train.options import TrainOptions

        plan, count = self.plan, 1 + STEPS
        options = TrainOptions(
            average_last=0, per_device_train_batch_size=plan.rows, load_best_model_at_end=False
        )
        rates = Rates(1e-6, {part.name: 1e-6 for part in self.method.parts()})
        with TemporaryDirectory() as folder:
            fit = Fit(
                self.prepared, self._rows(length, count * plan.rows), options, count, rates,
                plan.machine, 0, Path(folder),
            )  # fmt: skip
            marks = []
            for event in run_fit(fit):
                if event.name == "laddered":
                    raise OverBudget("steps in pieces would be timed")
                if event.name == "step":
                    marks.append(clocks())
        return least([between(one, other) for one, other in pairwise(marks)])

    def _rows(self, length: int, rows: int) -> Any:
        """Rows of random tokens, as the loop takes them."""
        from fewtune.models.batches import Encoded, Marked

        draw = np.random.Generator(np.random.PCG64(0))
        known = min(VOCABULARY, self.plan.shape.vocabulary)
        ids = [draw.integers(0, known, length) for _ in range(rows)]
        if self.plan.speaks:
            from fewtune.train.answers import AnswerRows

            weights = [np.ones(length, dtype=np.float32) for _ in ids]
            marked = Marked(ids, 0, (), weights, list(range(rows)))
            return AnswerRows(self.model, marked, self.plan.machine)  # type: ignore[arg-type]
        from fewtune.train.work import WholeRows

        targets = draw.integers(0, CLASSES, rows)
        return WholeRows(self.model, Encoded(ids, 0), targets, _loss, self.plan.machine)  # type: ignore[arg-type]


def _loss(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    from torch.nn.functional import cross_entropy

    return cross_entropy(logits, targets, reduction="sum"), logits.new_tensor(float(len(targets)))


def optimiser_seconds(machine: Machine) -> Clocked:
    """Seconds of an AdamW step for each number."""
    import torch

    numbers = [torch.zeros(2_000_000, device=machine.device, requires_grad=True) for _ in range(4)]
    for one in numbers:
        one.grad = torch.ones_like(one)
    step = torch.optim.AdamW(numbers, lr=1e-6, fused=machine.device in ("cpu", "cuda")).step
    times = [timed(step) for _ in range(1 + STEPS)]
    count = sum(one.numel() for one in numbers)
    return [seconds / count for seconds in least(times[1:])]


def machine_of(hardware: Hardware) -> Machine:
    """Where steps are timed: the machine that was looked at."""
    from fewtune.models.device import Machine

    return Machine(hardware.device, hardware.bf16)
