"""What the steps of a model take on this machine: rehearsed on a slice, scaled to the whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fewtune.choose.cost import (
    ADDED,
    ALL,
    FORWARD,
    OPTIMISER_BYTES,
    Timings,
    computed,
    fitted_curve,
)
from fewtune.models.ladder import RanOut, attempt
from fewtune.trials.clocks import Watch, least, timed
from fewtune.trials.kept import kept
from fewtune.trials.rehearsal import (
    Rehearsal,
    machine_of,
    optimiser_seconds,
    planned,
    rehearsed,
    too_much,
)

if TYPE_CHECKING:
    from fewtune.choose.facts import Hardware
    from fewtune.models.device import Machine
    from fewtune.models.shape import Shape
    from fewtune.models.source import Source

FORMAT = 4  # of what is kept; another one is timed anew
BUSY = 0.25  # share of the machine that others use, from which timings are theirs too
BUSY_LASTS = 86_400.0  # seconds that such timings are kept
BANDWIDTH = 1.5e10  # bytes a second of main memory, where no step was timed
ASSUMED, ASSUMED_BANDWIDTH = 4e13, 5e11  # of a GPU that is not here
#: Seconds of a block's forward pass on such a card, however few the rows: some 30 kernels, which
#: Python and the driver take about 10 microseconds each to start. Small models wait for nothing
#: else, so without it every method of theirs would take the same.
ASSUMED_BLOCK = 3e-4
ASSUMPTION = (
    "the device is not in this machine: 40 TFLOP/s are assumed, what a card with about 100 in "
    f"bfloat16 reaches in training, and {1e3 * ASSUMED_BLOCK:g} ms beside for a block's forward "
    "pass; trust the ratios."
)
EFFICIENCY = 0.4  # of the rate of large matrix products, that training reaches (docs/log.md)


def time_steps(
    source: Source,
    shape: Shape,
    speaks: bool,
    hardware: Hardware,
    lengths: np.ndarray,
    again: bool = False,
) -> Timings:
    """Timings of a model, for texts of such lengths.

    Args:
        speaks: whether it learns to write.
        hardware: this machine's, or one that is not here.
        lengths: (rows,) tokens of the training rows.
        again: measure, whatever is kept.
    """
    if not hardware.here:
        fixed = ASSUMED_BLOCK * shape.layers
        return computed(ASSUMED, ASSUMED_BANDWIDTH, "assumed", ASSUMPTION, fixed)
    where = _where(hardware)
    plan = planned(source, shape, speaks, hardware, lengths)
    if plan is None:
        return _by_rate(hardware, where, too_much(shape, hardware), again)
    key = (*where, _identity(source), speaks, plan.depth, plan.rows, plan.lengths)
    found = _or_none(lambda: kept("steps", key, lambda: observed(plan), again, _lasts))
    if found is None:
        return _by_rate(hardware, where, "memory ran out while steps were timed", again)
    floor = 0.0
    if hardware.device == "cuda":
        rate = kept("rates", where, lambda: measured_rate(machine_of(hardware)), again)
        floor = 1 / rate
    return scaled(plan, found, floor)


def _by_rate(hardware: Hardware, where: tuple[object, ...], why: str, again: bool) -> Timings:
    """Timings from the machine's rate alone, and the reason for it."""
    rate = kept("rates", where, lambda: measured_rate(machine_of(hardware)), again)
    note = (
        f"computed from this machine's {rate / 1e9:,.0f} GFLOP/s in matrix products, of which "
        f"training reaches about {EFFICIENCY:.0%}: {why}."
    )
    return computed(EFFICIENCY * rate, _bandwidth(hardware, where, again), "computed", note)


def _or_none(work: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """What was found; None where memory ran out for it."""
    with suppress(RanOut):
        if done := attempt(work):
            return done[0]
    return None


def observed(plan: Rehearsal) -> dict[str, Any]:
    """What was rehearsed, and the share of the machine that others used meanwhile."""
    watch = Watch()
    return rehearsed(plan) | {"others": watch.others()}


def _lasts(found: dict[str, Any]) -> float | None:
    return BUSY_LASTS if found["others"] > BUSY else None


def measured_rate(machine: Machine) -> float:
    """Operations a second in large matrix products, in the precision of training."""
    import torch

    dtype = torch.bfloat16 if machine.bf16 else torch.float32
    size = 4096 if machine.device == "cuda" else 1024
    one = torch.randn(size, size, device=machine.device).to(dtype)
    best = least([timed(lambda: one @ one) for _ in range(20)])
    return 2 * size**3 / best[0]


def _bandwidth(hardware: Hardware, where: tuple[object, ...], again: bool) -> float:
    """Bytes a second that the optimiser moves, where no step was timed; a GPU's differ too much."""
    if hardware.device == "cpu":
        return BANDWIDTH
    each = kept("optimiser", where, lambda: optimiser_seconds(machine_of(hardware)), again)
    return OPTIMISER_BYTES / each[0]


def scaled(plan: Rehearsal, found: dict[str, Any], floor: float = 0.0) -> Timings:
    """Curves of the whole model from the seconds of its slice.

    Args:
        floor: seconds of an operation at the least, as `fitted_curve` takes them.
    """
    scale = plan.shape.layers / plan.depth
    busy = found["others"] > BUSY and plan.hardware.device == "cpu"
    clock = int(busy)  # what others take away is not in the processor's seconds

    def curve(kind: str, passes: float, aside: float = 0.0) -> Any:
        points = [
            (plan.work(length, passes), max(1e-6, seconds[clock] - aside))
            for length, seconds in zip(plan.lengths, found[kind], strict=True)
        ]
        line = fitted_curve(points, floor)
        return replace(line, fixed=line.fixed * scale)

    each = found["optimiser"][clock]
    blocks = "its blocks" if plan.depth == plan.shape.layers else f"{plan.depth} of its blocks"
    note = (
        f"from steps timed on this machine (batches of {plan.rows} by {plan.lengths[0]} and "
        f"{plan.lengths[1]} tokens through {blocks}, {found['attention']} attention); --again "
        "times anew."
    )
    if busy:
        note += (
            f" Other programs used {found['others']:.0%} of the machine meanwhile; the times are "
            "those of a quiet one."
        )
    return Timings(
        forward=curve("forward", FORWARD),
        full=curve("full", ALL, each * found["full_trained"]),
        adapter=curve("adapter", ADDED - 1 / plan.depth, each * found["adapter_trained"]),
        lora=curve("lora", ADDED, each * found["lora_trained"]),
        optimiser=each,
        how="measured",
        note=note,
        attention=found["attention"],
    )


def _identity(source: Source) -> str:
    from fewtune.base.files import fingerprint

    return fingerprint(source.folder / "config.json")


def _where(hardware: Hardware) -> tuple[object, ...]:
    """What tells one machine, and one precision, from another."""
    from importlib.metadata import version

    threads = os.environ.get("OMP_NUM_THREADS") or hardware.cores
    where = (FORMAT, hardware.cpu, threads, hardware.gpus, hardware.device, hardware.bf16)
    return (*where, version("torch"), version("transformers"))
