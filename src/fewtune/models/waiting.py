"""How idle threads wait, said before torch is imported (this file does not import it)."""

from __future__ import annotations

import os
from pathlib import Path
from time import sleep

BUSY = 0.25  # share of all cores that others use
MOMENT = 0.1  # seconds
STAT = Path("/proc/stat")


def wait_as_the_machine_allows() -> None:
    """Let threads that wait for one another spin briefly, or sleep where others need the cores.

    Torch's threads meet at the end of every operation. A MiniLM fine-tuning took 15.0 s with
    threads that spin for long, 15.5 s with 20,000 turns, 23 s with sleeping ones, on a quiet
    machine; where another program had one of the cores, a step took 700 to 2,300 ms, 390 to 750 ms
    and 190 to 210 ms (docs/log.md). The user's own settings win.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    if _others_share() > BUSY:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        os.environ.setdefault("KMP_BLOCKTIME", "0")


def _others_share() -> float:
    """The share of all cores in use for a moment in which this process sleeps; 0 off Linux."""
    if not STAT.exists():
        return 0.0
    before = _times()
    sleep(MOMENT)
    idle, total = (after - start for after, start in zip(_times(), before, strict=True))
    return 1 - idle / total if total else 0.0


def _times() -> tuple[int, int]:
    """Idle and all ticks of all cores since the start."""
    ticks = [int(word) for word in STAT.read_text().split("\n", 1)[0].split()[1:]]
    return ticks[3] + ticks[4], sum(ticks)
