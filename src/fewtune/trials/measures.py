"""What ranks in a comparison: a metric as a function of sums over rows, and what is true of them.

Where a row may have several labels, temperature and thresholds are chosen on the answers that are
scored, for all alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fewtune.evaluate.answers import NATS
from fewtune.evaluate.intervals import FEW, Interval, bca, plus_four, sum_draws, wilson, within
from fewtune.evaluate.paired import Comparison, compare_means, compare_right, compare_sums
from fewtune.evaluate.units import Units
from fewtune.tasks.labelled import Labelled
from fewtune.trials.entrants import LabelJudge

PARTS = 5  # of the rows, each answered at the thresholds of the others
LEAST = 1000  # swaps of a test: with fewer no p value stays small once it is corrected


@dataclass(frozen=True)
class Measure:
    """The task's first metric as a function of sums over rows.

    Attributes:
        rows: which labels were chosen (rows, classes), truth -> (rows, k) what each row adds.
        function: (R, k) sums -> (R,) the metric.
        yes_or_no: a row is right or wrong, and the metric the share of right ones.
        higher_is_better: False for a loss, which has no upper end.
    """

    rows: Callable[[np.ndarray, np.ndarray], np.ndarray]
    function: Callable[[np.ndarray], np.ndarray]
    yes_or_no: bool
    higher_is_better: bool = True

    def of(self, sums: np.ndarray) -> float:
        """The metric of rows."""
        return float(self.function(sums.sum(axis=0)[None])[0])

    def interval(
        self, sums: np.ndarray, count: int, seed: int, units: Units | None = None
    ) -> Interval:
        """With its 95 % interval over rows, or over their units."""
        draws, rows = sum_draws(sums, self.function, count, seed, units), len(sums)
        value = draws.value
        if self.yes_or_no:
            low, high = wilson(value, draws.worth.rows(rows))
        elif rows < FEW:
            low, high = 0.0, 1.0 if self.higher_is_better else NATS[1]
        else:
            low, high = bca(draws)
        if self.higher_is_better and not self.yes_or_no:
            wide = plus_four(draws, _behind(sums))
            low, high = min(low, wide[0]), max(high, wide[1])
        low, high = within((low, high), 0.0, 1.0 if self.higher_is_better else np.inf)
        return {"value": value, "low": min(low, value), "high": max(high, value)}

    def apart(
        self,
        one: np.ndarray,
        other: np.ndarray,
        count: int,
        seed: int,
        units: Units | None = None,
    ) -> Comparison:
        """How much better one is than the other on the same rows."""
        count = max(count, LEAST)
        if not self.yes_or_no:
            return compare_sums(
                one,
                other,
                self.function,
                1.0 if self.higher_is_better else NATS[1] - NATS[0],
                higher_is_better=self.higher_is_better,
                behind=min(map(_behind, (one, other))) if self.higher_is_better else None,
                count=count,
                seed=seed,
                units=units,
            )
        ours, theirs = one[:, 0], other[:, 0]
        if np.isin(np.concatenate([ours, theirs]), (0.0, 1.0)).all():
            return compare_right(ours, theirs, units, seed, count)
        return compare_means(ours, theirs, share=True, count=count, seed=seed, units=units)


def _behind(sums: np.ndarray) -> int:
    """How many rows stand behind a share: those that add to what is shared."""
    return max(1, int(np.count_nonzero(sums[:, 1])))


def _right(chosen: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """1 for a row answered with its class, and 1 for every row; an unknown class is -1."""
    hits = chosen[np.arange(len(truth)), truth.clip(0)] & (truth >= 0)
    return np.stack([hits, np.ones(len(truth))], axis=1).astype(float)


def _agreed(chosen: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Labels that a row has and was given, and all those of both kinds."""
    hits = np.where(chosen, truth[:, : chosen.shape[1]], 0).sum(axis=1)
    return np.stack([hits, chosen.sum(axis=1) + truth.sum(axis=1)], axis=1).astype(float)


def _share(sums: np.ndarray) -> np.ndarray:
    return sums[:, 0] / sums[:, 1]


