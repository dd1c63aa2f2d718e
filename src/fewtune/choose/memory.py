"""The memory of a training step, told before it is paid: a closed form, nothing is loaded.

    peak = weights + optimiser + kept + cache + max(held + activations + logits, gradients)

Activations are let go block by block while gradients come, so the two are not there together;
`held` is what of the gradients is there during the forward pass all the same. What a block keeps
is counted in kept.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fewtune.choose.kept import KINDS, fused, kept_by_block
from fewtune.models.shape import Shape

Dtype = Literal["float32", "bfloat16"]

#: Imports, the allocator and the library's own buffers, apart from any model: resident bytes after
#: a fit of a tiny model (420 to 445 million over five kinds, benchmarks/memory).
PROCESS = 440_000_000
CHUNK = 2**24  # logits held at once, as models/answer_loss.py has it
TABLE = 1_000_000  # numbers in an embedding table from which train/tables.py gives it a buffer
READ_TOKENS = 4096  # of a batch without gradients: models/batches.py


@dataclass(frozen=True, slots=True)
class Step:
    """One training step as fewtune takes it.

    Attributes:
        rows: in one forward pass.
        length: tokens of the longest row in it; the longest batch decides.
        trained: parameters that get a gradient, the head's among them.
        parts: names of the method's parts, `("lora",)`.
        answers: positions in the batch whose next token is learned; 0 for a classifier.
        dtype: of matrix products.
        base_dtype: in which frozen matrices are held for good. With `dtype` bfloat16 and this
            float32 there is a rounded copy beside them while training.
        checkpointing: whether a block's insides are computed again for the gradients.
        dropout: of the pretrained model while it trains.
        attention: the kernel.
        lowest_trained_block: first block that needs a gradient; the number of blocks where only
            what stands behind them trains.
        accumulation: forward passes per optimiser step.
        copies: of the trained weights beside them (running mean; in main memory best step, start).
        cached_tokens: of all training rows, where the blocks below `lowest_trained_block` run once
            and are cached; 0 where they run at every step, and keep nothing.
        virtual_tokens: that the method puts before each row, or before its keys.
        rank: of LoRA; `lora_dropout` its own.
        bottleneck: width inside an adapter; `adapters` of them in a block.
        read_rows: most rows in a batch without gradients, of evaluation or to fill the cache; the
            64 of models/infer.py, or how many there are; 0 where none are read.
        device: where it runs.
    """

    rows: int
    length: int
    trained: int
    parts: tuple[str, ...] = ("full",)
    answers: int = 0
    dtype: Dtype = "float32"
    base_dtype: Dtype = "float32"
    checkpointing: bool = False
    dropout: float = 0.0
    attention: Literal["sdpa", "eager"] = "sdpa"
    lowest_trained_block: int = 0
    accumulation: int = 1
    copies: int = 0
    cached_tokens: int = 0
    virtual_tokens: int = 0
    rank: int = 8
    bottleneck: int = 0
    adapters: int = 1
    lora_dropout: float = 0.0
    read_rows: int = 64
    device: Literal["cpu", "cuda"] = "cpu"

    @property
    def bytes(self) -> int:
        """Of a number that matrix products make."""
        return 2 if self.dtype == "bfloat16" else 4

    @property
    def keys(self) -> int:
        """Positions that attention looks at; a prefix stands among them."""
        return self.length + self.virtual_tokens

    @property
    def positions(self) -> int:
        """Positions of a row that run through the blocks."""
        return self.length if "prefix" in self.parts else self.keys

    @property
    def tokens(self) -> int:
        """Positions of one forward pass, padding and virtual ones with them."""
        return self.rows * self.positions

    @property
    def trains_base(self) -> bool:
        """Whether matrices of the pretrained model train."""
        return not {"full", "freeze"}.isdisjoint(self.parts)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of a training step, by what they are for.

    Attributes:
        weights: parameters, with the rounded copies of frozen ones.
        gradients: of what trains.
        optimiser: AdamW's two moments.
        activations: kept for the backward pass, and what the pass itself needs for a moment.
        logits: of a language model's head, with the head's own gradient.
        cache: states of the frozen trunk; on a GPU they stay in main memory.
        kept: copies of the trained weights, on the device.
        held: part of the gradients that is there during the forward pass too.
        reading: a batch without gradients, of evaluation or to fill the cache.
        loading: the least that loading the model takes, in float32.
        process: what the process holds without any model; not in `peak`.
    """

    weights: int
    gradients: int
    optimiser: int
    activations: int
    logits: int
    cache: int = 0
    kept: int = 0
    held: int = 0
    reading: int = 0
    loading: int = 0
    process: int = PROCESS

    @property
    def fit(self) -> int:
        """Most bytes at once from the loaded model on, which is what a run measures."""
        steady = self.weights + self.optimiser + self.cache + self.kept
        passes = max(self.held + self.activations + self.logits, self.gradients)
        return max(steady + passes, self.weights + self.cache + self.reading)

    @property
    def peak(self) -> int:
        """Most bytes at once, beyond the process's own."""
        return self.at(1.0)

    def at(self, factor: float) -> int:
        """The peak where fits take so many times what is told; loading takes the same anywhere."""
        return max(int(factor * self.fit), self.loading)

    @property
    def total(self) -> int:
        """Most resident bytes of the whole process."""
        return self.peak + self.process

    def as_json(self) -> dict[str, int]:
        """Every part by name, the fit's peak, and the peak with loading."""
        parts = {name: getattr(self, name) for name in self.__slots__}
        return parts | {"fit": self.fit, "peak": self.peak}


