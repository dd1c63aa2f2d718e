"""What candidates have answered so far, as numbers about rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fewtune.data.holdout import first_repeat
from fewtune.evaluate.paired import compare_means, holm
from fewtune.evaluate.verdict import LEVEL
from fewtune.trials.expected import Prior
from fewtune.trials.runners import Judge, Line, Runner, Seen


@dataclass
class Scoreboard:
    """The runners of a race, and what their answers are worth.

    Attributes:
        runners: name -> runner, the first the baseline that gains are told over.
        folds: held-out positions of each fold, of every repeat.
        rows: how many there are.
        judge: what answers are worth.
        prior: what is known of the runners before the folds.
    """

    runners: Mapping[str, Runner]
    folds: Sequence[np.ndarray]
    rows: int
    judge: Judge
    prior: Prior | None = None
    _known: dict[tuple[str, int], list[np.ndarray]] = field(
        default_factory=dict, init=False, repr=False
    )

    def losses(self) -> dict[str, np.ndarray]:
        """Of every entrant that has answered, (rows,), NaN where it has not; mean over repeats."""
        return {
            name: self._spread(runner, self._row_losses(runner))
            for name, runner in self.runners.items()
            if runner.fitted
        }

    def seen(self) -> dict[str, Seen]:
        """Of every entrant that has answered, the mean loss after each fold."""
        found = {}
        for name, runner in self.runners.items():
            if runner.fitted:
                each = self._row_losses(runner)
                sums = np.cumsum([one.sum() for one in each])
                means = sums / np.cumsum([len(one) for one in each])
                found[name] = Seen(tuple(map(float, means)), len(each) == len(self.folds))
        return found

    def answers(self) -> dict[str, np.ndarray]:
        """Of every runner that has answered, (rows, ...), NaN likewise; of the first repeat.

        The mean over repeats would be an ensemble's, which is better than the one fit that is kept.
        """
        once = len(first_repeat(self.folds))
        return {
            name: self._spread(
                runner, [runner.fitted[k].answers for k in runner.fitted if k < once]
            )
            for name, runner in self.runners.items()
            if runner.fitted
        }

    def hoped(self, losses: Mapping[str, np.ndarray], names: Collection[str]) -> dict[str, float]:
        """The gain expected of some, by the rows that all of them have answered."""
        if self.prior is None:
            return {}
        unheard = np.full(self.rows, np.nan)
        some = dict.fromkeys([self.prior.first, *names])
        return self.prior.expected({name: losses.get(name, unheard) for name in some})

    def table(self) -> list[Line]:
        """A line a runner, with the paired gain over the first."""
        losses = self.losses()
        first, *others = self.runners
        table = [self._line(name) for name in self.runners]
        hoped = self._hoped_of_all(losses)
        for line in table:
            if line["name"] in hoped:
                line["expected"] = hoped[line["name"]]
        found = [
            compare_means(*both_of(losses[name], losses[first]), higher_is_better=False)
            if name in losses and first in losses
            else {}
            for name in others
        ]
        adjusted = holm([one.get("p", 1.0) for one in found])
        for line, one, p in zip(table[1:], found, adjusted, strict=True):
            if one:
                line |= {"gain": one["value"], "low": one["low"], "high": one["high"], "p": p}
                line["better"] = one["value"] > 0 and p < LEVEL
        return table

    def _hoped_of_all(self, losses: Mapping[str, np.ndarray]) -> dict[str, float]:
        """What was expected when it was chosen: of all that answered as many rows as anybody."""
        if self.prior is None or not losses:
            return {}
        most = max(np.isfinite(one).sum() for one in losses.values())
        whole = {name: one for name, one in losses.items() if np.isfinite(one).sum() == most}
        return self.prior.expected(whole) if self.prior.first in whole else {}

    def _line(self, name: str) -> Line:
        runner = self.runners[name]
        line: Line = {"name": name, "rows": 0, "folds": len(runner.fitted), "better": False}
        if runner.fitted:
            rows = np.concatenate([self.folds[k] for k in runner.fitted])
            answers = np.concatenate([one.answers for one in runner.fitted.values()])
            line |= {"rows": len(rows), "seconds": round(runner.seconds, 3)}
            line[self.judge.metric] = float(self.judge.losses(answers, rows).mean())
            line |= self.judge.also(answers, rows)
        proposed = {"proposed": runner.proposed} if runner.proposed else {}
        return line | {"state": runner.state.value} | proposed

    def _row_losses(self, runner: Runner) -> list[np.ndarray]:
        """Of every fold that it answered; found once, for a search asks often."""
        key = runner.entrant.name, len(runner.fitted)
        if key not in self._known:
            self._known[key] = self._found_losses(runner)
        return self._known[key]

    def _found_losses(self, runner: Runner) -> list[np.ndarray]:
        rows = np.concatenate([self.folds[k] for k in runner.fitted])
        answers = np.concatenate([one.answers for one in runner.fitted.values()])
        sizes = [len(self.folds[k]) for k in runner.fitted]
        return np.split(self.judge.losses(answers, rows), np.cumsum(sizes)[:-1])

    def _spread(self, runner: Runner, each: Sequence[np.ndarray]) -> np.ndarray:
        """Something of every held row of the folds fitted, (rows, ...), NaN elsewhere.

        Args:
            each: of the first so many of those folds.
        """
        total = np.zeros((self.rows, *each[0].shape[1:]))
        times = np.zeros(self.rows)
        for fold, one in zip(runner.fitted, each, strict=False):
            total[self.folds[fold]] += one
            times[self.folds[fold]] += 1
        with np.errstate(invalid="ignore"):
            return total / times.reshape(-1, *[1] * (total.ndim - 1))


def both_of(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows that both answered."""
    known = np.isfinite(one) & np.isfinite(other)
    return one[known], other[known]
