"""How much memory this process holds, and the most that it held."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

SELF = Path("/proc/self")
RESET = "5"  # to clear_refs: the highest mark of resident memory begins anew (Linux, proc(5))

_highest = 0  # bytes before the mark began anew


def resident() -> int:
    """Bytes that this process holds in memory; 0 where the system does not tell."""
    try:
        pages = int((SELF / "statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * resource.getpagesize()


def forget_peak() -> None:
    """Let the peak begin anew, for what is measured next; `highest` still knows the old one."""
    global _highest
    _highest = max(_highest, _mark())
    with suppress(OSError):  # elsewhere the mark stays, and a later peak may be an earlier one's
        (SELF / "clear_refs").write_text(RESET, encoding="ascii")
    if cuda := _cuda():
        cuda.reset_peak_memory_stats()


def peak() -> int:
    """Most bytes since `forget_peak`: on the GPU where it is used, else resident."""
    if (cuda := _cuda()) and cuda.max_memory_allocated():
        return int(cuda.max_memory_allocated())
    return _mark()


def highest() -> int:
    """Most resident bytes since the process began."""
    return max(_highest, _mark())


def _mark() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _cuda() -> Any:
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_available() else None
