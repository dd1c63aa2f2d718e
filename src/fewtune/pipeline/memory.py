"""The memory of a run's fit: told beforehand, measured while it trains, both written down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fewtune.base.errors import UsageError
from fewtune.base.events import Event
from fewtune.choose.facts import Hardware
from fewtune.choose.fit import asked_of_step, cached_states, copies_of
from fewtune.choose.memory import Memory, Step, predict
from fewtune.models.footprint import forget_peak, peak, resident
from fewtune.models.shape import Shape, shape_of
from fewtune.record.footprint import Footprint
from fewtune.train.options import TrainOptions

if TYPE_CHECKING:
    from fewtune.models.batches import Encoded
    from fewtune.pipeline.run import Run
    from fewtune.train.candidate import Candidate
    from fewtune.train.recipe import Recipe


def footprint(
    run: Run, candidate: Candidate, rows: Encoded, recipe: Recipe, events: Iterable[Event]
) -> Iterator[Event]:
    """A fit's events, handed on; afterwards the run knows what it took beside what was told.

    Args:
        candidate: attached, not yet fitted.
        rows: that it learns.
    """
    expected, before = _expected(run, candidate, rows, recipe), _without(candidate)
    forget_peak()
    yield from events
    bench = candidate.bench
    if expected is None:
        return
    found = Footprint(
        predicted=expected.as_json(),
        measured=max(0, peak() - before),
        device=bench.machine.device,
        limited=bench.model.budget is not None,
        rung=candidate.rung(recipe),
    )
    run.facts["memory"] = found.as_json()


def _without(candidate: Candidate) -> int:
    """What this process holds beside the model; on a GPU only the model is counted anyway."""
    from fewtune.models.device import trim

    if candidate.bench.machine.device != "cpu":
        return 0
    trim()  # what is free is no use of memory
    model = candidate.model
    tensors = {t.untyped_storage().data_ptr(): t for t in (*model.parameters(), *model.buffers())}
    return resident() - sum(t.untyped_storage().nbytes() for t in tensors.values())


def memory_of(run: Run) -> dict[str, Any]:
    """The block `memory` of the scores; empty where nothing was fitted."""
    return {"memory": run.facts["memory"]} if "memory" in run.facts else {}


def _expected(run: Run, candidate: Candidate, rows: Encoded, recipe: Recipe) -> Memory | None:
    """What the closed form says; None of a family whose shape nobody knows."""
    assert run.source is not None
    try:
        shape = shape_of(run.source.config)
    except UsageError:
        return None
    return predict(shape, step_of(candidate, rows, recipe.options, shape))


def step_of(candidate: Candidate, rows: Encoded, options: TrainOptions, shape: Shape) -> Step:
    """The largest step of a fit, of the model as it is attached."""
    from fewtune.models.parts import lowest_trained_block

    method, bench, model = candidate.method, candidate.bench, candidate.model
    learned = getattr(rows, "learned", None)  # of rows whose tokens are marked
    lowest = lowest_trained_block(model.backbone)
    cached = lowest if options.cache_trunk else 0
    size = min(options.per_device_train_batch_size, len(rows))
    return Step(
        rows=size,
        length=int(rows.lengths.max()),
        trained=candidate.counts()[0],
        answers=0 if learned is None else round(size * float(learned.mean())),
        attention=bench.chosen.get("attention", "eager"),
        lowest_trained_block=lowest,
        copies=copies_of(options, bench.machine.device),
        cached_tokens=cached_states(rows.lengths, cached, shape.layers, learned is not None),
        read_rows=min(64, len(rows)),
        device=bench.machine.device,  # type: ignore[arg-type]
        **asked_of_step(method, options, shape.width, bench.machine.bf16, learned is not None),
    )


def with_factor(hardware: Hardware) -> Hardware:
    """The machine with what its past runs taught: a plan and a race weigh memory alike."""
    return replace(hardware, factor=machine_factor(hardware.device, limited=hardware.told))


def machine_factor(device: str, limited: bool) -> float:
    """What past runs took over what was told; 1 where none has said yet.

    They are those in `runs` of the current directory, and those that the cache remembers.
    """
    from fewtune.record.folder import RUNS
    from fewtune.record.footprint import factor

    return factor(RUNS, device, limited) or 1.0


def remember(run: Run) -> None:
    """Have later plans know what a finished run took, wherever its folder lies."""
    from fewtune.record.footprint import keep

    if told := memory_of(run).get("memory"):
        keep(told, run.folder.path)
