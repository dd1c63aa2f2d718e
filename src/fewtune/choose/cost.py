"""Time: the seconds of a fit, from steps that were timed and the lengths of the real rows.

A forward pass over r rows padded to L tokens multiplies each of the r L tokens with the P numbers
of the blocks' matrices and compares it with L others: 2 r L (P + 2 L w n) operations for n blocks
whose queries are w wide. Backward costs the same again for the states, and once more for the
weights that train: 6PT where all weights train, 4PT where parts are added to frozen ones. A pass
takes a fixed time beside, for its many small operations; both are measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from fewtune.train.order import epoch_batches, steps_per_epoch

if TYPE_CHECKING:
    from fewtune.choose.facts import Facts
    from fewtune.methods.base import Method
    from fewtune.methods.count import Count
    from fewtune.models.shape import Shape
    from fewtune.train.options import TrainOptions

FORWARD, ADDED, ALL = 1.0, 2.0, 3.0  # a pass and its backward in units of a forward pass
BACKWARD = 2.0  # small operations in it, in units of a forward pass: for states and for weights
EVALUATED_TOKENS, EVALUATED_ROWS = 4096, 64  # of a batch without gradients, as models/infer.py has
OPTIMISER_BYTES = 28  # that AdamW reads and writes for each number
MOST_WEIGHTS = 0.5  # share of the running blocks from which on their weights count as trained

#: Seconds of a probe's fits on folds, for each row, class and number of its width: 40 fits to 770
#: rows of 77 classes and width 384 took 3.3 s (docs/log.md).
PROBE = 1.45e-7
#: Seconds of a TF-IDF fit, and of each row and class in it (0.30 s for 770 rows of 77 classes).
TFIDF, TFIDF_ROW = 0.05, 4.3e-6
#: What a pass takes beside an adapter's: the fixed part, and the part for each operation. Measured
#: on MiniLM (16 rows of 16 and 48 tokens) and on two blocks of a 0.5B Qwen2 (docs/log.md).
BESIDE_ADAPTER = {
    "bitfit": (1.0, 1.0),
    "ia3": (1.06, 1.05),
    "prompt": (0.7, 1.02),
    "ptuning": (0.75, 1.04),
    "prefix": (1.03, 1.0),
    "lora": (1.85, 1.15),
}
#: Seconds of a step that trains a head on stored features.
HEAD_STEP = 6e-4


@dataclass(frozen=True, slots=True)
class Curve:
    """Seconds of a pass: `fixed`, and `each` for an operation."""

    fixed: float
    each: float

    def __call__(self, operations: np.ndarray) -> np.ndarray:
        """Seconds of passes with so many operations each."""
        return self.fixed + self.each * operations


@dataclass(frozen=True, slots=True)
class Timings:
    """What passes cost on a machine; `operations` count what is really multiplied.

    Attributes:
        forward: of passes without gradients.
        full: of forward and backward where every weight trains, the optimiser left out.
        adapter: the same where small parts are added to frozen weights.
        lora: the same of many small parts.
        optimiser: seconds of a step for each trained number.
        how: `measured`, or `computed` from the machine's rate, or `assumed` for a device that is
            not here.
        note: a sentence about it.
        attention: the kernel that the steps were timed with; None where none was timed.
    """

    forward: Curve
    full: Curve
    adapter: Curve
    lora: Curve
    optimiser: float
    how: str
    note: str
    attention: Literal["eager", "sdpa"] | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What a fit goes through.

    Attributes:
        lengths: (rows,) tokens of each training row.
        classes: of the new head; None where a language model writes.
        learned: targets of an average row of a language model.
        batch, accumulation, steps: as decided.
        checkpointing: whether activations are computed twice.
        caches: whether the frozen trunk is computed once.
    """

    lengths: np.ndarray
    classes: int | None
    learned: float
    batch: int
    accumulation: int
    steps: int
    checkpointing: bool = False
    caches: bool = True


@dataclass(frozen=True, slots=True)
class Seconds:
    """Predicted time: the probe that the head starts from, the frozen trunk, the steps."""

    probe: float = 0.0
    trunk: float = 0.0
    steps: float = 0.0

    @property
    def total(self) -> float:
        """Of all."""
        return self.probe + self.trunk + self.steps


def fitted_curve(points: Sequence[tuple[float, float]], floor: float = 0.0) -> Curve:
    """The line through timed passes: (operations, seconds) of each.

    Args:
        points: at two numbers of operations or more.
        floor: seconds that an operation takes at the least. A GPU takes as long for a few rows
            as for many, and not for any number; where 0, a line that falls is noise.

    >>> fitted_curve([(1e9, 0.02), (3e9, 0.04)])
    Curve(fixed=0.01, each=1e-11)
    """
    operations, seconds = (np.array(column, dtype=float) for column in zip(*points, strict=True))
    spread = operations - operations.mean()
    each = float((spread * seconds).sum() / (spread**2).sum()) if spread.any() else 0.0
    each = max(each, floor)
    fixed = float(seconds.mean() - each * operations.mean())
    if each <= 0 or fixed < 0:  # noise: through the origin
        return Curve(0.0, float((operations * seconds).sum() / (operations**2).sum()))
    return Curve(round(fixed, 9), float(f"{each:.9g}"))


