"""What one block of a transformer keeps for its backward pass, tensor by tensor.

The counts are those of `torch.autograd.graph.saved_tensors_hooks` on two and three blocks of tiny
models of each kind (torch 2.13, transformers 5.23, peft 0.21), for every method, both attention
kernels, float32 and bfloat16, with and without dropout; tests/choose/test_memory.py counts again.
Sizes are of one token: `d` the width, `q` that of all queries, `f` the inner width, `A` heads times
keys. A result of a matrix product has the bytes of the arithmetic, what norms read has four.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fewtune.models.shape import Shape

if TYPE_CHECKING:
    from fewtune.choose.memory import Step


@dataclass(frozen=True, slots=True)
class Kind:
    """How the blocks of some families are built.

    Attributes:
        inner: inner states that the non-linearity keeps: GELU one, GPT-2's formula four, a gate
            three.
        shared: linear layers that read a normed state; in bfloat16 each has a copy of its own.
        layers: linear layers in a block.
        dropouts: of the residual stream.
        low_probabilities: whether eager attention drops rounded probabilities, and not exact ones.
        masked: whether a padding mask is kept beside the fused kernel's states.
        fused: whether the family has the fused attention kernel at all.
    """

    inner: int = 1
    shared: int = 4
    layers: int = 6
    dropouts: int = 2
    low_probabilities: bool = False
    masked: bool = True
    fused: bool = True


_BERT = Kind()
_GATED = Kind(inner=3, shared=5, layers=7, dropouts=0)
_IMAGE = Kind(low_probabilities=True, masked=False)

KINDS: dict[str, Kind] = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "electra": _BERT,
    "mpnet": Kind(fused=False),
    "distilbert": Kind(dropouts=1),
    "gpt2": Kind(inner=4, shared=2, layers=4, low_probabilities=True),
    "llama": _GATED,
    "mistral": _GATED,
    "qwen2": _GATED,
    "qwen3": _GATED,
    "vit": _IMAGE,
    "deit": _IMAGE,
}


def kept_by_block(shape: Shape, step: Step) -> float:
    """Bytes that a block keeps of one token when gradients flow through it."""
    kind, number = KINDS[shape.family], step.bytes
    own: float = 8 * shape.width  # what the two norms read
    own += kind.inner * shape.inner * number
    if step.dropout:
        own += kind.dropouts * shape.width * number
    if shape.query_norms:
        own += 4 * (shape.query_width + shape.kv_width)
    own += _attention(shape, step, kind)
    own += _by_parts(shape, step, kind)
    return own


def _attention(shape: Shape, step: Step, kind: Kind) -> float:
    """Queries, keys, values, and what the kernel keeps of their products."""
    queries, number = shape.query_width, step.bytes
    # keys and values are repeated for every head; a prefix makes them longer
    triple = queries * (1 + 2 * step.keys / step.positions)
    products = shape.heads * step.keys
    if fused(step, kind):
        mask = step.keys * number if kind.masked else 0
        return (triple + queries) * number + 4 * shape.heads + mask
    if step.attention == "sdpa" and kind.fused:  # on a CPU dropout takes the plain formula, exact
        return 4 * triple + 12 * products
    exact = 4 * products if number == 4 else 6 * products
    if step.dropout:
        exact += 8 * products if number == 4 else (2 if kind.low_probabilities else 4) * products
    return triple * number + exact


def fused(step: Step, kind: Kind) -> bool:
    """Whether the kernel runs that never holds the attention probabilities."""
    return kind.fused and step.attention == "sdpa" and (not step.dropout or step.device == "cuda")


def _by_parts(shape: Shape, step: Step, kind: Kind) -> float:
    """What trains reads its input again; so it is kept."""
    total, number = 0.0, step.bytes
    weights = not {"full", "freeze"}.isdisjoint(step.parts)
    copies = 2 if number == 4 else kind.shared  # in float32 layers share what they read
    reread = 0 if fused(step, kind) else shape.query_width  # the fused kernel keeps its result
    inputs = (copies * shape.width + reread + shape.inner) * number
    if weights:
        total += inputs
        if shape.rotary:
            total += 8 * shape.width  # normed states, for the norms' own weights
        if shape.query_norms:
            total += number * (shape.query_width + shape.kv_width)
    if "lora" in step.parts:
        if step.lora_dropout:  # every layer draws noise for its own copy
            noisy = kind.shared * shape.width * (4 + number)
            total += noisy + 2 * number * (shape.query_width + shape.inner)
        elif not weights:
            total += inputs
        total += kind.layers * step.rank * number
    if "adapter" in step.parts:
        total += step.adapters * (shape.width + step.bottleneck) * number
    if "ia3" in step.parts:
        total += 2 * shape.kv_width * number + 4 * shape.inner
    return total
