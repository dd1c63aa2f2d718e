"""Clocks of the wall and of the processor, and what other programs take meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter, process_time

#: Seconds by two clocks: the wall's and the processor's.
Clocked = list[float]


def clocks() -> Clocked:
    """The wall's clock, and the seconds of the processor: of all threads, over their number."""
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return [perf_counter(), process_time() / torch.get_num_threads()]


def timed(do: Callable[[], object]) -> Clocked:
    """What something takes."""
    begun = clocks()
    do()
    return between(begun, clocks())


def between(begun: Clocked, ended: Clocked) -> Clocked:
    """From one reading to another."""
    return [end - start for start, end in zip(begun, ended, strict=True)]


def least(timed: Sequence[Clocked]) -> Clocked:
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
