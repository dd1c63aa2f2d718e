"""The ground of a learning curve: who is fitted, on which rows, and what its answers are worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fewtune.evaluate.answers import Likelihood, Sums, boiled
from fewtune.pipeline.judge import sums_of
from fewtune.pipeline.parted import units_of_rows
from fewtune.pipeline.run import Run
from fewtune.tasks.generate import Generate
from fewtune.tasks.labelled import Answered

if TYPE_CHECKING:
    from fewtune.data.row import Row
    from fewtune.models.batches import Marked
    from fewtune.tasks.labelled import Labelled
    from fewtune.trials.entrants import LabelJudge
    from fewtune.trials.learning_curve import Curve, Heard
    from fewtune.trials.runners import Entrant, Kept
    from fewtune.trials.smaller import Smaller

#: The answers to the rows of some folds, (rows, ...), and the folds' positions -> the score.
Scored = Callable[[np.ndarray, Sequence[np.ndarray]], Sums]

TOO_FEW = (
    "No learning curve was measured: a fold learns {:,} rows, and below {:,} it shows nothing."
)
TOO_ALIKE = (
    "No learning curve was measured: the classes are too small for a curve, for a row of each is "
    "already most of what a fold learns."
)


@dataclass(frozen=True)
class Ground:
    """What a curve of a run is measured on.

    Attributes:
        entrants: among whom is the one whose curve it is; `own` names the run's method.
        fits: where those to all rows of a fold are.
        folds: held-out positions of each, of one repeat.
        rows: how many positions there are; `count` tells how many rows some of them are.
        smaller: draws the smaller sets.
        metric: of `scored`.
        learned: rows that the final fit learns.
    """

    entrants: Sequence[Entrant]
    own: str
    fits: Kept
    folds: Sequence[np.ndarray]
    rows: int
    smaller: Smaller
    metric: str
    scored: Scored
    learned: int
    count: Callable[[np.ndarray], int] = len


def ground_of_labels(
    run: Run, entrants: Sequence[Entrant], own: str, fits: Kept, folds: Sequence[np.ndarray],
    task: Labelled, judge: LabelJudge,
) -> Ground:  # fmt: skip
    """Rows with labels."""
    from fewtune.trials.smaller import of_targets

    rows = len(judge.targets)
    return Ground(
        entrants, own, fits, folds, rows, of_targets(judge.targets, run.seed), task.primary,
        _labels(task, judge, run.job.trials.thresholds, run.data.train), rows,
    )  # fmt: skip


def ground_of_answers(
    run: Run, entrants: Sequence[Entrant], own: str, fits: Kept, folds: Sequence[np.ndarray],
    rows: Marked,
) -> Ground:  # fmt: skip
    """Rows with answers; a long one may be several positions."""
    from fewtune.trials.smaller import of_owners

    owners = np.array(rows.rows)

    def count(positions: np.ndarray) -> int:
        return len(np.unique(owners[positions]))

    return Ground(
        entrants, own, fits, folds, len(rows), of_owners(owners, run.seed), Generate.primary,
        _losses_of(owners, run.data.train), len(np.unique(owners)), count,
    )  # fmt: skip


def in_vain(ground: Ground) -> str:
    """Why the rows allow no curve; empty where they do."""
    from fewtune.trials.learning_curve import LEAST, SHARES, sizes_of, too_alike

    held = ground.folds[0] if len(ground.folds) else np.empty(0, dtype=np.int64)
    learned = ground.count(np.setdiff1d(np.arange(ground.rows), held))
    if learned * SHARES[0] < LEAST:
        return TOO_FEW.format(learned, round(LEAST / SHARES[0]))
    if not len(ground.folds):
        return ""
    sizes = sizes_of(ground.folds, ground.rows, ground.smaller, ground.count)
    return TOO_ALIKE if too_alike(sizes) else ""


def curve_on(ground: Ground, heard: Heard) -> Curve:
    """What the answers of each size are worth."""
    from fewtune.trials.learning_curve import Curve

    scores = [ground.scored(answers, ground.folds) for answers in heard.answers]
    return Curve(heard.sizes, scores, ground.metric)


# ---- what answers are worth


def _labels(task: Labelled, judge: LabelJudge, kind: str, rows: Sequence[Row]) -> Scored:
    """Labels: the metric that decides, at thresholds that suit the answers of each size."""

    def scored(answers: np.ndarray, folds: Sequence[np.ndarray]) -> Sums:
        held = np.concatenate(folds)
        truth, found = judge.targets[held], judge.probabilities(answers, held)
        answered = _unseen(task, found, truth, [len(one) for one in folds], kind)
        units = units_of_rows([rows[k] for k in held])
        return replace(sums_of(task, truth, answered), units=units)

    return scored


def _unseen(
    task: Labelled, found: np.ndarray, truth: np.ndarray, folds: Sequence[int], kind: str
) -> Answered:
    """What is answered by thresholds that have not seen the rows, as in the run's own scores.

    Those of a fold are chosen on the others, and of one fold those of a half on the other half.

    Args:
        found: probabilities, fold after fold, (rows, classes).
        truth: the targets.
        folds: how many rows each has.
    """
    part = np.repeat(np.arange(len(folds)), folds)
    if len(folds) < 2:
        part = np.random.default_rng(0).permutation(len(found)) % 2
    chosen = np.zeros(found.shape, dtype=bool)
    for one in np.unique(part):
        others = part != one
        decided = task.decided_on(found[others], truth[others], kind)
        chosen[~others] = decided.answered(found[~others]).chosen
    return Answered(found, chosen)


def _losses_of(owners: np.ndarray, rows: Sequence[Row]) -> Scored:
    """Answers: nats a token, all pieces of a row together."""

    def scored(answers: np.ndarray, folds: Sequence[np.ndarray]) -> Sums:
        asked, row = np.unique(owners[np.concatenate(folds)], return_inverse=True)
        summed = np.zeros((row.max() + 1, answers.shape[1]))
        np.add.at(summed, row, answers)
        units = units_of_rows([rows[k] for k in asked])
        return boiled(likelihood=Likelihood(*summed.T), units=units)[Generate.primary]

    return scored
