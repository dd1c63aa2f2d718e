"""The training loop: ours, because it must resume exactly, reuse the cached trunk and accumulate
rightly (a step's gradient is the sum over its rows divided by the sum of their weights, however
they are cut into passes)."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn

from fewtune.base.errors import FewtuneError, Interrupted
from fewtune.base.events import Event, tell
from fewtune.methods.base import Prepared
from fewtune.models.device import Machine, frozen_in_bf16, placed
from fewtune.models.ladder import Ladder, attempt, look, needed, watched
from fewtune.models.parts import blocks_of, lowest_trained_block
from fewtune.models.weights import put_trained, trained_tensors
from fewtune.train.average import snapshot_steps, towards
from fewtune.train.checkpoint import (
    Progress,
    checkpoints_in,
    load_checkpoint,
    save_checkpoint,
)
from fewtune.train.moved import Start
from fewtune.train.optimiser import Rates, finish_gradients, make_optimiser, set_rates
from fewtune.train.options import TrainOptions
from fewtune.train.order import epoch_batches, steps_per_epoch
from fewtune.train.schedule import factor
from fewtune.train.tables import Tables
from fewtune.train.work import Work

SECONDS_BETWEEN_CHECKPOINTS = 60.0

Validate = Callable[[], dict[str, float]]


@dataclass(frozen=True)
class Fit:
    """All that one fit needs.

    Attributes:
        prepared: the model with what trains turned on.
        work: rows and loss.
        options: every number decided, no None where a number is needed.
        steps: optimiser steps.
        rates: peak learning rates.
        validate: scores on validation rows by metric name; None without such rows.
        better: +1 where the watched metric should rise, -1 where it should fall.
        folder: of the checkpoints.
        ladder: how far passes are cut because memory ran out.
    """

    prepared: Prepared
    work: Work
    options: TrainOptions
    steps: int
    rates: Rates
    machine: Machine
    seed: int
    folder: Path
    validate: Validate | None = None
    better: int = -1
    ladder: Ladder = field(default_factory=Ladder)

    @property
    def model(self) -> nn.Module:
        """The model."""
        return self.prepared.model

    @property
    def epoch_steps(self) -> int:
        """Optimiser steps in a pass."""
        options = self.options
        return steps_per_epoch(
            len(self.work.lengths),
            options.per_device_train_batch_size,
            options.gradient_accumulation_steps,
        )


def run_fit(fit: Fit) -> Iterator[Event]:
    """Train, telling every step; afterwards the model holds the chosen weights.

    Raises:
        FewtuneError: the loss is not a number; the sentence says the step and what to do.
        Interrupted: Ctrl-C; the step was finished and a checkpoint written.
    """
    model, options = fit.model, fit.options
    placed(model, fit.machine)
    fit.ladder.start(fit.prepared.model)
    start = trained_tensors(model) if (options.wise_ft_alpha or 1) < 1 else {}
    begin = Start.of(fit.prepared)
    optimiser = make_optimiser(fit.prepared, fit.rates, options, fit.machine.device)
    tables = Tables(model, fit.machine.device)
    progress = load_checkpoint(fit.folder, model, optimiser) or Progress()
    begun = saved = perf_counter()
    with (
        frozen_in_bf16(model, fit.machine),
        watched(fit.prepared.model),
        interruptions() as asked_to_stop,
    ):
        for batch in _batches(fit, progress):
            yield from _step(fit, optimiser, tables, progress, batch)
            if fit.validate and _due(fit, progress.step):
                yield from _validated(fit, progress)
            if asked_to_stop() or _save_now(fit, progress.step, saved):
                save_checkpoint(fit.folder, model, optimiser, progress)
                saved = perf_counter()
                yield tell("checkpoint", step=progress.step)
            if asked_to_stop():
                raise Interrupted(f"stopped after step {progress.step} of {fit.steps}, all saved.")
    if _out_of_patience(fit, progress):
        reason = f"{options.metric_for_best_model} has not improved since step "
        yield tell("stopped", step=progress.step, reason=f"{reason}{progress.best_step}")
    _choose_weights(fit, progress, start)
    model.eval()
    yield tell(
        "trained",
        steps=progress.step,
        seconds=perf_counter() - begun,
        tokens=progress.tokens,
        best_step=progress.best_step if progress.best_weights else None,
        averaged=progress.average.count,
        moved=begin.moved(optimiser),
    )


def _step(
    fit: Fit,
    optimiser: torch.optim.Optimizer,
    tables: Tables,
    progress: Progress,
    batches: list[np.ndarray],
) -> Iterator[Event]:
    """One optimiser step over the rows of several passes; in smaller ones where memory runs out."""
    begun, options, step = perf_counter(), fit.options, progress.step
    warmup = math.ceil(options.warmup_ratio * fit.steps)
    rate = factor(options.lr_scheduler_type, step, fit.steps, warmup)
    set_rates(optimiser, rate)
    _train_mode(fit)
    while not (summed := attempt(partial(_sum_gradients, fit, step, batches))):
        optimiser.zero_grad(set_to_none=True)
        yield from fit.ladder.down(fit.prepared.model, batches, step + 1)
    total, weight = summed[0]
    if not math.isfinite(total):
        _not_a_number(fit, step)
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    norm = finish_gradients(tables.gradients(parameters), weight, options.max_grad_norm)
    if not math.isfinite(norm):
        _not_a_number(fit, step)
    tables.spread(parameters)
    needed(optimiser.step, "the optimiser")
    optimiser.zero_grad(set_to_none=True)
    tables.clear()
    progress.step += 1
    progress.tokens += int(sum(fit.work.lengths[rows].sum() for rows in batches))
    if progress.step in snapshot_steps(fit.steps, options.average_last or 0):
        progress.average.add(fit.model)
    rows_done = sum(len(rows) for rows in batches)
    yield tell(
        "step",
        step=progress.step,
        steps=fit.steps,
        epoch=round(progress.step / fit.epoch_steps, 3),
        loss=total / weight,
        grad_norm=norm,
        learning_rate=rate * max(group["peak"] for group in optimiser.param_groups),
        rows_per_second=rows_done / (perf_counter() - begun),
    )


def _sum_gradients(fit: Fit, step: int, batches: list[np.ndarray]) -> tuple[float, float]:
    """Gradients of the rows' summed loss; gives that loss and the rows' summed weight."""
    _seed_noise(fit.seed, step)
    total, weight = 0.0, 0.0
    for rows in fit.ladder.cut(batches):
        loss, row_weight = fit.work.loss(rows)
        loss.backward()
        look()
        total, weight = total + loss.detach().item(), weight + row_weight.item()
    return total, weight


def _batches(fit: Fit, progress: Progress) -> Iterator[list[np.ndarray]]:
    """The passes of every step that is still to come; none once patience has run out."""
    options, per_epoch, done = fit.options, fit.epoch_steps, progress.step
    together = options.gradient_accumulation_steps
    for epoch in range(done // per_epoch, math.ceil(fit.steps / per_epoch)):
        order = epoch_batches(
            fit.work.lengths, options.per_device_train_batch_size, fit.seed, epoch
        )
        for at in range(per_epoch):
            if _out_of_patience(fit, progress):
                return
            if done <= epoch * per_epoch + at < fit.steps:
                yield order[at * together : (at + 1) * together]


def _train_mode(fit: Fit) -> None:
    """Dropout only where something trains: what is frozen computes the same at every step."""
    model = fit.prepared.model
    model.train()
    if lowest := lowest_trained_block(model.backbone):
        model.backbone.eval()  # the embeddings too, or a cached trunk would be another model
        for block in blocks_of(model.backbone)[lowest:]:
            block.train()


def _seed_noise(seed: int, step: int) -> None:
    """Dropout's noise is a function of seed and step, so a resumed run meets the same."""
    torch.manual_seed((seed * 1_000_003 + step + 1) % 2**63)


