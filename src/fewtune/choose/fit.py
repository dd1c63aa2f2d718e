"""What fits into the memory: batch, accumulation, checkpointing and freezing depth, in that order.

The effective batch stays what it was: half the rows in a pass, twice the passes in a step. What
changes nothing in the result comes before what costs time, and that before what costs quality.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fewtune.base.amounts import told_bytes
from fewtune.choose.facts import Facts
from fewtune.choose.memory import Memory, Step, predict
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
    """

    train: dict[str, Any]
    memory: Memory
    bytes: int
    fits: bool
    told: tuple[str, ...] = ()
    layers: int | None = None


def fitted(facts: Facts, method: Method, count: Count, train: TrainOptions, copies: int) -> Fitted:
    """The first rung of the ladder that fits; the last one where none does.

    Args:
        count: what the method trains.
        train: options as decided.
        copies: of the trained weights that are kept beside them.
    """
    asked = _price(facts, step_of(facts, method, count, train, copies))
    if asked[1] <= facts.hardware.memory:
        return Fitted({}, *asked, fits=True)
    changed, best = {}, asked
    for changed in _rungs(facts, method, train):
        best = _price(
            facts, step_of(facts, method, count, train.model_copy(update=changed), copies)
        )
        if best[1] <= facts.hardware.memory:
            return Fitted(changed, *best, fits=True, told=(_changes(facts, train, changed),))
    small = train.model_copy(update=changed)
    if names(method) == ("freeze",) and (depth := freezing_depth(facts, small, copies)):
        step = _frozen_step(facts, depth, small, copies)
        less = f"{told_bytes(best[1])} at the least with more blocks: {_last(facts, depth)} fits."
        return Fitted(changed, *_price(facts, step), fits=True, told=(less,), layers=depth)
    told = _what_would(facts, method, count, small, copies, best[1])
    return Fitted(changed, *best, fits=False, told=told)


def step_of(
    facts: Facts, method: Method, count: Count, train: TrainOptions, copies: int = 0
) -> Step:
    """The largest step of a fit, as the memory model takes it."""
    first = count.lowest if train.cache_trunk and method.needs_steps else 0
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
        attention="sdpa" if facts.hardware.device == "cuda" else "eager",
        lowest_trained_block=first,
        copies=copies,
        cached_tokens=cached_states(
            facts.lengths, first if method.needs_steps else 0, facts.shape.layers, facts.writes
        ),
        device=facts.hardware.device,
        **asked_of_step(method, train, facts.shape.width, facts.hardware.bf16, facts.writes),
    )


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
    rounded = bf16 and writes and not any(part.saves_base for part in parts)
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
    return memory, int(memory.peak * facts.hardware.factor) + process


def _rungs(facts: Facts, method: Method, train: TrainOptions) -> Iterator[dict[str, Any]]:
    """Ever smaller passes, then activations computed twice, at the same effective batch."""
    if not method.needs_steps:
        return
    whole, times = train.per_device_train_batch_size, train.gradient_accumulation_steps
    changed: dict[str, Any] = {}
    for rows in range(whole // 2, 0, -1):
        if whole % rows:
            continue  # the passes of a step would not make up the batch
        changed = {
            "per_device_train_batch_size": rows,
            "gradient_accumulation_steps": times * whole // rows,
        }
        yield changed
    if not train.gradient_checkpointing and _recomputes(facts, method):
        yield changed | {"gradient_checkpointing": True}


def _recomputes(facts: Facts, method: Method) -> bool:
    """Whether activations can be computed twice, as `models.modes` will find."""
    prefix = any(not getattr(part, "in_sequence", True) for part in method.parts())
    return not prefix and facts.shape.family not in KEEPS_ALL


def _changes(facts: Facts, train: TrainOptions, changed: dict[str, Any]) -> str:
    """What was changed to fit, in one sentence."""
    small, said = train.model_copy(update=changed), []
    if "per_device_train_batch_size" in changed:
        rows, times = small.per_device_train_batch_size, small.gradient_accumulation_steps
        same = f"the same batch of {rows * times}"
        said.append(f"{_rows(rows)} in a pass and {times} passes in a step ({same})")
    if changed.get("gradient_checkpointing"):
        said.append("activations computed twice (a third more time)")
    return f"to fit into {told_bytes(facts.hardware.memory)}, {', and '.join(said)}."


def _what_would(
    facts: Facts, method: Method, count: Count, train: TrainOptions, copies: int, least: int
) -> tuple[str, ...]:
    """What would make it fit, where passes of one row, with checkpointing if it can be, do not."""
    room = facts.hardware.memory
    told = [f"{told_bytes(least)} at the least and {told_bytes(room)} may be used."]
    if "full" in names(method) and (depth := freezing_depth(facts, train, copies)):
        last = _last(facts, depth)
        return (*told, f"{last[0].upper()}{last[1:]} fits: `freeze` with --layers {depth}.")
    told.append(f"It would fit into {_round_up(least)}.")
    if "full" not in names(method) and facts.parameters >= WORTH_QUANTISING:
        needed = quantised(facts, step_of(facts, method, count, train, copies))
        fits = "only such a one fits" if needed <= room else "which does not fit either"
        told.append(
            f"With a base quantised to 4 bits it would take {told_bytes(needed)}: {fits}, and "
            "fewtune does not train on quantised bases."
        )
    return tuple(told)


def freezing_depth(facts: Facts, train: TrainOptions, copies: int = 0) -> int:
    """How many of the last blocks can train; 0 where not even one can.

    Args:
        train: the options of the last rung.
    """
    for depth in range(facts.shape.layers - 1, 0, -1):
        if _price(facts, _frozen_step(facts, depth, train, copies))[1] <= facts.hardware.memory:
            return depth
    return 0


def frozen_count(facts: Facts, depth: int) -> Count:
    """What `freeze` trains with so many of the last blocks."""
    shape = facts.shape
    head = (facts.classes or 0) * (shape.width + 1)
    after = shape.after_parameters if shape.causal else 0  # an encoder's pooler is not used
    trained = depth * shape.block_parameters + after + head
    return Count(trained, facts.parameters + head, shape.layers - depth)


def _frozen_step(facts: Facts, depth: int, train: TrainOptions, copies: int) -> Step:
    from fewtune.methods.freeze import Freeze

    return step_of(facts, Freeze(layers=depth), frozen_count(facts, depth), train, copies)


def quantised(facts: Facts, step: Step) -> int:
    """Peak with the frozen blocks in 4 bits, loaded as such."""
    shape = facts.shape
    memory = predict(shape, replace(step, base_dtype="bfloat16"))
    frozen = shape.layers * shape.block_matrices
    held = 2 if step.dtype == "bfloat16" else 4
    small = replace(memory, weights=int(memory.weights - (held - FOUR_BITS) * frozen), loading=0)
    process = memory.process if facts.hardware.device == "cpu" else 0
    return int(small.peak * facts.hardware.factor) + process


def names(method: Method) -> tuple[str, ...]:
    """Of a method's parts."""
    return tuple(part.name for part in method.parts())


def _round_up(size: int) -> str:
    if size < 2**30:
        return f"{-(-size // 2**20)} MiB"
    return f"{-(-size // 2**30)} GiB"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _last(facts: Facts, depth: int) -> str:
    which = "block" if depth == 1 else f"{depth} blocks"
    return f"training the last {which} of {facts.shape.layers}"
