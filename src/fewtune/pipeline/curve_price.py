"""What a learning curve costs, what it may cost, and whose can be had for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from fewtune.choose.recipe import decide
from fewtune.pipeline.curve_ground import Ground
from fewtune.pipeline.run import Run

if TYPE_CHECKING:
    from fewtune.trials.runners import Outcome

CHEAP = 30.0  # seconds that nobody minds after a race
MOMENT = 5.0  # and after the shortest of fits
FITS = 2  # of the winner, that a curve may take in any case
INSTEAD = "probe"  # whose curve is told where the winner's is too dear


def affordable(
    own: str, prices: Mapping[str, float], most: float, folds: int
) -> tuple[str | None, int]:
    """Whose curve can be had in some seconds: its own, else the probe's, else nobody's.

    Args:
        own: the run's method.
        prices: seconds of a curve on one fold, by name.
        most: seconds that there are.
        folds: how many there are.

    Returns:
        The name, and on how many of the folds: all of them, or half at the least.
    """
    if own in prices:
        for name in (own, INSTEAD):
            some = min(folds, int(most // prices[name])) if name in prices else 0
            if 2 * some >= folds:
                return name, some
    return None, 0


def time_after(run: Run, outcome: Outcome, folds: Sequence[np.ndarray]) -> float:
    """How many seconds a curve may take.

    Args:
        folds: of one repeat; the final fit learns one part of so many more than each of theirs.
    """
    told, fit = run.chosen["race"], outcome.cost.get(outcome.winner, 0.0)
    return time_for(
        told["budget"] - outcome.seconds - fit * len(folds) / max(1, len(folds) - 1),
        fit,
        told["soft"],
    )


def time_for(left: float, fit: float, soft: bool) -> float:
    """The same of what race and final fit leave, by what a fold takes.

    Args:
        soft: nobody asked for the budget.

    >>> time_for(500.0, 20.0, soft=False), time_for(500.0, 20.0, soft=True)
    (500.0, 40.0)
    """
    return max(FITS * fit, min(CHEAP, left)) if soft else max(0.0, left)


def price(fit: float, shares: Sequence[float], whole: bool = False) -> float:
    """Seconds of a curve on one fold.

    Args:
        fit: seconds of a fit to all rows that the fold leaves.
        shares: of that time, which the fits to fewer rows take.
        whole: that fit is to be made too.
    """
    return fit * (sum(shares) + whole)


def row_shares(ground: Ground) -> list[float]:
    """What part of the rows that a fold learns each of the smaller sets has."""
    from fewtune.trials.learning_curve import sizes_of

    sizes = sizes_of(ground.folds, ground.rows, ground.smaller, ground.count)
    return (sizes[:-1] / sizes[-1]).tolist()


def step_shares(run: Run, ground: Ground) -> list[float]:
    """What part of the steps of the fit to all that a fold learns one to each smaller set takes.

    Few rows have more passes, and some methods a least number of steps.
    """
    if not run.method.needs_steps:
        return row_shares(ground)
    from fewtune.trials.folds import alone

    options, width = alone(run.job.train), run.answer_width
    learned = ground.rows - len(ground.folds[0])  # pieces of long texts are each one to a fit
    steps = [
        decide(run.method, options, round(share * learned), False, width).steps
        for share in (*row_shares(ground), 1)
    ]
    return [one / steps[-1] for one in steps[:-1]]


def time_alone(run: Run, folds: Sequence[np.ndarray]) -> tuple[float, float]:
    """Seconds that a fold's fit takes by the run's own, and that its curve may take."""
    spent = run.seconds["train"] + run.earlier  # of a resumed run too much, and never too little
    fit = spent * (1 - 1 / len(folds))
    so_far = max(MOMENT, perf_counter() - run.begun + run.earlier)
    return fit, min(so_far, time_for(np.inf, fit, soft=True))
