"""The machine that a plan is for: what is here, or what the user says of another."""

from __future__ import annotations

import re
from pathlib import Path

from fewtune.base.errors import UsageError
from fewtune.choose.facts import Device, Hardware
from fewtune.models.options import ModelOptions
from fewtune.record.environment import cpu, gpus, memory_bytes, usable_cores

#: One is there where /proc says nothing of the cards: in containers, and under Windows (WSL 2).
DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))


def hardware_of(options: ModelOptions, memory: int | None) -> Hardware:
    """What a run with these options would compute on.

    Args:
        memory: bytes that it may use; None for what is free.

    Raises:
        UsageError: a GPU is asked for that is not here, and nobody said how large it is.
    """
    cards, processor = gpus(), cpu()
    seen = cards or any(one.exists() for one in DRIVERS)  # else torch need not be loaded
    asked = options.device == "cuda" or (options.device == "auto" and seen)
    free_gpu, gpu_memory = _gpu_memory() if asked else (0, 0)
    device: Device = "cuda" if options.device == "cuda" or gpu_memory else "cpu"
    here = device == "cpu" or gpu_memory > 0
    if not here and memory is None:
        raise UsageError(
            "memory: there is no GPU in this machine, so say how much memory the one that is meant "
            "has, such as --memory 24GB."
        )
    ram = memory_bytes() or 0
    free = free_bytes() or ram
    own = free_gpu if device == "cuda" else free
    return Hardware(
        device=device,
        cores=usable_cores(),
        bf16=_bf16(device, here, bool(processor["bf16"])) if options.bf16 is None else options.bf16,
        memory=own if memory is None else memory,
        told=memory is not None,
        cpu=processor["model"],
        units=tuple(processor["bf16"]),
        ram=ram,
        free=free,
        gpus=tuple(cards) or _cards(gpu_memory),
        gpu_memory=gpu_memory,
        here=here,
    )


def _bf16(device: Device, here: bool, units: bool) -> bool:
    """Whether a run multiplies in bfloat16: of a card that is not here, that it is a recent one."""
    if device == "cpu":
        return units
    if not here:
        return True
    from fewtune.models.device import find_machine

    return find_machine(device, None).bf16


def free_bytes() -> int | None:
    """Main memory that nobody uses, as Linux tells it; at most what this process may have."""
    try:
        told = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(r"^MemAvailable:\s*(\d+) kB", told, re.MULTILINE)
    return min(int(found[1]) * 1024, memory_bytes() or 2**62) if found else None


def _gpu_memory() -> tuple[int, int]:
    """Free and all bytes of the first card; zeros where PyTorch cannot use it.

    What PyTorch keeps for later tensors is free for these.
    """
    import torch

    if not torch.cuda.is_available():
        return 0, 0
    free, whole = torch.cuda.mem_get_info()
    return free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated(), whole


def _cards(gpu_memory: int) -> tuple[str, ...]:
    """The first card's name, where only PyTorch knows it."""
    if not gpu_memory:
        return ()
    import torch

    return (torch.cuda.get_device_name(0),)
