"""The learning curve of a run: after its race, where it is cheap."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fewtune.base.events import Event, tell
from fewtune.pipeline.run import Run

if TYPE_CHECKING:
    from fewtune.trials.race import Entrant, Kept, Outcome

CURVE = "learning_curve"  # in the plan; and the folder of its fits, in the run's
CHEAP = 30.0  # seconds that nobody minds
FITS = 2  # of the winner, that a curve may take in any case
INSTEAD = "probe"  # whose curve is told where the winner's is too dear


def learn_curve(
    run: Run,
    entrants: Sequence[Entrant],
    outcome: Outcome,
    folds: Sequence[np.ndarray],
    targets: np.ndarray,
    race: Kept,
) -> Generator[Event, None, None]:
    """Measure what more rows would bring and write it into the plan; a resume finds it there.

    The winner's curve, where its fits take no longer than two more folds of it or, within the
    race's budget, a moment; else that of the probe. Several labels a row have none.
    """
    if CURVE in run.chosen or not run.job.trials.learning_curve or targets.ndim > 1:
        return
    from fewtune.trials.fits import FitsOnDisk
    from fewtune.trials.learning_curve import LEAST, SHARES, measured, told

    once = _first_repeat(folds, len(targets))
    chosen = _affordable(outcome, run.chosen["race"]["budget"], len(once))
    if (len(targets) - len(once[0])) * SHARES[0] < LEAST:
        return
    entrant = next((one for one in entrants if one.name == chosen), None)
    if entrant is None:
        yield from _keep(run, {"points": [], "said": _TOO_DEAR})
        return
    kept = FitsOnDisk(run.folder.path / CURVE)
    curve = yield from measured(entrant, once, targets, race, kept, run.seed)
    found = told(curve, entrant.name, len(targets), run.seed)
    if chosen != outcome.winner:
        found["said"] += f" That of `{outcome.winner}` would have taken too long."
    yield from _keep(run, found)


_TOO_DEAR = "No learning curve was measured: its fits would have taken too long."


def _keep(run: Run, found: dict[str, Any]) -> Iterator[Event]:
    run.chosen[CURVE] = found
    run.folder.write_plan(run.folder.plan | {"chosen": dict(run.chosen)})
    yield tell("tried", what="learning curve", table=found["points"], kept=[found["said"]])


def _affordable(outcome: Outcome, budget: float, folds: int) -> str | None:
    """Whose curve is cheap: the winner's, else the probe's, else nobody's."""
    from fewtune.trials.learning_curve import cost

    seconds: Mapping[str, Any] = outcome.cost
    if outcome.winner not in seconds:
        return None
    left = budget - outcome.seconds
    most = max(FITS * seconds[outcome.winner], min(CHEAP, left))
    for name in (outcome.winner, INSTEAD):
        if name in seconds and cost(seconds[name], folds) <= most:
            return name
    return None


def _first_repeat(folds: Sequence[np.ndarray], rows: int) -> list[np.ndarray]:
    """The folds of the first repeat: every row in one."""
    once: list[np.ndarray] = []
    for held in folds:
        once.append(held)
        if sum(map(len, once)) == rows:
            break
    return once
