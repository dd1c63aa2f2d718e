"""What fits into the memory: batch, accumulation, checkpointing, the cache of frozen blocks and
freezing depth, in that order.

The effective batch stays what it was: half the rows in a pass, twice the passes in a step. What
costs nothing but time comes before what costs quality, and nothing is chosen that costs more of
both memory and time than something else (rungs.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from fewtune.base.amounts import told_bytes
from fewtune.choose.cost import seconds_of, work_of
from fewtune.choose.facts import Facts
from fewtune.choose.memory import Memory, Step, predict
from fewtune.choose.rungs import Rung, chosen, slower, told, ways
from fewtune.methods.count import Count

if TYPE_CHECKING:
    import numpy as np

    from fewtune.methods.base import Method
    from fewtune.train.options import TrainOptions

FOUR_BITS = 0.52  # bytes of a number in 4-bit blocks of 64 with their scales (arXiv:2305.14314)
WORTH_QUANTISING = 100_000_000  # parameters
KEEPS_ALL = ("mpnet",)  # families whose blocks transformers cannot compute again
SEEN_AT_ONCE = 4096  # tokens of a batch without gradients


@dataclass(frozen=True, slots=True)
class Fitted:
    """How a method's step is made to fit.

    Attributes:
        train: the options of training that were changed for it.
        memory: of a step with them, the machine's factor applied to none of its parts.
        bytes: predicted peak, with the machine's factor and the process itself.
        fits: whether that is within what may be used.
        told: what was changed and why; where nothing helps, what would.
        layers: how many of the last blocks train, where `freeze` had to train fewer.
        slower: times the time that the changes take, the last sentence of `told`; None where
            nothing was changed or nobody knows.
    """

    train: dict[str, Any]
    memory: Memory
    bytes: int
    fits: bool
    told: tuple[str, ...] = ()
    layers: int | None = None
    slower: float | None = None


def fitted(facts: Facts, method: Method, count: Count, train: TrainOptions, copies: int) -> Fitted:
    """As decided where that fits, else the rung to take; the one of least memory where none fits.

    Args:
        count: what the method trains.
        train: options as decided.
        copies: of the trained weights that are kept beside them.
    """
    room = facts.hardware.memory
    asked = _rung(facts, method, count, copies, train, {})
    if asked.bytes <= room:
        return Fitted({}, asked.memory, asked.bytes, fits=True)
    rungs = [asked, *_rungs(facts, method, count, train, copies)]
    if found := chosen(rungs, room):
        price, said = (found.memory, found.bytes), told(found, asked, room)
        return Fitted(found.changed, *price, fits=True, told=said, slower=slower(found, asked))
    least = min(rungs, key=lambda one: one.bytes)
    if names(method) == ("freeze",) and (depth := freezing_depth(facts, train, copies)):
        return _less_deep(facts, depth, train, copies, asked, least.bytes)
    would = _what_would(facts, method, count, train, copies, rungs)
    return Fitted(least.changed, least.memory, least.bytes, fits=False, told=would)


def _less_deep(
    facts: Facts, depth: int, train: TrainOptions, copies: int, asked: Rung, least: int
) -> Fitted:
    """`freeze` with fewer blocks than it was to train, on its own first rung that fits.

    Args:
        asked: the step as decided.
        least: bytes of the smallest step with more blocks.
    """
    found = chosen(_frozen_rungs(facts, depth, train, copies), facts.hardware.memory)
    assert found is not None  # the depth was chosen so
    said = [f"{told_bytes(least)} at the least with more blocks: {_last(facts, depth)} fits."]
    times = None
    if found.changed:
        said += told(found, asked, facts.hardware.memory)
        times = slower(found, asked)
    return Fitted(found.changed, found.memory, found.bytes, True, tuple(said), depth, times)


def step_of(
    facts: Facts, method: Method, count: Count, train: TrainOptions, copies: int = 0
) -> Step:
    """The largest step of a fit, as the memory model takes it."""
    first, cached = count.lowest, method.needs_steps and train.cache_trunk
    longest = int(facts.lengths.max())
    rows = train.per_device_train_batch_size
    if not method.needs_steps:  # features alone, in the batches of evaluation
        first, rows = facts.shape.layers, max(1, min(64, SEEN_AT_ONCE // longest))
    share = facts.learned / max(1.0, float(facts.lengths.mean()))
    return Step(
        rows=rows,
        length=longest,
        trained=count.trained if method.needs_steps else 0,
        answers=int(rows * longest * share) if facts.writes else 0,
        attention=_kernel(facts),
        lowest_trained_block=first,
        copies=copies,
        cached_tokens=cached_states(
            facts.lengths, first if cached else 0, facts.shape.layers, facts.writes
        ),
        device=facts.hardware.device,
        **asked_of_step(method, train, facts.shape.width, facts.hardware.bf16, facts.writes),
    )


def _kernel(facts: Facts) -> Literal["eager", "sdpa"]:
    """The attention kernel: the user's, or what a run would choose.

    On a CPU runs choose now the one and now the other, so the one is told that holds more.
    """
    if facts.attention != "auto":
        return facts.attention
    if facts.hardware.device == "cpu":
        return "eager"
    return (facts.timings and facts.timings.attention) or "sdpa"


def asked_of_step(
    method: Method, train: TrainOptions, width: int, bf16: bool, writes: bool
) -> dict[str, Any]:
    """What method and options alone say of a step, whether it is planned or at work.

    Args:
        width: of the model's states.
        bf16: whether the machine computes in bfloat16.
        writes: whether a language model learns to write.
    """
    parts = method.parts()
    own = {name: value for part in parts for name, value in part.model_dump().items()}
    rounded = bf16 and writes and not method.needs_exact_base
    return {
        "parts": tuple(part.name for part in parts),
        "dtype": "bfloat16" if bf16 else "float32",
        "base_dtype": "bfloat16" if rounded else "float32",
        "checkpointing": train.gradient_checkpointing,
        "dropout": train.dropout or 0.0,
        "accumulation": train.gradient_accumulation_steps,
        "virtual_tokens": sum(getattr(part, "num_virtual_tokens", 0) for part in parts),
        "rank": own.get("lora_r", 8),
        "bottleneck": width // own["reduction_factor"] if "reduction_factor" in own else 0,
        "adapters": 2 if own.get("adapter_type") == "houlsby" else 1,
        "lora_dropout": own.get("lora_dropout", 0.0),
    }


def copies_of(options: TrainOptions, device: str) -> int:
    """Of the trained weights, beside them: the running mean, and in main memory the start and the
    best step's."""
    mean = bool(options.average_last)
    if device != "cpu":
        return mean
    return mean + ((options.wise_ft_alpha or 1) < 1) + bool(options.load_best_model_at_end)