def _not_a_number(fit: Fit, step: int) -> None:
    last = checkpoints_in(fit.folder)
    good = f"the last good checkpoint is {last[-1].name}" if last else "there is no checkpoint yet"
    fastest = max(fit.rates.parts.values(), default=fit.rates.head)
    precision = " or --no-bf16" if fit.machine.bf16 else ""
    raise FewtuneError(
        f"the loss is not a number at step {step + 1} of {fit.steps}; {good}. "
        f"Try a learning_rate below {fastest:g}{precision}."
    )


def _due(fit: Fit, step: int) -> bool:
    every = fit.options.eval_steps or fit.epoch_steps
    return step % every == 0 or step == fit.steps


def _validated(fit: Fit, progress: Progress) -> Iterator[Event]:
    assert fit.validate
    scores = fit.validate()
    yield tell("validated", step=progress.step, scores=scores)
    value = scores[fit.options.metric_for_best_model]
    if progress.best is None or fit.better * (value - progress.best) > 0:
        progress.best, progress.best_step, progress.since_best = value, progress.step, 0
        if fit.options.load_best_model_at_end:
            progress.best_weights = trained_tensors(fit.model)
    else:
        progress.since_best += 1


def _save_now(fit: Fit, step: int, saved: float) -> bool:
    if fit.options.save_steps:
        return step % fit.options.save_steps == 0
    # By the clock: a resumed run is the same from wherever it goes on, and writing the optimiser
    # of a short run costs more than running it again.
    return perf_counter() - saved > SECONDS_BETWEEN_CHECKPOINTS


def _out_of_patience(fit: Fit, progress: Progress) -> bool:
    patience = fit.options.early_stopping_patience
    return patience is not None and progress.since_best >= patience


def _choose_weights(fit: Fit, progress: Progress, start: dict[str, Tensor]) -> None:
    """The best evaluation's weights where they are kept, else the mean of the last snapshots; then
    back towards the start, where there is one."""
    if progress.best_weights:
        put_trained(fit.model, progress.best_weights, "the best step's weights")
    elif progress.average.count > 1:
        put_trained(fit.model, progress.average.mean, "the averaged weights")
    if start:
        towards(fit.model, start, fit.options.wise_ft_alpha or 1.0)


@contextmanager
def interruptions() -> Iterator[Callable[[], bool]]:
    """Within, a first Ctrl-C only raises a flag, so that a step is never half done.

    A second one interrupts at once. Outside the main thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked = threading.Event()
    before = signal.getsignal(signal.SIGINT)

    def ask(*_: object) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
