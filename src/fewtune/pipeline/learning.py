"""The learning curve of a run: after its race, where it is cheap."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fewtune.base.events import Event, tell
from fewtune.data.holdout import first_repeat
from fewtune.evaluate.answers import Likelihood, Sums, boiled
from fewtune.pipeline.judge import sums_of
from fewtune.pipeline.run import Run
from fewtune.tasks.generate import Generate

if TYPE_CHECKING:
    from fewtune.models.batches import Marked
    from fewtune.pipeline.race import Raced
    from fewtune.trials.learning_curve import Curve, Heard
    from fewtune.trials.runners import Entrant, Kept, Outcome
    from fewtune.trials.smaller import Smaller

CURVE = "learning_curve"  # in the plan; and the folder of its fits, in the run's
CHEAP = 30.0  # seconds that nobody minds
FITS = 2  # of the winner, that a curve may take in any case
INSTEAD = "probe"  # whose curve is told where the winner's is too dear
#: The answers to some rows, (rows, ...), and their positions -> the score.
Scored = Callable[[np.ndarray, np.ndarray], Sums]

_TOO_DEAR = "No learning curve was measured: its fits would have taken too long."
_BROKEN = "No learning curve was measured: `{}` on fewer rows answered with what is no number."
_FAILED = "No learning curve was measured: `{}` on fewer rows failed: {}"


@dataclass(frozen=True)
class Ground:
    """What a curve of a run is measured on.

    Attributes:
        entrants: of the race; `outcome` its end, `race` where its fits are.
        folds: held-out positions of each, of one repeat.
        rows: how many positions there are; `count` tells how many rows some of them are.
        smaller: draws the smaller sets.
        metric: of `scored`.
        learned: rows that the final fit learns.
    """

    entrants: Sequence[Entrant]
    outcome: Outcome
    race: Kept
    folds: Sequence[np.ndarray]
    rows: int
    smaller: Smaller
    metric: str
    scored: Scored
    learned: int
    count: Callable[[np.ndarray], int] = len


def learn_curve(
    run: Run, entrants: Sequence[Entrant], raced: Raced, race: Kept
) -> Generator[Event, None, None]:
    """Measure what more labelled rows would bring and write it into the plan.

    The winner's curve, where there is time for its fits, else that of the probe. A `--budget` has
    what the race and the final fit leave of it; without one a curve takes no longer than two more
    folds, or a moment.
    """
    from fewtune.trials.smaller import of_targets

    if not _wanted(run):
        return
    targets = raced.targets
    once = raced.first_folds
    ground = Ground(
        entrants, raced.outcome, race, once, len(targets), of_targets(targets, run.seed),
        raced.task.primary, _labels(run, raced), len(targets),
    )  # fmt: skip
    chosen = affordable(raced.outcome, _time(run, raced.outcome, once), len(once))
    yield from _measure(run, ground, chosen)


def learn_curve_of_answers(
    run: Run, entrants: Sequence[Entrant], outcome: Outcome, folds: list[np.ndarray], rows: Marked,
    race: Kept,
) -> Generator[Event, None, None]:  # fmt: skip
    """The same of rows with answers: the loss of the winner.

    There is no cheap stand-in for it, so it is measured on as many folds as there is time for; on
    one it takes no longer than two more of the race's fits.
    """
    from fewtune.trials.smaller import of_owners

    if not _wanted(run):
        return
    owners = np.array(rows.rows)
    once = first_repeat(folds)
    seconds = outcome.cost.get(outcome.winner, np.inf)
    able = int(_time(run, outcome, once) // _cost(seconds, 1))
    some = once[:able]

    def count(positions: np.ndarray) -> int:
        return len(np.unique(owners[positions]))

    ground = Ground(
        entrants, outcome, race, some, len(rows), of_owners(owners, run.seed), Generate.primary,
        _losses_of(owners), len(np.unique(owners)), count,
    )  # fmt: skip
    measured_on = "" if len(some) == len(once) else _on_some(len(some), len(once))
    yield from _measure(run, ground, outcome.winner or None, measured_on)


def _on_some(folds: int, of: int) -> str:
    return f" It was measured on {folds} of {of} folds; all would have taken too long."


def _wanted(run: Run) -> bool:
    """A resumed run finds it in the plan."""
    return CURVE not in run.chosen and run.job.trials.learning_curve


def _measure(
    run: Run, ground: Ground, chosen: str | None, added: str = ""
) -> Generator[Event, None, None]:
    """The curve of a candidate, written down."""
    from fewtune.trials.fits import FitsOnDisk
    from fewtune.trials.learning_curve import LEAST, SHARES, measured, told

    held = ground.folds[0] if ground.folds else np.empty(0, dtype=np.int64)
    learned = np.setdiff1d(np.arange(ground.rows), held)
    if ground.count(learned) * SHARES[0] < LEAST:
        return
    entrant = next((one for one in ground.entrants if one.name == chosen), None)
    if entrant is None or not ground.folds:
        yield from _keep(run, {"points": [], "said": _TOO_DEAR})
        return
    kept = FitsOnDisk(run.folder.path / CURVE)
    heard = yield from measured(
        entrant, ground.folds, ground.rows, ground.smaller, ground.race, kept, ground.count
    )
    if heard.failed:
        yield from _keep(run, {"points": [], "said": _FAILED.format(entrant.name, heard.failed)})
        return
    if not all(np.isfinite(one).all() for one in heard.answers):
        yield from _keep(run, {"points": [], "said": _BROKEN.format(entrant.name)})
        return
    found = told(_curve(ground, heard), entrant.name, ground.learned, run.seed)
    if chosen != ground.outcome.winner:
        added += f" That of `{ground.outcome.winner}` would have taken too long."
    yield from _keep(run, found | {"said": found["said"] + added})


def _curve(ground: Ground, heard: Heard) -> Curve:
    from fewtune.trials.learning_curve import Curve

    scores = [ground.scored(answers, heard.held) for answers in heard.answers]
    return Curve(heard.sizes, scores, ground.metric)


def _keep(run: Run, found: dict[str, Any]) -> Iterator[Event]:
    run.chosen[CURVE] = found
    run.keep_plan()
    yield tell("tried", what="learning curve", table=found["points"], kept=[found["said"]])


def curve_of(run: Run) -> dict[str, Any]:
    """What `scores.json` has of it; nothing where there is none."""
    return {CURVE: run.chosen[CURVE]} if CURVE in run.chosen else {}


# ---- whose, and on which folds


def affordable(outcome: Outcome, most: float, folds: int) -> str | None:
    """Whose curve can be had in some seconds: the winner's, else the probe's, else nobody's."""
    seconds: Mapping[str, Any] = outcome.cost
    if outcome.winner not in seconds:
        return None
    for name in (outcome.winner, INSTEAD):
        if name in seconds and _cost(seconds[name], folds) <= most:
            return name
    return None


def _time(run: Run, outcome: Outcome, folds: Sequence[np.ndarray]) -> float:
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


def _cost(seconds: float, folds: int) -> float:
    from fewtune.trials.learning_curve import cost

    return cost(seconds, folds)


# ---- what answers are worth


def _labels(run: Run, raced: Raced) -> Scored:
    """Labels: the metric that decides, at thresholds that suit the answers of each size."""
    kind = run.job.trials.thresholds

    def scored(answers: np.ndarray, held: np.ndarray) -> Sums:
        truth, found = raced.targets[held], raced.judge.probabilities(answers, held)
        task = raced.task.decided_on(found, truth, kind)
        return sums_of(task, truth, task.answered(found))

    return scored


def _losses_of(owners: np.ndarray) -> Scored:
    """Answers: nats a token, all pieces of a row together."""

    def scored(answers: np.ndarray, held: np.ndarray) -> Sums:
        _, row = np.unique(owners[held], return_inverse=True)
        summed = np.zeros((row.max() + 1, answers.shape[1]))
        np.add.at(summed, row, answers)
        return boiled(likelihood=Likelihood(*summed.T))[Generate.primary]

    return scored