def cached_states(lengths: np.ndarray, first: int, layers: int, writes: bool) -> int:
    """How many states are stored: of every token, and of a head alone one a row.

    Args:
        lengths: (rows,) tokens.
        first: the lowest block that is trained; 0 stores none.
        layers: how many blocks there are.
        writes: whether a language model learns to write.
    """
    if first == 0:
        return 0
    return len(lengths) if first == layers and not writes else int(lengths.sum())


def _price(facts: Facts, step: Step) -> tuple[Memory, int]:
    """The memory of a step, and its peak as this machine has it."""
    memory = predict(facts.shape, step)
    process = memory.process if facts.hardware.device == "cpu" else 0
    return memory, memory.at(facts.hardware.factor) + process


def _rungs(
    facts: Facts, method: Method, count: Count, train: TrainOptions, copies: int
) -> list[Rung]:
    """Every other way to take the step, with its price."""
    if not method.needs_steps:
        return []
    caches = train.cache_trunk and count.lowest > 0 and facts.hardware.device == "cpu"
    found = ways(train, _recomputes(facts, method), caches)
    return [_rung(facts, method, count, copies, train, changed) for changed in found]


def _rung(
    facts: Facts,
    method: Method,
    count: Count,
    copies: int,
    train: TrainOptions,
    changed: dict[str, Any],
) -> Rung:
    options = train.model_copy(update=changed)
    price = _price(facts, step_of(facts, method, count, options, copies))
    return Rung(options, changed, *price, time=partial(_seconds, facts, method, count))


