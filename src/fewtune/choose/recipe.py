"""A fit's numbers: what the user gave, else the measured default for method and size of data."""

from __future__ import annotations

import math

from fewtune.base.errors import UsageError
from fewtune.methods.base import Budget, Method
from fewtune.train.options import TrainOptions
from fewtune.train.order import steps_per_epoch
from fewtune.train.recipe import Recipe, Usual

SMALL = 1000  # rows; below, the end of training is averaged and no accuracy stops it
SNAPSHOTS = 5


def decide(
    method: Method,
    options: TrainOptions,
    rows: int,
    has_valid: bool,
    width: int | None = None,
    whole: int | None = None,
) -> Recipe:
    """Fill in what was not given.

    Args:
        rows: training rows.
        has_valid: whether there are validation rows to watch.
        width: of the language model that learns to write; None for a classifier.
        whole: training rows of the run where this fit has a part of them, or made ones too: what
            folds choose and calibrate must end as the final fit does.

    Raises:
        UsageError: early stopping without anything to watch.
    """
    if (options.early_stopping_patience or options.load_best_model_at_end) and not has_valid:
        raise UsageError(
            "early stopping and the best step need validation rows; give --valid FILE or "
            "--valid_share 0.1, or leave them out."
        )
    budget, reasons = _budget(method, rows, width), []
    per_epoch = steps_per_epoch(
        rows, options.per_device_train_batch_size, options.gradient_accumulation_steps
    )
    epochs, why = _passes(budget, method, rows, per_epoch, width)
    usual = Usual(rows, epochs, _steps(epochs, per_epoch))
    if options.max_steps is None and options.num_train_epochs is None:
        reasons.append(why)
    steps = options.max_steps or _steps(options.num_train_epochs or epochs, per_epoch)
    parts = {
        part.name: options.learning_rate or _budget(part, rows, width).learning_rate
        for part in method.parts()
    }
    if options.learning_rate is None:
        told = ", ".join(f"{rate:g} for `{name}`" for name, rate in parts.items())
        why = "the measured default" if width is None else f"for a model of width {width:,}"
        reasons.append(f"learning rate {told}: {why}.")
    head = options.head_learning_rate or 10 * (options.learning_rate or 0)
    best = options.load_best_model_at_end
    if best is None:
        best = options.early_stopping_patience is not None
    average, alpha, ending = _ending(method, options, whole or rows, best, width)
    filled = options.model_copy(
        update={
            "average_last": average,
            "load_best_model_at_end": best,
            "max_steps": steps,
            "wise_ft_alpha": alpha,
        }
    )
    reasons += ending
    return Recipe(filled, steps, head or budget.head_learning_rate, parts, tuple(reasons), usual)


def _ending(
    method: Method, options: TrainOptions, rows: int, best: bool, width: int | None
) -> tuple[int, float, list[str]]:
    """Which weights are kept: of how many points the mean, and how far along; with the reasons."""
    average, alpha, reasons = options.average_last, options.wise_ft_alpha, []
    if average is None:
        average = SNAPSHOTS if rows < SMALL and not best else 0
        if average:
            reasons.append(
                f"the weights of {average} points in the last fifth are averaged: {rows:,} rows "
                "are too few to tell a best step from a lucky one."
            )
    if alpha is None:
        alpha = _alpha(method, options) if rows < SMALL and not best and width is None else 1.0
        if alpha < 1:
            reasons.append(
                f"the final weights lie at {alpha:g} of the way from the start to the trained "
                "ones (WiSE-FT), measured on folds of four data sets."
            )
    return average, alpha, reasons


def _budget(method: Method, rows: int, width: int | None) -> Budget:
    """Rate and passes for labels, or for answers."""
    return method.budget(rows) if width is None else method.answer_budget(rows, width)


def _passes(
    budget: Budget, method: Method, rows: int, per_epoch: int, width: int | None
) -> tuple[float, str]:
    """How many passes where nobody says, and why."""
    epochs, least = budget.epochs, budget.least_steps
    if epochs * per_epoch < least:
        epochs, why = least / per_epoch, f"{least} steps, the least of `{method.spell()}`"
    else:
        why = f"the {'measured ' if width is None else ''}default of `{method.spell()}`"
    return epochs, f"{epochs:.3g} epochs: {why} for {rows:,} rows."


def _steps(epochs: float, per_epoch: int) -> int:
    """Optimiser steps of so many passes."""
    # rounded first: 2.2 * 25 is a little more than 55 to a computer
    return max(1, math.ceil(round(epochs * per_epoch, 6)))


def _alpha(method: Method, options: TrainOptions) -> float:
    """The parts' own; none from rates that were not ours, nor back to a head that knows nothing."""
    if options.learning_rate is not None or options.start_head != "probe":
        return 1.0
    return max(part.alpha for part in method.parts())


def too_cautious(
    method: Method, options: TrainOptions, rows: int, width: int | None = None
) -> str | None:
    """A sentence where the given rate is far below what was measured for the method."""
    usual = _budget(method, rows, width).learning_rate
    given = options.learning_rate
    if given is None or given > usual / 3 or not method.needs_steps:
        return None
    return (
        f"learning_rate {given:g} is {usual / given:.0f} times below the {usual:.2g} that suits "
        f"`{method.spell()}` at this size; expect too little to be learned."
    )
