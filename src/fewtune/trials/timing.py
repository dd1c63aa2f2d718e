"""A few training steps, timed on this machine: random numbers in the model's own sizes.

How long a step takes does not depend on what the weights are, so none are read: of a model with
many blocks the first few are built, and what they take is scaled to all. The steps are those of
the real loop, with its attention kernel, precision and optimiser.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

import numpy as np

from fewtune.choose.cost import (
    ADDED,
    ALL,
    FORWARD,
    Timings,
    computed,
    fitted_curve,
    operations,
)
from fewtune.methods import parse
from fewtune.methods.base import Method
from fewtune.trials.kept import kept

if TYPE_CHECKING:
    from torch import Tensor

    from fewtune.choose.facts import Hardware
    from fewtune.models.device import Machine
    from fewtune.models.load import Source
    from fewtune.models.shape import Shape

FORMAT = 4  # of what is kept; another one is timed anew
GRID = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)
VOCABULARY = 1000  # tokens of what is built
STEPS = 3  # timed at each length, after one that warms up
CLASSES = 16
#: Operations of the largest step that is timed; more is timed on fewer rows, then shorter ones.
LARGEST = {"cpu": 8e10, "cuda": 4e12}
BUSY = 0.25  # share of the machine that others use, from which timings are theirs too
BUSY_LASTS = 86_400.0  # seconds that such timings are kept
FEW = 12_000_000  # numbers in the matrices of the blocks that are built, where there are many
MOST = 160_000_000  # numbers in one block; above, nothing is built
BANDWIDTH = 1.5e10  # bytes a second of main memory, where no step was timed
ASSUMED, ASSUMED_BANDWIDTH = 4e13, 5e11  # of a GPU that is not here
ASSUMPTION = (
    "the device is not in this machine: 40 TFLOP/s are assumed, what a card with about 100 in "
    "bfloat16 reaches in training; trust the ratios."
)
EFFICIENCY = 0.4  # of the rate of large matrix products, that training reaches (docs/log.md)


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
        return _machine(self.hardware)

    @property
    def slice(self) -> Shape:
        """The shape of what is built."""
        return replace(self.shape, layers=self.depth)

    def work(self, length: int, passes: float) -> float:
        """Operations of a step."""
        return passes * float(operations(self.slice, np.array(self.rows), np.array(length)))


def time_steps(
    source: Source,
    shape: Shape,
    speaks: bool,
    hardware: Hardware,
    lengths: np.ndarray,
    again: bool = False,
) -> Timings:
    """Timings of a model, for texts of such lengths.

    Args:
        speaks: whether it learns to write.
        hardware: this machine's, or one that is not here.
        lengths: (rows,) tokens of the training rows.
        again: measure, whatever is kept.
    """
    if not hardware.here:
        return computed(ASSUMED, ASSUMED_BANDWIDTH, "assumed", ASSUMPTION)
    where = _where(hardware)
    plan = planned(source, shape, speaks, hardware, lengths)
    if plan is None:
        rate = kept("rates", where, lambda: measured_rate(_machine(hardware)), again)
        note = (
            f"computed from this machine's {rate / 1e9:,.0f} GFLOP/s in matrix products, of which "
            f"training reaches about {EFFICIENCY:.0%}: a block of this model is too large to time."
        )
        return computed(EFFICIENCY * rate, BANDWIDTH, "computed", note)
    key = (*where, _identity(source), speaks, plan.depth, plan.rows, plan.lengths)
    return scaled(plan, kept("steps", key, lambda: observed(plan), again, _lasts))


def observed(plan: Rehearsal) -> dict[str, Any]:
    """What was rehearsed, and the share of the machine that others used meanwhile."""
    watch = Watch()
    return rehearsed(plan) | {"others": watch.others()}


def _lasts(found: dict[str, Any]) -> float | None:
    return BUSY_LASTS if found["others"] > BUSY else None


#: Seconds by two clocks: the wall's and the processor's.
Clocked = list[float]


def measured_rate(machine: Machine) -> float:
    """Operations a second in large matrix products, in the precision of training."""
    import torch

    dtype = torch.bfloat16 if machine.bf16 else torch.float32
    size = 4096 if machine.device == "cuda" else 1024
    one = torch.randn(size, size, device=machine.device).to(dtype)
    best = _least([_timed(lambda: one @ one) for _ in range(20)])
    return 2 * size**3 / best[0]


def rehearsed(plan: Rehearsal) -> dict[str, Any]:
    """Seconds by length of steps of three methods and of a forward pass, and the optimiser's."""
    import torch

    from fewtune.models.device import keep_freed_memory, threads

    keep_freed_memory()
    torch.set_num_threads(threads())
    torch.manual_seed(0)
    found: dict[str, Any] = {"optimiser": _optimiser(plan.machine)}
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
    _begun: dict[int, list[float]] = field(default_factory=dict)

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
            passes = [_timed(lambda: self.model.features(ids, mask)) for _ in range(1 + STEPS)]
        return _least(passes[1:])

    def steps(self) -> list[Clocked]:
        """Seconds of a training step by length, through the real loop."""
        return [self._steps(length) for length in self.plan.lengths]

    def _steps(self, length: int) -> Clocked:
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
            marks = [clocks() for event in run_fit(fit) if event.name == "step"]
        return _least([_between(one, other) for one, other in pairwise(marks)])

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