def _seconds(facts: Facts, method: Method, count: Count, train: TrainOptions) -> float | None:
    """Of a whole fit; None where nobody knows."""
    if facts.timings is None:
        return None
    return seconds_of(method, count, facts.shape, work_of(facts, train), facts.timings).total


def _recomputes(facts: Facts, method: Method) -> bool:
    """Whether activations can be computed twice, as `models.modes` will find."""
    prefix = any(not getattr(part, "in_sequence", True) for part in method.parts())
    return not prefix and facts.shape.family not in KEEPS_ALL


def _what_would(
    facts: Facts,
    method: Method,
    count: Count,
    train: TrainOptions,
    copies: int,
    rungs: Sequence[Rung],
) -> tuple[str, ...]:
    """What would make it fit, where no rung does."""
    room, least = facts.hardware.memory, min(one.bytes for one in rungs)
    said = [f"{told_bytes(least)} at the least and {told_bytes(room)} may be used."]
    if "full" in names(method) and (depth := freezing_depth(facts, train, copies)):
        last = _last(facts, depth)
        return (*said, f"{last[0].upper()}{last[1:]} fits: `freeze` with --layers {depth}.")
    said.append(f"It would fit into {_round_up(least)}.")
    if "full" not in names(method) and facts.parameters >= WORTH_QUANTISING:
        steps = [step_of(facts, method, count, one.train, copies) for one in rungs]
        needed = min(quantised(facts, step) for step in steps)
        fits = "only such a one fits" if needed <= room else "which does not fit either"
        said.append(
            f"With a base quantised to 4 bits it would take {told_bytes(needed)}: {fits}, and "
            "fewtune does not train on quantised bases."
        )
    return tuple(said)


def freezing_depth(facts: Facts, train: TrainOptions, copies: int = 0) -> int:
    """How many of the last blocks can train, on whatever rung; 0 where not even one can.

    Args:
        train: options as decided.
    """
    for depth in range(facts.shape.layers - 1, 0, -1):
        rungs = _frozen_rungs(facts, depth, train, copies)
        if any(one.bytes <= facts.hardware.memory for one in rungs):
            return depth
    return 0


def frozen_count(facts: Facts, depth: int) -> Count:
    """What `freeze` trains with so many of the last blocks."""
    shape = facts.shape
    head = (facts.classes or 0) * (shape.width + 1)
    after = shape.after_parameters if shape.causal else 0  # an encoder's pooler is not used
    trained = depth * shape.block_parameters + after + head
    return Count(trained, facts.parameters + head, shape.layers - depth)


def _frozen_rungs(facts: Facts, depth: int, train: TrainOptions, copies: int) -> list[Rung]:
    """Every way to train so many of the last blocks."""
    from fewtune.methods.freeze import Freeze

    method, count = Freeze(layers=depth), frozen_count(facts, depth)
    asked = _rung(facts, method, count, copies, train, {})
    return [asked, *_rungs(facts, method, count, train, copies)]


def quantised(facts: Facts, step: Step) -> int:
    """Peak with the frozen blocks in 4 bits, loaded as such."""
    shape = facts.shape
    memory = predict(shape, replace(step, base_dtype="bfloat16"))
    frozen = shape.layers * shape.block_matrices
    held = 2 if step.dtype == "bfloat16" else 4
    small = replace(memory, weights=int(memory.weights - (held - FOUR_BITS) * frozen), loading=0)
    process = memory.process if facts.hardware.device == "cpu" else 0
    return small.at(facts.hardware.factor) + process


def names(method: Method) -> tuple[str, ...]:
    """Of a method's parts."""
    return tuple(part.name for part in method.parts())


def _round_up(size: int) -> str:
    if size < 2**30:
        return f"{-(-size // 2**20)} MiB"
    return f"{-(-size // 2**30)} GiB"


def _last(facts: Facts, depth: int) -> str:
    which = "block" if depth == 1 else f"{depth} blocks"
    return f"training the last {which} of {facts.shape.layers}"
