"""A race between methods on folds of the training rows: losers leave early, the budget is kept.

All candidates meet the same folds, the cheap ones first. After the second fold whoever is beaten by
the leader beyond noise leaves: paired over rows, Holm-corrected for the number compared, at a level
divided by the number of looks. Of those that are left the cheapest within one standard error of the
best is chosen (Breiman et al. 1984, section 3.4.3: nearly as good, and less chosen by chance).

What is compared is the log-loss of every held-out row at the candidate's own temperature: with few
rows accuracy moves in steps that hide which of two is better, and an over-confident candidate can
be calibrated after the choice (docs/decisions/0012).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from fewtune.base.events import Event, tell
from fewtune.evaluate.paired import compare_means, holm

LEVEL = 0.05
FIRST_LOOK = 2  # folds, before anybody leaves

Line = dict[str, Any]


@dataclass(frozen=True)
class Entrant:
    """A candidate.

    Attributes:
        name: in tables.
        fit: learned rows, held rows (positions) -> the answers to the held ones, (held, ...).
        seconds: expected of a fold; 0 where nobody knows.
        stays: a baseline, which every row must have an answer of; it is never sent away.
        wins: False for what is there to be compared with and cannot be chosen.
    """

    name: str
    fit: Callable[[np.ndarray, np.ndarray], np.ndarray]
    seconds: float = 0.0
    stays: bool = False
    wins: bool = True


@dataclass(frozen=True)
class Fitted:
    """One candidate on one fold: its answers to the held rows, and what the fit took."""

    answers: np.ndarray
    seconds: float


class Kept(Protocol):
    """Where fits are written down, so that a race that was interrupted goes on."""

    def read(self, name: str, fold: int) -> Fitted | None:
        """A fit that was made before."""
        ...

    def write(self, name: str, fold: int, fitted: Fitted) -> None:
        """Keep a fit."""
        ...


class Judge(Protocol):
    """What answers are worth."""

    @property
    def metric(self) -> str:
        """What a loss is called in the table."""
        ...

    def losses(self, answers: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The loss of every row, (rows,); `answers` are all that a candidate has given so far."""
        ...

    def also(self, answers: np.ndarray, rows: np.ndarray) -> Mapping[str, float]:
        """Other metrics for the table."""
        ...


@dataclass
class Runner:
    """An entrant on its way."""

    entrant: Entrant
    state: str = "runs"
    fitted: dict[int, Fitted] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """What a fold takes: measured, else expected."""
        each = [one.seconds for one in self.fitted.values()]
        return sum(each) / len(each) if each else self.entrant.seconds


@dataclass(frozen=True)
class Outcome:
    """How a race ended.

    Attributes:
        winner: its name; `leader` the name of the best. Empty where nobody could be compared.
        table: a line an entrant, the first the baseline that gains are told over.
        losses: name -> (rows,), NaN where it answered nothing.
        answers: name -> (rows, ...), NaN likewise, mean over repeats.
        cost: name -> seconds of a fold.
        seconds: of all fits.
    """

    winner: str
    leader: str
    table: list[Line]
    losses: dict[str, np.ndarray]
    answers: dict[str, np.ndarray]
    cost: dict[str, float]
    seconds: float