def _micro_f1(sums: np.ndarray) -> np.ndarray:
    zero = np.zeros(len(sums))
    return np.divide(2 * sums[:, 0], sums[:, 1], out=zero, where=sums[:, 1] > 0)


#: By the task's first metric.
MEASURES = {
    "accuracy": Measure(_right, _share, yes_or_no=True),
    "micro_f1": Measure(_agreed, _micro_f1, yes_or_no=False),
    "loss": Measure(_agreed, _share, yes_or_no=False, higher_is_better=False),
}


#: Sums (rows, k), NaN where unanswered; losses (rows,) likewise; sums of the test rows (rows, k).
Heard = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Truth(ABC):
    """What the answers are held against.

    Attributes:
        count: resamples.
        seed: of the resamples.
        units, test_units: of training and of test rows; None where every row is one.
    """

    count: int = 1000
    seed: int = 0
    units: Units | None = None
    test_units: Units | None = None

    @property
    @abstractmethod
    def measure(self) -> Measure:
        """What ranks."""

    def units_of(self, rows: np.ndarray) -> Units | None:
        """The units of some training rows, (rows,) of yes and no."""
        return self.units.take(rows) if self.units else None

    @abstractmethod
    def heard(self, given: np.ndarray, test: np.ndarray | None) -> Heard:
        """Answers of one seed as numbers about rows."""


@dataclass(frozen=True, kw_only=True)
class LabelTruth(Truth):
    """Labels.

    Attributes:
        task: of no variant in particular.
        targets: of the training rows, as the task has them.
        truth, test: of training and test rows, as scores want them; `test` None without such rows.
        thresholds: a value of the option.
    """

    task: Labelled
    targets: np.ndarray
    truth: np.ndarray
    test: np.ndarray | None = None
    thresholds: str = "common"

    @property
    def measure(self) -> Measure:
        """The task's first metric."""
        return MEASURES[self.task.primary]

    def heard(self, given: np.ndarray, test: np.ndarray | None) -> Heard:
        """Of logits (rows, classes), at their own temperature and thresholds."""
        judge, measure = LabelJudge(self.task.choice, self.targets), self.measure
        known = np.flatnonzero(np.isfinite(given).all(axis=1))
        shares = judge.probabilities(given[known], known)
        task = self.task.decided_on(shares, self.targets[known], self.thresholds)
        sums, losses = np.full((len(given), 2), np.nan), np.full(len(given), np.nan)
        sums[known] = measure.rows(self._chosen(shares, known), self.truth[known])
        losses[known] = task.choice.losses(shares, self.targets[known])
        if test is None or self.test is None:
            return sums, losses, np.empty((0, 2))
        asked = task.choice.probabilities(test / judge.temperature(given[known], known))
        return sums, losses, measure.rows(task.choice.chosen(asked), self.test)

    def _chosen(self, shares: np.ndarray, known: np.ndarray) -> np.ndarray:
        """What is answered, at thresholds that were chosen on other rows: on the same ones every
        threshold would flatter the score."""
        if not self.task.decides or self.thresholds == "half":
            return self.task.choice.chosen(shares)
        order = np.random.default_rng(self.seed).permutation(len(known))
        chosen = np.zeros(shares.shape, dtype=bool)
        for part in np.array_split(order, min(PARTS, len(known))):
            rest = np.setdiff1d(order, part)
            task = self.task.decided_on(shares[rest], self.targets[known[rest]], self.thresholds)
            chosen[part] = task.choice.chosen(shares[part])
        return chosen


@dataclass(frozen=True, kw_only=True)
class AnswerTruth(Truth):
    """Reference answers, of which a language model expects every token more or less.

    Attributes:
        tokens: learned tokens of a row, the mean over rows.
    """

    tokens: float

    @property
    def measure(self) -> Measure:
        """Nats a token."""
        return MEASURES["loss"]

    def heard(self, given: np.ndarray, test: np.ndarray | None) -> Heard:
        """Of summed losses and counted tokens, (rows, 3)."""
        asked = np.empty((0, 2)) if test is None else test[:, :2]
        return given[:, :2], given[:, 0] / self.tokens, asked
