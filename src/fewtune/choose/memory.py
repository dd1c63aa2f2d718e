"""The memory of a training step, told before it is paid: a closed form, nothing is loaded.

    peak = weights + optimiser + kept + cache + max(held + activations + logits, gradients)

Activations are let go block by block while gradients come, so the two are not there together;
`held` is what of the gradients is there during the forward pass all the same. What a block keeps
for the backward pass is counted tensor by tensor in KEPT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fewtune.models.shape import Shape

Dtype = Literal["float32", "bfloat16"]

#: Bytes of a number.
BYTES: dict[str, int] = {"float32": 4, "bfloat16": 2}
#: Imports, the allocator and the library's own buffers, apart from any model; resident bytes of
#: `import torch, transformers, peft` on the CPU build, docs/log.md.
PROCESS = 450 * 2**20
CHUNK = 2**24  # logits held at once, as models/answer_loss.py has it
TABLE = 1_000_000  # numbers in an embedding table from which its gradient has a buffer of its own


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
        copies: of the trained weights beside them (running mean, best step, start).
        cached_tokens: of all training rows, where the blocks below `lowest_trained_block` run once
            and are cached; 0 where they run at every step.
        virtual_tokens: that the method puts before each row.
        rank: of LoRA; `bottleneck`: width inside an adapter.
        lora_dropout: LoRA's own dropout.
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
    lora_dropout: float = 0.0
    device: Literal["cpu", "cuda"] = "cpu"

    @property
    def tokens(self) -> int:
        """Of one forward pass, padding and virtual ones with them."""
        return self.rows * (self.length + self.virtual_tokens)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of a training step, by what they are for.

    Attributes:
        weights: parameters, with the rounded copies that are computed with.
        gradients: of what trains.
        optimiser: AdamW's two moments.
        activations: kept for the backward pass, and what the pass itself needs for a moment.
        logits: of a language model's head, with its gradients.
        cache: states of the frozen trunk.
        kept: copies of the trained weights.
        held: part of the gradients that is there during the forward pass too.
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
    loading: int = 0
    process: int = PROCESS

    @property
    def peak(self) -> int:
        """Most bytes at once, beyond the process's own."""
        steady = self.weights + self.optimiser + self.cache + self.kept
        passes = max(self.held + self.activations + self.logits, self.gradients)
        return max(steady + passes, self.loading)

    @property
    def total(self) -> int:
        """Most resident bytes of the whole process."""
        return self.peak + self.process

    def as_json(self) -> dict[str, int]:
        """Every part by name, and the peak."""
        return {name: getattr(self, name) for name in self.__slots__} | {"peak": self.peak}


def predict(shape: Shape, step: Step) -> Memory:
    """The memory of a step.

    Args:
        shape: of the pretrained model.
        step: what is trained, on what batch, and how.
    """
    return Memory(
        weights=_weights(shape, step),
        gradients=4 * step.trained,
        optimiser=8 * step.trained,
        activations=_activations(shape, step),
        logits=_logits(shape, step),
        cache=step.cached_tokens * shape.width * BYTES[step.dtype],
        kept=4 * step.trained * step.copies,
        held=4 * step.trained if step.accumulation > 1 else _tables(shape, step),
        loading=4 * (shape.backbone_parameters + shape.head_parameters),
    )


def trains_weights(step: Step) -> bool:
    """Whether the base's own matrices train."""
    return not {"full", "freeze"}.isdisjoint(step.parts)


def trains_embeddings(step: Step) -> bool:
    """Whether the word embeddings train."""
    return "full" in step.parts


def _weights(shape: Shape, step: Step) -> int:
    every = shape.backbone_parameters + shape.head_parameters
    frozen_blocks = step.lowest_trained_block if trains_weights(step) else shape.layers
    frozen = frozen_blocks * shape.block_matrices
    added = max(0, step.trained - every) if trains_weights(step) else step.trained
    total = 4 * (every + added)
    if step.dtype == "bfloat16":
        total += (2 - 4 if step.base_dtype == "bfloat16" else 2) * frozen
        total += 2 * (shape.layers * shape.block_matrices - frozen)  # autocast's copies
        if step.answers:
            total += 2 * shape.table  # the head's
    return total


def _activations(shape: Shape, step: Step) -> int:
    running = shape.layers - (step.lowest_trained_block if step.cached_tokens else 0)
    keeping = min(running, shape.layers - step.lowest_trained_block)
    number = BYTES[step.dtype]
    block = step.tokens * (_per_token(shape, step) + _attention(shape, step))
    moment = step.tokens * (2 * shape.inner + 2 * shape.width) * number
    if step.checkpointing and keeping:
        return int(4 * keeping * step.tokens * shape.width + block + moment)
    return int(keeping * block + moment)


def _per_token(shape: Shape, step: Step) -> float:
    """Bytes a block keeps of a token, first guess."""
    if step.dtype == "bfloat16":
        return 24 * shape.width + 6 * shape.inner
    return 32 * shape.width + 12 * shape.inner


def _attention(shape: Shape, step: Step) -> float:
    if step.attention == "sdpa":
        return 0
    return shape.heads * (step.length + step.virtual_tokens) * 2 * BYTES[step.dtype]


def _logits(shape: Shape, step: Step) -> int:
    if not step.answers:
        return 0
    size = min(CHUNK, step.answers * shape.vocabulary)
    own = 4 * shape.table if trains_embeddings(step) else 0
    return 8 * size + own


def _tables(shape: Shape, step: Step) -> int:
    large = shape.table >= TABLE and step.device == "cpu" and trains_embeddings(step)
    return 4 * shape.table if large else 0