@dataclass
class Race:
    """Entrants, folds and a budget.

    Attributes:
        entrants: the first is the baseline that gains are told over.
        folds: held-out positions of each fold, of every repeat.
        rows: how many there are.
        judge: what answers are worth.
        kept: where fits are written down.
        budget: seconds for all fits and the winner's refit.
        soft: nobody asked for the budget, so the most promising is seen to its end also beyond it.
        patient: nobody leaves for being beaten.
    """

    entrants: Sequence[Entrant]
    folds: Sequence[np.ndarray]
    rows: int
    judge: Judge
    kept: Kept
    budget: float
    soft: bool = False
    patient: bool = False

    def __post_init__(self) -> None:
        self.runners = {one.name: Runner(one) for one in self.entrants}

    def run(self) -> Generator[Event, None, Outcome]:
        """Fold by fold, the cheap candidates first."""
        for fold in range(len(self.folds)):
            for runner in self._starting():
                self._cut_down(fold)
                if runner.state == "runs":
                    yield from self._fit(runner, fold)
            if fold + 1 >= FIRST_LOOK and not self.patient:
                yield from self._send_away(fold + 1)
        outcome = self._outcome()
        yield tell("tried", what="methods", table=outcome.table, kept=[outcome.winner])
        return outcome

    @property
    def spent(self) -> float:
        """Seconds of all fits so far; of an interrupted race those of its first part too."""
        return sum(one.seconds for r in self.runners.values() for one in r.fitted.values())

    def _starting(self) -> list[Runner]:
        alive = [one for one in self.runners.values() if one.state == "runs"]
        return sorted(alive, key=lambda one: (not one.entrant.stays, self._seconds(one)))

    def _seconds(self, runner: Runner) -> float:
        """What a fold of it takes; before it has run, as told, at the pace of those that have."""
        ran = [one for one in self.runners.values() if one.fitted and one.entrant.seconds]
        told = sum(one.entrant.seconds for one in ran)
        pace = sum(one.seconds for one in ran) / told if told else 1.0
        return runner.seconds * (1.0 if runner.fitted else pace)

    def _fit(self, runner: Runner, fold: int) -> Generator[Event, None, None]:
        entrant, held = runner.entrant, self.folds[fold]
        found = self.kept.read(entrant.name, fold)
        if found is None and not self._affords(runner):
            runner.state = "out of time"
            return
        if found is None:
            begun = perf_counter()
            learned = np.setdiff1d(np.arange(self.rows), held)
            answers = entrant.fit(learned, held)
            found = Fitted(answers, perf_counter() - begun)
            self.kept.write(entrant.name, fold, found)
        runner.fitted[fold] = found
        folds = len(self.folds)
        yield tell("trial", trial=entrant.name, fold=fold + 1, folds=folds, rows=len(held))

    def _affords(self, runner: Runner) -> bool:
        """Whether another fold fits in the budget, and a refit to all rows after it."""
        alone = sum(not one.entrant.stays and one.state == "runs" for one in self.runners.values())
        if runner.entrant.stays or (self.soft and alone == 1):
            return True
        return self.spent + self._seconds(runner) * (1 + self._refit) <= self.budget

    @property
    def _refit(self) -> float:
        """What a fit to all rows takes, in folds."""
        return self.rows / (self.rows - len(self.folds[0]))

    def _cut_down(self, fold: int) -> None:
        """Send the least promising away until all can run this fold and any one be seen to the end.

        Before the first fold the order of the entrants is what they promise.
        """
        left = len(self.folds) - fold
        tuned = [one for one in self.runners.values() if not one.entrant.stays]
        tuned = sorted((one for one in tuned if one.state == "runs"), key=self._promise())
        stay = [one for one in self.runners.values() if one.entrant.stays]
        always = sum((left - (fold in one.fitted)) * self._seconds(one) for one in stay)
        while len(tuned) > self.soft:
            now = sum(self._seconds(one) for one in tuned if fold not in one.fitted)
            later = max(map(self._seconds, tuned)) * (left - 1 + self._refit)
            if self.spent + always + now + later <= self.budget:
                return
            tuned.pop().state = "out of time"

    def _promise(self) -> Callable[[Runner], tuple[float, int]]:
        """What runners are sorted by: how far behind the first on the same rows, then the place."""
        losses, places = self._losses(), [*self.runners]
        first = losses.get(places[0])

        def behind(one: Runner) -> tuple[float, int]:
            name = one.entrant.name
            seen = None if first is None or name not in losses else losses[name] - first
            return (0.0 if seen is None else float(np.nanmean(seen))), places.index(name)

        return behind

    def _send_away(self, looks: int) -> Generator[Event, None, None]:
        """Whoever the leader beats beyond noise leaves."""
        losses = self._may_win(self._losses())
        if not losses:
            return
        leader = best_of(losses)
        running = [
            name
            for name, one in self.runners.items()
            if one.state == "runs" and not one.entrant.stays and name != leader
        ]
        found = [_beaten(losses[name], losses[leader]) for name in running]
        level = LEVEL / max(1, len(self.folds) - FIRST_LOOK + 1)
        for name, p in zip(running, holm(found), strict=True):
            if p < level:
                self.runners[name].state = "beaten"
                yield tell("left", trial=name, by=leader, folds=looks, p=p)

    def _losses(self) -> dict[str, np.ndarray]:
        """Of every entrant that has answered, (rows,), NaN where it has not; mean over repeats."""
        return {
            name: self._spread(runner, self._row_losses(runner))
            for name, runner in self.runners.items()
            if runner.fitted
        }

    def _row_losses(self, runner: Runner) -> list[np.ndarray]:
        rows = np.concatenate([self.folds[k] for k in runner.fitted])
        answers = np.concatenate([one.answers for one in runner.fitted.values()])
        sizes = [len(self.folds[k]) for k in runner.fitted]
        return np.split(self.judge.losses(answers, rows), np.cumsum(sizes)[:-1])

    def _spread(self, runner: Runner, each: Sequence[np.ndarray]) -> np.ndarray:
        """Something of every held row of the folds fitted, (rows, ...), NaN elsewhere."""
        total = np.zeros((self.rows, *each[0].shape[1:]))
        times = np.zeros(self.rows)
        for fold, one in zip(runner.fitted, each, strict=True):
            total[self.folds[fold]] += one
            times[self.folds[fold]] += 1
        with np.errstate(invalid="ignore"):
            return total / times.reshape(-1, *[1] * (total.ndim - 1))

    def _may_win(self, losses: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: one for name, one in losses.items() if self.runners[name].entrant.wins}

    def _outcome(self) -> Outcome:
        every = self._losses()
        losses = self._may_win(every)
        cost = {name: self.runners[name].seconds for name in losses}
        leader, winner = (best_of(losses), choose(losses, cost)) if losses else ("", "")
        tied = within(losses, leader) if losses else []
        for name, runner in self.runners.items():
            if runner.state == "runs":
                runner.state = "tied" if name in tied else "behind"
        if winner:
            self.runners[winner].state = "chosen"
        answers = {
            name: self._spread(runner, [one.answers for one in runner.fitted.values()])
            for name, runner in self.runners.items()
            if runner.fitted
        }
        table = self._table(every)
        return Outcome(winner, leader, table, losses, answers, cost, self.spent)

    def _table(self, losses: Mapping[str, np.ndarray]) -> list[Line]:
        first, *others = self.runners
        table = [self._line(name) for name in self.runners]
        found = [
            compare_means(*_both(losses[name], losses[first]), higher_is_better=False)
            if name in losses
            else {}
            for name in others
        ]
        adjusted = holm([one.get("p", 1.0) for one in found])
        for line, one, p in zip(table[1:], found, adjusted, strict=True):
            if one:
                line |= {"gain": one["value"], "low": one["low"], "high": one["high"], "p": p}
                line["better"] = one["value"] > 0 and p < LEVEL
        return table

    def _line(self, name: str) -> Line:
        runner = self.runners[name]
        line: Line = {"name": name, "rows": 0, "folds": len(runner.fitted), "better": False}
        if runner.fitted:
            rows = np.concatenate([self.folds[k] for k in runner.fitted])
            answers = np.concatenate([one.answers for one in runner.fitted.values()])
            line |= {"rows": len(rows), "seconds": round(runner.seconds, 3)}
            line[self.judge.metric] = float(self.judge.losses(answers, rows).mean())
            line |= self.judge.also(answers, rows)
        return line | {"state": runner.state}


