"""Ways to take the same step in less memory: smaller passes, then activations computed twice, then
frozen blocks run at every step instead of once.

All leave the effective batch as it is. Accumulated gradients stand beside the activations, so the
smallest pass is not always the smallest memory, and it pays the fixed cost of a pass each time;
with activations computed twice the whole batch is therefore tried first again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fewtune.base.amounts import told_bytes

if TYPE_CHECKING:
    from fewtune.choose.memory import Memory
    from fewtune.train.options import TrainOptions

SAME_TIME = 0.05  # share of the time below which a change of it is not worth a number


@dataclass(frozen=True)
class Rung:
    """One way, with its price.

    Attributes:
        train: options with it.
        changed: those of them that differ from what was decided.
        memory: of its step, and `bytes` the peak as this machine has it.
        time: finds out the seconds of the whole fit; None where nobody knows.
    """

    train: TrainOptions
    changed: dict[str, Any]
    memory: Memory
    bytes: int
    time: Callable[[TrainOptions], float | None]

    @cached_property
    def seconds(self) -> float | None:
        """Of the whole fit, found out when first asked for."""
        return self.time(self.train)

    def beaten_by(self, other: Rung) -> bool:
        """Whether another takes less memory and less time.

        Smaller passes never do: the time model has them faster where they pad less, which small
        matrix products do not keep.
        """
        rows, others = (one.train.per_device_train_batch_size for one in (self, other))
        if other.bytes >= self.bytes or others < rows or not self.seconds or not other.seconds:
            return False
        return other.seconds < self.seconds


def ways(train: TrainOptions, recomputes: bool, caches: bool) -> Iterator[dict[str, Any]]:
    """What to change, the most preferred way first.

    Args:
        train: as decided.
        recomputes: whether activations can be computed twice.
        caches: whether states of frozen blocks are kept, which can be left out.
    """
    whole, times = train.per_device_train_batch_size, train.gradient_accumulation_steps
    smaller: list[dict[str, Any]] = [
        {
            "per_device_train_batch_size": rows,
            "gradient_accumulation_steps": times * whole // rows,
        }
        for rows in range(whole // 2, 0, -1)
        if whole % rows == 0  # else the passes of a step would not make up the batch
    ]
    found = [{}, *smaller]
    if recomputes and not train.gradient_checkpointing:
        found += [{**one, "gradient_checkpointing": True} for one in found]
    yield from found[1:]  # the first changes nothing
    if caches:
        yield from ({**one, "cache_trunk": False} for one in found)


def chosen(rungs: Sequence[Rung], room: int) -> Rung | None:
    """The first rung that fits and that no other beats; None where none fits.

    Args:
        rungs: the most preferred first.
        room: bytes that may be used.
    """
    fit = [one for one in rungs if one.bytes <= room]
    return next((one for one in fit if not any(map(one.beaten_by, fit))), None)


def slower(rung: Rung, asked: Rung) -> float | None:
    """How many times the time of the step as decided a way takes; None where nobody knows."""
    return rung.seconds / asked.seconds if rung.seconds and asked.seconds else None


def told(rung: Rung, asked: Rung, room: int) -> tuple[str, ...]:
    """What was changed to fit, and in a sentence of its own what it costs where that is known.

    Args:
        asked: the step as decided.
        room: bytes that may be used.
    """
    said = []
    if "per_device_train_batch_size" in rung.changed:
        rows, times = (
            rung.train.per_device_train_batch_size,
            rung.train.gradient_accumulation_steps,
        )
        same = f"the same batch of {rows * times}"
        said.append(f"{_rows(rows)} in a pass and {times} passes in a step ({same})")
    if "gradient_checkpointing" in rung.changed:
        said.append("activations computed twice")
    if "cache_trunk" in rung.changed:
        said.append("frozen blocks run at every step instead of once")
    change = f"to fit into {told_bytes(room)}, {', and '.join(said)}."
    cost = slower(rung, asked)
    return (change,) if cost is None else (change, told_slower(cost, cost))


def told_slower(low: float, high: float) -> str:
    """What changes cost, as a sentence.

    >>> told_slower(1.31, 1.52)
    'That takes 1.3 to 1.5 times the time.'

    Args:
        low, high: times the time of the step as decided, of one method or of several.
    """
    if max(abs(low - 1), abs(high - 1)) < SAME_TIME:
        return "That takes about the same time."
    least, most = f"{low:.2g}", f"{high:.2g}"
    return f"That takes {least if least == most else f'{least} to {most}'} times the time."


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
