"""Which attention kernel is faster here: measured once, then written into the plan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from time import perf_counter

import torch
from torch import nn

from fewtune.models.device import Machine, trim
from fewtune.models.ladder import attempt
from fewtune.models.tunable import Tunable

KERNELS = ("eager", "sdpa")
LEAN = "sdpa"  # holds no score of every token with every other
NEAR = 1.05  # times as slow: no reason to hold more
TOKENS = 512  # of a measured pass: rows share no attention, so more of them only take longer


def choose_attention(model: Tunable, machine: Machine, rows: int, tokens: int) -> str:
    """Time a forward and backward pass with each kernel and keep the faster one, or the one that
    holds less where they are about as fast.

    On CPU in bfloat16 the fused kernel's backward is slow (297 against 497 ms a step at 128 tokens
    on the machine of docs/log.md), in float32 and on CUDA it is fast; so it is measured.

    Args:
        model: prepared for training; its gradients are left empty.
        rows, tokens: shape of a typical batch.
    """
    rows = max(1, min(rows, TOKENS // tokens))
    seconds = {}
    for kernel in KERNELS:
        took = attempt(partial(_seconds, model, machine, kernel, rows, tokens))
        model.zero_grad(set_to_none=True)
        seconds[kernel] = took[0] if took else math.inf  # it does not fit
    trim()  # the eager kernel holds every score: more than a fit with the other will ever use
    best = faster(seconds)
    set_attention(model, best)
    return best


def faster(seconds: Mapping[str, float]) -> str:
    """The kernel to keep, by the seconds of each.

    A full fit of a model of 0.5 billion weights takes as long with either and 13,071 or 11,826 MiB
    (docs/log.md).

    >>> faster({"eager": 1.0, "sdpa": 1.04}), faster({"eager": 1.0, "sdpa": 1.06})
    ('sdpa', 'eager')
    """
    best = min(seconds, key=lambda kernel: seconds[kernel])
    return LEAN if seconds[LEAN] <= NEAR * seconds[best] else best


def set_attention(model: nn.Module, kernel: str) -> None:
    """Use a kernel in every part that has the choice."""
    for module in model.modules():
        if hasattr(module, "set_attn_implementation"):
            module.set_attn_implementation(kernel)  # type: ignore[operator]
            return


def _seconds(model: Tunable, machine: Machine, kernel: str, rows: int, tokens: int) -> float:
    set_attention(model, kernel)
    ids = torch.full((rows, tokens), 5, device=machine.device)
    mask = torch.ones_like(ids)
    mask[0, -1] = 0  # padding somewhere, as in real batches
    times = []
    for _ in range(3):  # the first warms up
        start = perf_counter()
        with machine.autocast():
            # not the head: it costs the same with each, and a language model's holds gigabytes
            states = model.features(ids, mask)
        if states.requires_grad:
            states.float().square().sum().backward()
        if machine.device == "cuda":
            torch.cuda.synchronize()
        times.append(perf_counter() - start)
        model.zero_grad(set_to_none=True)
    return min(times[1:])