def predict(shape: Shape, step: Step) -> Memory:
    """The memory of a step.

    Args:
        shape: of the pretrained model.
        step: what is trained, on what batch, and how.
    """
    every = shape.backbone_parameters + shape.head_parameters
    return Memory(
        weights=_weights(shape, step, every),
        gradients=4 * step.trained,
        optimiser=8 * step.trained,
        activations=int(_activations(shape, step)),
        logits=_logits(shape, step),
        cache=step.cached_tokens * shape.width * step.bytes if step.device == "cpu" else 0,
        kept=4 * step.trained * step.copies,
        held=4 * step.trained if step.accumulation > 1 else _table(shape, step),
        reading=int(_reading(shape, step)),
        loading=4 * every,
    )


def _weights(shape: Shape, step: Step, every: int) -> int:
    """Parameters in float32, frozen matrices as they are held."""
    added = step.trained if not step.trains_base else max(0, step.trained - every)
    total = 4 * (every + added)
    if step.dtype == "float32":
        return total
    frozen = step.lowest_trained_block if step.trains_base else shape.layers
    matrices = frozen * shape.block_matrices
    total += (-2 if step.base_dtype == "bfloat16" else 2) * matrices
    if step.answers and "full" not in step.parts:
        total += 2 * shape.table  # the head's copy
    return total


def _activations(shape: Shape, step: Step) -> float:
    """What all blocks keep, and a pass's own needs in the block where it is."""
    running = shape.layers - step.lowest_trained_block
    block = step.tokens * kept_by_block(shape, step)
    moment = step.tokens * _moment(shape, step)
    ends = step.tokens * (8 * shape.width + 4 * shape.patch)  # what goes in, and the last states
    casts = 2 * running * shape.block_matrices if step.trains_base and step.bytes == 2 else 0
    if step.checkpointing and running:
        return 4 * running * step.tokens * shape.width + block + moment + ends
    return (running - _untouched(step)) * block + moment + ends + casts


def _untouched(step: Step) -> float:
    """Of the lowest block, the share below its first trained part: no gradient goes there."""
    if set(step.parts) != {"adapter"}:
        return 0.0
    return 0.5 if step.adapters > 1 else 0.9


def _moment(shape: Shape, step: Step) -> float:
    """Bytes of a token that one operation and its gradient need beside what is kept."""
    wide = 2 * shape.inner * step.bytes
    products = 0 if fused(step, KINDS[shape.family]) else 8 * shape.heads * step.keys
    return max(wide, products)


def _reading(shape: Shape, step: Step) -> float:
    """A batch without gradients: nothing is kept beyond a block."""
    tokens = min(step.read_rows * step.positions, max(READ_TOKENS, step.positions))
    return tokens * (12 * shape.width + _moment(shape, step))


def _logits(shape: Shape, step: Step) -> int:
    """A chunk of logits with its softmax, and the head's gradient where the head trains."""
    if not step.answers:
        return 0
    chunk = min(step.answers, max(1, CHUNK // shape.vocabulary)) * shape.vocabulary
    if "full" not in step.parts:
        return 8 * chunk
    # the head rounded, its gradient summed in float32, and at the end rounded too
    cast = 2 * shape.table if step.bytes == 2 else 0
    return cast + 4 * shape.table + max(8 * chunk, cast)


def _table(shape: Shape, step: Step) -> int:
    """The buffer that a large table's gradient is spread into, and that stays."""
    dense = shape.causal and shape.tied  # then the head's gradient is written into it anyway
    large = shape.table >= TABLE and step.device == "cpu" and "full" in step.parts
    return 4 * shape.table if large and not dense else 0