def computed(rate: float, bandwidth: float, how: str, note: str, forward: float = 0.0) -> Timings:
    """Timings from a rate alone.

    Args:
        rate: operations a second that training reaches.
        bandwidth: bytes a second of memory.
        forward: seconds that a pass without gradients takes beside its operations; backward takes
            twice that, and many small parts more of both.
    """
    each, both = 1 / rate, (FORWARD + BACKWARD) * forward
    small_parts, _ = BESIDE_ADAPTER["lora"]
    return Timings(
        forward=Curve(forward, each),
        full=Curve(both, each),
        adapter=Curve(both, each),
        lora=Curve(small_parts * both, each),
        optimiser=OPTIMISER_BYTES / bandwidth,
        how=how,
        note=note,
    )


def work_of(facts: Facts, train: TrainOptions) -> Work:
    """What a fit with decided options goes through."""
    return Work(
        lengths=facts.lengths,
        classes=facts.classes,
        learned=facts.learned,
        batch=train.per_device_train_batch_size,
        accumulation=train.gradient_accumulation_steps,
        steps=train.max_steps or 1,
        checkpointing=train.gradient_checkpointing,
        caches=train.cache_trunk,
    )


def operations(shape: Shape, rows: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Of a forward pass through all blocks.

    Args:
        rows, tokens: (batches,) rows of each batch, and tokens that they are padded to.
    """
    matrices = shape.layers * shape.block_matrices
    compared = 2 * tokens * shape.query_width * shape.layers
    return 2.0 * rows * tokens * (matrices + compared)


def seconds_of(method: Method, count: Count, shape: Shape, work: Work, timings: Timings) -> Seconds:
    """The time of a method's fit, the loading of model and data left out.

    Args:
        count: what the method trains of the model.
    """
    rows = len(work.lengths)
    if not method.needs_model:
        return Seconds(probe=TFIDF + TFIDF_ROW * rows * (work.classes or 1))
    probe = 0.0
    if work.classes is not None:  # every classifier starts from a probe
        probe = _forward(shape, work.lengths, timings)
        probe += PROBE * rows * work.classes * shape.width
    if not method.needs_steps:
        return Seconds(probe=probe)
    first, trunk = count.lowest, 0.0
    if work.caches:
        trunk = _forward(shape, work.lengths, timings) * first / shape.layers
    if work.caches and first == shape.layers and work.classes is not None:
        each = HEAD_STEP + timings.optimiser * count.trained
        return Seconds(probe, trunk, each * work.steps)
    return Seconds(probe, trunk, _steps(method, count, shape, work, timings, first))


def _steps(
    method: Method, count: Count, shape: Shape, work: Work, timings: Timings, first: int
) -> float:
    """Seconds of all steps: block `first` and those above, and those below where none is cached."""
    reserved = sum(p.reserved_tokens for p in method.parts() if getattr(p, "in_sequence", False))
    lengths = work.lengths + reserved
    batches = epoch_batches(lengths, work.batch, seed=0, epoch=0)
    sizes = np.array([len(batch) for batch in batches])
    longest = np.array([lengths[batch].max() for batch in batches])
    part = (shape.layers - first) / shape.layers
    running = part * shape.layers * shape.block_matrices
    trains_all = count.trained - count.added >= MOST_WEIGHTS * running
    curve = timings.full if trains_all else _curve(method, timings)
    passes = ALL if trains_all else added_passes(method, shape.layers)
    again = 1 + FORWARD * work.checkpointing / passes  # small operations are repeated too
    forward = operations(shape, sizes, longest)
    each_pass = part * again * curve(passes * forward)
    each_pass += curve.each * _head(method, shape, work, sizes)
    if not work.caches:
        each_pass += (1 - part) * timings.forward(forward)
    per_epoch = steps_per_epoch(len(lengths), work.batch, work.accumulation)
    epochs = work.steps / per_epoch
    return float(each_pass.sum() * epochs + timings.optimiser * count.trained * work.steps)


def added_passes(method: Method, blocks: int) -> float:
    """Forward and backward through frozen blocks, in units of a forward pass.

    An adapter stands at the end of its block, so nothing goes back through the first one.
    """
    alone = [part.name for part in method.parts()] == ["adapter"]
    return ADDED - alone / blocks


def _curve(method: Method, timings: Timings) -> Curve:
    """Passes with a method's parts: timed, or an adapter's with what was measured beside it."""
    names = [part.name for part in method.parts()]
    if names == ["lora"]:
        return timings.lora
    beside = [BESIDE_ADAPTER.get(name, (1.0, 1.0)) for name in names]
    fixed, each = (math.prod(column) for column in zip(*beside, strict=True))
    return Curve(timings.adapter.fixed * fixed, timings.adapter.each * each)


def _head(method: Method, shape: Shape, work: Work, sizes: np.ndarray) -> np.ndarray | float:
    """Operations of a language model's head, forward and backward: it sees the learned tokens
    alone, runs whole however few blocks do, and is never computed twice.
    """
    if work.classes is not None:
        return 0.0
    passes = ALL if any(part.trains_words for part in method.parts()) else ADDED
    return passes * 2.0 * sizes * work.learned * shape.width * shape.vocabulary


def _forward(shape: Shape, lengths: np.ndarray, timings: Timings) -> float:
    """Seconds of all rows without gradients, in batches as evaluation cuts them."""
    order = np.sort(lengths)[::-1]
    rows, tokens, start = [], [], 0
    while start < len(order):
        longest = max(1, int(order[start]))
        size = max(1, min(EVALUATED_ROWS, EVALUATED_TOKENS // longest, len(order) - start))
        rows.append(size)
        tokens.append(longest)
        start += size
    return float(timings.forward(operations(shape, np.array(rows), np.array(tokens))).sum())
