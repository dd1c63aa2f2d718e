"""Where and in which precision to compute: found out, not assumed."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fewtune.base.errors import UsageError
from fewtune.models.ladder import needed

MADV_DONTNEED = 4  # Linux, madvise(2)


@dataclass(frozen=True, slots=True)
class Machine:
    """The device's name and the arithmetic: bfloat16 matrix products or float32 throughout."""

    device: str
    bf16: bool

    def autocast(self) -> AbstractContextManager:
        """Matrix products in bfloat16 where the machine is set to, everything else unchanged."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.bf16)

    def exactly(self) -> Machine:
        """The same device in float32."""
        return Machine(self.device, bf16=False)


def find_machine(device: str, bf16: bool | None) -> Machine:
    """Choose device and precision.

    Args:
        device: `auto`, `cpu` or `cuda`.
        bf16: True and False are obeyed; None asks the machine.

    Raises:
        UsageError: CUDA is asked for and there is none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("device: cuda was asked for and PyTorch finds none; use cpu or auto.")
    found = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    return Machine(found, _has_bf16(found) if bf16 is None else bf16)


def placed(model: nn.Module, machine: Machine) -> None:
    """Move a model to the machine's device; its weights can train afterwards, wherever this is
    called: moved within `inference_mode` they would be inference tensors for good.

    Raises:
        FewtuneError: the device has no room for it.
    """
    with torch.inference_mode(False):
        needed(partial(model.to, machine.device), "the model")


def _has_bf16(device: str) -> bool:
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & _cpu_flags())


@cache
def _cpu_flags() -> frozenset[str]:
    """The processor's features as Linux tells them; empty elsewhere, which means float32."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return frozenset()
    words = (
        line for line in info.read_text().splitlines() if line.startswith(("flags", "Features"))
    )
    return frozenset(next(words, "").split())


def keep_freed_memory() -> None:
    """Let glibc keep large freed blocks instead of giving them back at every step.

    A step frees and takes its activations and gradients anew; each time the kernel would zero the
    pages again (13 % of a MiniLM step, docs/log.md). Elsewhere than on glibc nothing happens.
    """
    _glibc(2**30, 2**31 - 1)


def give_freed_memory_back() -> None:
    """Let glibc give large freed blocks back at once: slower steps, and no more held than is used.

    Kept blocks fit later requests badly: up to glibc 2.37 an aligned one is not cut from a freed
    block of its own size, and MiniLM with LoRA held 1.9 times its tensors (docs/log.md).
    """
    _glibc(2**20, 2**17)


def trim() -> None:
    """Give back what is free now, whatever becomes of later blocks."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _glibc(map_from: int, trim_from: int) -> None:
    """Set from how many bytes blocks are mapped alone, and the heap's end is given back."""
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-3, map_from)  # M_MMAP_THRESHOLD
        mallopt(-1, trim_from)  # M_TRIM_THRESHOLD
    if trim_from < map_from:
        trim()


def threads() -> int:
    """Threads for CPU work: OMP_NUM_THREADS, else the cores this process may use."""
    if given := os.environ.get("OMP_NUM_THREADS", ""):
        return max(1, int(given.split(",")[0]))
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def frozen_in_bf16(model: nn.Module, machine: Machine) -> Iterator[None]:
    """Hold frozen matrices in bfloat16 for a while; afterwards they are what they were.

    Autocast rounds a float32 matrix to bfloat16 at every use. A frozen one rounds to the same
    numbers each time, so it is rounded once here: the same arithmetic, without the repeated copy.

    Raises:
        FewtuneError: there is no room for the rounded matrices.
    """
    if not machine.bf16:
        yield
        return
    kept = [(module, module.weight.data) for module in _frozen_matrices(model)]

    def rounded() -> None:
        for module, weight in kept:
            module.weight.data = weight.to(torch.bfloat16)

    try:
        needed(rounded, "the frozen weights in bfloat16")
        yield
    finally:
        for module, weight in kept:
            module.weight.data = weight


def round_frozen(model: nn.Module, machine: Machine) -> None:
    """Round frozen matrices to bfloat16 for good, where nobody needs them in float32 again.

    The arithmetic is that of `frozen_in_bf16`, without the float32 matrices beside.
    """
    if not machine.bf16:
        return
    times = Counter(p.data_ptr() for p in model.parameters())
    for module in _frozen_matrices(model):
        exact = module.weight.data
        module.weight.data = exact.to(torch.bfloat16)
        if times[exact.data_ptr()] == 1:
            _forget(exact)


def _forget(tensor: torch.Tensor) -> None:
    """Give back the pages of a tensor on the CPU that nobody reads again.

    Weights are mapped from their file, and what was read of it would stay resident as long as any
    tensor of the file lives: 1.4 GB of a 0.5B model whose matrices were rounded.
    """
    if tensor.device.type != "cpu" or not tensor.is_contiguous():
        return
    page = mmap.PAGESIZE
    first = -(-tensor.data_ptr() // page) * page  # whole pages only: others have neighbours
    size = (tensor.data_ptr() + tensor.nbytes) // page * page - first
    if size > 0:
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(size), MADV_DONTNEED)


def _frozen_matrices(model: nn.Module) -> list[Any]:
    """Linear layers (GPT-2's `Conv1D` is one) that do not train, but for the head.

    A head keeps float32: a new one computes in it, a language model's is the embeddings' too.
    Biases stay: autocast casts them at no cost.
    """
    return [
        module
        for module in model.modules()
        if (isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D")
        and not module.weight.requires_grad
        and module is not getattr(model, "head", None)
        and module.weight.dtype == torch.float32
    ]
