"""How much memory this process holds, and the most that it held."""

from __future__ import annotations

import re
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

SELF = Path("/proc/self")
RESET = "5"  # to clear_refs: the highest mark of resident memory begins anew (Linux, proc(5))

_highest = {"cpu": 0, "cuda": 0}  # bytes before the mark began anew


def resident() -> int:
    """Bytes that this process holds in memory; 0 where the system does not tell."""
    try:
        pages = int((SELF / "statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * resource.getpagesize()


def forget_peak() -> None:
    """Let the peak begin anew, for what is measured next; `highest` still knows the old one."""
    _highest["cpu"] = max(_highest["cpu"], _mark())
    with suppress(OSError):  # elsewhere the mark stays, and a later peak may be an earlier one's
        (SELF / "clear_refs").write_text(RESET, encoding="ascii")
    if cuda := _cuda():
        _highest["cuda"] = max(_highest["cuda"], cuda.max_memory_allocated())
        cuda.reset_peak_memory_stats()


def peak() -> int:
    """Most bytes since `forget_peak`: on the GPU where it is used, else resident."""
    if (cuda := _cuda()) and cuda.max_memory_allocated():
        return int(cuda.max_memory_allocated())
    return _mark()


def highest() -> int:
    """Most bytes since the process began: on the GPU where it is used, else resident."""
    cuda = _cuda()
    if most := max(_highest["cuda"], cuda.max_memory_allocated() if cuda else 0):
        return most
    return max(_highest["cpu"], _mark())


def on_gpu() -> int:
    """Bytes of this process's tensors on the GPU; 0 where it uses none."""
    cuda = _cuda()
    return int(cuda.memory_allocated()) if cuda else 0


def _mark() -> int:
    """The highest mark of this program; where the system tells none, of who started it too.

    `ru_maxrss` outlives an exec, so a large parent's peak would be its child's, and it does not
    begin anew.
    """
    with suppress(OSError):
        status = (SELF / "status").read_text(encoding="utf-8", errors="replace")
        if told := re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE):
            return int(told[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _cuda() -> Any:
    """CUDA where this process uses it already: to ask would set it up, and that takes memory."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None