# ---- the choice, a function of losses alone


def choose(losses: Mapping[str, np.ndarray], cost: Mapping[str, float]) -> str:
    """The cheapest of those within one standard error of the best.

    Args:
        losses: name -> (rows,), NaN where a candidate did not answer.
        cost: name -> seconds.

    >>> near = {"a": np.array([1.0, 2, 3, 2]), "b": np.array([1.1, 1.8, 3, 1.9])}
    >>> choose(near, {"a": 1, "b": 9}), choose(near, {"a": 9, "b": 1})
    ('a', 'b')
    """
    return min(within(losses, best_of(losses)), key=cost.__getitem__)


def best_of(losses: Mapping[str, np.ndarray]) -> str:
    """The lowest mean loss of those that answered all the rows that anybody did.

    Whoever left was beaten, or was the least promising when time ran short; and means over
    different rows would not compare.
    """
    rows = {name: int(np.isfinite(one).sum()) for name, one in losses.items()}
    whole = [name for name in losses if rows[name] == max(rows.values())]
    return min(whole, key=lambda name: float(np.nanmean(losses[name])))


def within(losses: Mapping[str, np.ndarray], best: str) -> list[str]:
    """The best, and those at most one standard error of the paired difference behind it."""
    rows = np.isfinite(losses[best])
    found = []
    for name, one in losses.items():
        if not np.array_equal(np.isfinite(one), rows):
            continue
        apart = one[rows] - losses[best][rows]
        error = apart.std(ddof=1) / len(apart) ** 0.5 if len(apart) > 1 else 0.0
        if apart.mean() <= error:
            found.append(name)
    return found


def cross_choices(
    losses: Mapping[str, np.ndarray], cost: Mapping[str, float], folds: Sequence[np.ndarray]
) -> list[str]:
    """Of each fold the name that is chosen without a look at the fold's own rows.

    Its answers to the fold are then those of a choice and of fits that have not seen the rows: the
    score of the whole procedure, at the price of one race.

    Args:
        losses, cost: as `choose` takes them.
        folds: held-out positions, each row in one.
    """
    chosen = []
    for held in folds:
        outside = {name: one.copy() for name, one in losses.items()}
        for one in outside.values():
            one[held] = np.nan
        heard = {
            name: one
            for name, one in outside.items()
            if np.isfinite(one).any() and np.isfinite(losses[name][held]).all()
        }
        chosen.append(choose(heard, cost))
    return chosen


def _beaten(one: np.ndarray, leader: np.ndarray) -> float:
    """The p value of being behind the leader; 1 where it is not."""
    ours, best = _both(one, leader)
    if not len(ours) or ours.mean() <= best.mean():
        return 1.0
    return compare_means(best, ours, higher_is_better=False)["p"]


def _both(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows that both answered."""
    known = np.isfinite(one) & np.isfinite(other)
    return one[known], other[known]