def planned(
    source: Source, shape: Shape, speaks: bool, hardware: Hardware, lengths: np.ndarray
) -> Rehearsal | None:
    """Which slice is timed on which batches; None where even one row of one block is too much."""
    if shape.block_matrices > MOST:
        return None
    depth = max(min(2, shape.layers), FEW // shape.block_matrices)
    chosen = grid_lengths(lengths)
    if chosen[1] > source.positions:
        chosen = (min(chosen[0], source.positions // 2), source.positions)
    plan = Rehearsal(source, shape, speaks, hardware, min(depth, shape.layers), 16, chosen)
    while plan.work(plan.lengths[-1], ALL) > LARGEST[hardware.device]:
        if plan.rows > 1:
            plan = replace(plan, rows=plan.rows // 2)
        elif plan.lengths[0] > GRID[1]:
            plan = replace(plan, lengths=(plan.lengths[0] // 2, plan.lengths[1] // 2))
        else:
            break
    return plan


def grid_lengths(lengths: np.ndarray) -> tuple[int, ...]:
    """Two lengths of a fixed grid about those of the rows, so that what is timed can be kept.

    >>> grid_lengths(np.array([11, 14, 16, 18, 30])), grid_lengths(np.array([7] * 9))
    ((8, 32), (8, 16))
    """
    low, high = np.percentile(lengths, (25, 95))
    above = next(one for one in GRID if one >= min(high, GRID[-1]))
    below = [one for one in GRID if one <= max(low, GRID[0])][-1]
    return (below, above) if below < above else (below, 2 * below)


def scaled(plan: Rehearsal, found: dict[str, Any]) -> Timings:
    """Curves of the whole model from the seconds of its slice."""
    scale = plan.shape.layers / plan.depth
    busy = found["others"] > BUSY and plan.hardware.device == "cpu"
    clock = int(busy)  # what others take away is not in the processor's seconds

    def curve(kind: str, passes: float, aside: float = 0.0) -> Any:
        points = [
            (plan.work(length, passes), max(1e-6, seconds[clock] - aside))
            for length, seconds in zip(plan.lengths, found[kind], strict=True)
        ]
        line = fitted_curve(points)
        return replace(line, fixed=line.fixed * scale)

    each = found["optimiser"][clock]
    blocks = "its blocks" if plan.depth == plan.shape.layers else f"{plan.depth} of its blocks"
    note = (
        f"from steps timed on this machine (batches of {plan.rows} by {plan.lengths[0]} and "
        f"{plan.lengths[1]} tokens through {blocks}, {found['attention']} attention); --again "
        "times anew."
    )
    if busy:
        note += (
            f" Other programs used {found['others']:.0%} of the machine meanwhile; the times are "
            "those of a quiet one."
        )
    return Timings(
        forward=curve("forward", FORWARD),
        full=curve("full", ALL, each * found["full_trained"]),
        adapter=curve("adapter", ADDED - 1 / plan.depth, each * found["adapter_trained"]),
        lora=curve("lora", ADDED, each * found["lora_trained"]),
        optimiser=each,
        how="measured",
        note=note,
    )


def _optimiser(machine: Machine) -> Clocked:
    """Seconds of an AdamW step for each number."""
    import torch

    numbers = [torch.zeros(2_000_000, device=machine.device, requires_grad=True) for _ in range(4)]
    for one in numbers:
        one.grad = torch.ones_like(one)
    step = torch.optim.AdamW(numbers, lr=1e-6, fused=machine.device in ("cpu", "cuda")).step
    times = [_timed(step) for _ in range(1 + STEPS)]
    count = sum(one.numel() for one in numbers)
    return [seconds / count for seconds in _least(times[1:])]


def clocks() -> Clocked:
    """The wall's clock, and the seconds of the processor: of all threads, over their number."""
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return [perf_counter(), process_time() / torch.get_num_threads()]


def _timed(do: Callable[[], object]) -> Clocked:
    begun = clocks()
    do()
    return _between(begun, clocks())


def _between(begun: Clocked, ended: Clocked) -> Clocked:
    return [end - start for start, end in zip(begun, ended, strict=True)]


def _least(timed: Sequence[Clocked]) -> Clocked:
    """By each clock; what comes on top is other programs'."""
    return [min(column) for column in zip(*timed, strict=True)]


class Watch:
    """How much of the machine other programs use from here on; nothing is known off Linux."""

    def __init__(self) -> None:
        self._start = perf_counter(), sum(os.times()[:4]), _busy()

    def others(self) -> float:
        """Share of all cores since the start, 0..1."""
        wall, own, busy = self._start
        used = (_busy() - busy) - (sum(os.times()[:4]) - own)
        return max(0.0, used) / ((perf_counter() - wall) * (os.cpu_count() or 1))


def _busy() -> float:
    """Seconds that all cores together have worked since the machine started."""
    try:
        ticks = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    except OSError:
        return 0.0
    user, nice, system, _idle, _waiting, hard, soft, stolen = map(int, ticks)
    return (user + nice + system + hard + soft + stolen) / os.sysconf("SC_CLK_TCK")


def _identity(source: Source) -> str:
    from fewtune.base.files import fingerprint

    return fingerprint(source.folder / "config.json")


def _where(hardware: Hardware) -> tuple[object, ...]:
    """What tells one machine, and one precision, from another."""
    from importlib.metadata import version

    threads = os.environ.get("OMP_NUM_THREADS") or hardware.cores
    where = (FORMAT, hardware.cpu, threads, hardware.gpus, hardware.device, hardware.bf16)
    return (*where, version("torch"), version("transformers"))


def _machine(hardware: Hardware) -> Machine:
    from fewtune.models.device import Machine

    return Machine(hardware.device, hardware.bf16)
