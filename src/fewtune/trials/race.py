"""A race between methods on folds of the training rows: losers leave early, the budget is kept.

All candidates meet the same folds, the cheap ones first. After the second fold whoever is beaten by
the leader beyond noise leaves: paired over rows, Holm-corrected for the number compared, at a level
divided by the number of looks. Of those that are left the cheapest that is as good as the best is
chosen (`choosing`), and what is known of the candidates before counts there (`expected`).

What is compared is the log-loss of every held-out row at the candidate's own temperature: with few
rows accuracy moves in steps that hide which of two is better, and an over-confident candidate can
be calibrated after the choice (docs/decisions/0012).

After the plan's candidates come those that a search proposes, one by one, for each is proposed
from what all before it reached. They meet the same folds and leave by the same test, and how many
they are counts wherever chance could favour one of them (docs/decisions/0014).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fewtune.base.errors import FewtuneError
from fewtune.base.events import Event, tell
from fewtune.base.race_state import RaceState
from fewtune.evaluate.paired import holm, mean_swap_p
from fewtune.trials.choosing import as_good_as_best, best_of, choose
from fewtune.trials.expected import Prior
from fewtune.trials.runners import (
    Entrant,
    Judge,
    Kept,
    Outcome,
    Proposals,
    Runner,
    fit,
)
from fewtune.trials.scoreboard import LEVEL, Scoreboard, both_of

FIRST_LOOK = 2  # folds, before anybody leaves
LEAST_SHARE = 0.5  # of the time that the baselines leave, for the plan's candidates
SWAPS = 1000  # of a comparison, at the least
ENOUGH = 50  # swaps as large as what was seen: more would not make anybody leave
FINER = 100  # swaps for each of the comparisons that a p value is corrected for


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
        soft: nobody asked for the budget, so the most promising is seen to its end also beyond it,
            and proposals, which somebody asked for, come on top.
        patient: nobody leaves for being beaten.
        refits: the winner is fitted to all rows at the end, which the budget pays for too.
        proposals: of a search, after the entrants.
        prior: what is known of the entrants before the folds.
    """

    entrants: Sequence[Entrant]
    folds: Sequence[np.ndarray]
    rows: int
    judge: Judge
    kept: Kept
    budget: float
    soft: bool = False
    patient: bool = False
    refits: bool = True
    proposals: Proposals | None = None
    prior: Prior | None = None

    def __post_init__(self) -> None:
        self.runners = {one.name: Runner(one) for one in self.entrants}
        self.board = Scoreboard(self.runners, self.folds, self.rows, self.judge, self.prior)

    def run(self) -> Generator[Event, None, Outcome]:
        """Fold by fold, the cheap candidates first."""
        for fold in range(len(self.folds)):
            for runner in self._starting():
                self._cut_down(fold)
                if runner.state == RaceState.RUNS:
                    yield from self._fit(runner, fold)
            if fold + 1 >= FIRST_LOOK and not self.patient:
                yield from self._send_away(fold + 1)
        yield from self._spend_the_rest()
        if self.proposals is not None:
            yield from self._search(self.proposals)
        outcome = self._outcome()
        kept = [outcome.winner]
        yield tell("tried", what="methods", table=outcome.table, kept=kept, enough=outcome.enough)
        return outcome

    @property
    def spent(self) -> float:
        """Seconds of all fits so far; of an interrupted race those of its first part too."""
        runners = self.runners.values()
        lost = sum(one.failure.seconds for one in runners if one.failure)
        return lost + sum(fit.seconds for one in runners for fit in one.fitted.values())

    @property
    def _enough(self) -> float:
        """Seconds that would have seen everybody to the end; 0 where nobody lacked time."""
        runners = self.runners.values()
        late = [one for one in runners if one.state == RaceState.LATE]
        left = sum(self._seconds(one) * (len(self.folds) - len(one.fitted)) for one in late)
        refit = max(map(self._seconds, runners)) * self._refit
        return self.spent + left + refit if late else 0.0

    @property
    def _running(self) -> list[Runner]:
        return [one for one in self.runners.values() if one.state == RaceState.RUNS]

    def _starting(self) -> list[Runner]:
        return sorted(self._running, key=lambda one: (not one.entrant.stays, self._seconds(one)))

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
            runner.state = RaceState.LATE
            return
        if found is None:
            found = fit(entrant, np.setdiff1d(np.arange(self.rows), held), held, entrant.stays)
            self.kept.write(entrant.name, fold, found)
        if found.failed:
            runner.state, runner.failure = RaceState.FAILED, found
            yield tell("warned", message=f"{entrant.name}: {found.failed}")
            return
        runner.fitted[fold], runner.once = found, entrant.once()
        folds = len(self.folds)
        yield tell("trial", trial=entrant.name, fold=fold + 1, folds=folds, rows=len(held))

    def _affords(self, runner: Runner) -> bool:
        """Whether another fold fits in the budget, and a refit to all rows after it."""
        alone = sum(not one.entrant.stays for one in self._running)
        if runner.entrant.stays or (self.soft and (alone == 1 or runner.proposed)):
            return True
        limit = self.budget if runner.proposed or alone == 1 else self._limit
        return self.spent + self._seconds(runner) * (1 + self._refit) <= limit

    @property
    def _limit(self) -> float:
        """Until when the plan's candidates may run; the rest is the proposals', half at most."""
        if self.proposals is None or self.soft:
            return self.budget
        tuned = sum(not one.stays for one in self.entrants)
        share = max(LEAST_SHARE, tuned / max(1, tuned + self.proposals.count))
        stay = [one for one in self.runners.values() if one.entrant.stays]
        always = len(self.folds) * sum(map(self._seconds, stay))
        return always + share * max(0.0, self.budget - always)

    @property
    def _refit(self) -> float:
        """What a fit to all rows takes, in folds; nothing where there is none."""
        return self.refits * self.rows / (self.rows - len(self.folds[0]))

    def _cut_down(self, fold: int) -> None:
        """Send the least promising away until all can run this fold and any one be seen to the end.

        Before the first fold the order of the entrants is what they promise.
        """
        left = len(self.folds) - fold
        running = self._running
        tuned = [one for one in running if not one.entrant.stays]
        tuned.sort(key=self._promise(running))
        stay = [one for one in self.runners.values() if one.entrant.stays]
        always = sum((left - (fold in one.fitted)) * self._seconds(one) for one in stay)
        while len(tuned) > self.soft:
            now = sum(self._seconds(one) for one in tuned if fold not in one.fitted)
            later = max(map(self._seconds, tuned)) * (left - 1 + self._refit)
            limit = self._limit if len(tuned) > 1 else self.budget
            if self.spent + always + now + later <= limit:
                return
            tuned.pop().state = RaceState.LATE

    def _promise(self, some: Sequence[Runner]) -> Callable[[Runner], tuple[float, int]]:
        """What runners are sorted by: what is expected of them, or where nothing is known before
        how far they are behind the first on the same rows; then the place.

        Args:
            some: who are compared, by the rows that all of them have answered.
        """
        losses, places = self.board.losses(), [*self.runners]
        first = losses.get(places[0])
        hoped = self.board.hoped(losses, [one.entrant.name for one in some])

        def behind(one: Runner) -> tuple[float, int]:
            name = one.entrant.name
            if name in hoped:
                return -hoped[name], places.index(name)
            seen = None if first is None or name not in losses else losses[name] - first
            return (0.0 if seen is None else float(np.nanmean(seen))), places.index(name)

        return behind

    def _send_away(self, looks: int) -> Generator[Event, None, None]:
        """Whoever the leader beats beyond noise leaves, but for who is needed; who is through has
        nothing to leave."""
        losses = self._may_win(self.board.losses())
        if not losses:
            return
        leader = best_of(losses)
        running = [
            name
            for name, one in self.runners.items()
            if one.state == RaceState.RUNS
            and not (one.entrant.stays or one.entrant.needed)
            and name != leader
            and len(one.fitted) < len(self.folds)
        ]
        swaps = self._swaps(len(running))
        found = [_beaten(losses[name], losses[leader], swaps) for name in running]
        for name, p in zip(running, holm(found), strict=True):
            if p < LEVEL / self._looks:
                self.runners[name].state = RaceState.BEATEN
                yield tell("left", trial=name, by=leader, folds=looks, p=p)

    @property
    def _looks(self) -> int:
        """How often it is looked who is beaten."""
        return max(1, len(self.folds) - FIRST_LOOK + 1)

    def _swaps(self, compared: int) -> int:
        """Enough that the least p value can send somebody away after all corrections."""
        return max(SWAPS, FINER * compared * self._looks)

    def _spend_the_rest(self) -> Generator[Event, None, None]:
        """Whoever was sent away for want of time runs after all where others left early."""
        while (runner := self._in_time_after_all()) is not None:
            runner.state = RaceState.RUNS
            for fold in range(len(self.folds)):
                if runner.state == RaceState.RUNS and fold not in runner.fitted:
                    yield from self._fit(runner, fold)
                    if fold + 1 >= FIRST_LOOK and not self.patient:
                        yield from self._send_away(fold + 1)

    def _in_time_after_all(self) -> Runner | None:
        """The most promising of those sent away that could now be seen to their end."""
        waiting = [one for one in self.runners.values() if one.state == RaceState.LATE]
        fit = (one for one in waiting if self._sees_the_end(one, self._limit))
        # each by its own rows: one that has not run has answered none that others have
        return min(fit, key=lambda one: self._promise([one])(one), default=None)

    def _search(self, proposals: Proposals) -> Generator[Event, None, None]:
        """Proposals, one after another, as long as one more could be seen to its end."""
        number = 0
        while (entrant := proposals.next(self.board.seen())) is not None:
            number += 1
            runner = Runner(entrant, proposed=number)
            if not (self.soft or self._sees_the_end(runner, self.budget)):
                yield tell("warned", message=_too_late(number - 1, proposals.count))
                return
            self.runners[entrant.name] = runner
            yield tell("proposed", trial=entrant.name, number=number, of=proposals.count)
            yield from self._try_out(runner, proposals.count)
        if number < proposals.count:
            told = f"search: after {number} of {proposals.count} proposals nothing new is left."
            yield tell("warned", message=told)

    def _try_out(self, runner: Runner, count: int) -> Generator[Event, None, None]:
        """A proposal, fold by fold, until it is through or leaves."""
        for fold in range(len(self.folds)):
            yield from self._fit(runner, fold)
            if runner.state == RaceState.RUNS and fold + 1 >= FIRST_LOOK and not self.patient:
                yield from self._send_proposal_away(runner, fold + 1, count)
            if runner.state != RaceState.RUNS:
                return

    def _sees_the_end(self, runner: Runner, limit: float) -> bool:
        """Whether all folds of one more fit in some seconds, and after it the dearest refit."""
        refit = max(map(self._seconds, [*self._running, runner])) * self._refit
        left = len(self.folds) - len(runner.fitted)
        return self.spent + self._seconds(runner) * left + refit <= limit

    def _send_proposal_away(
        self, runner: Runner, looks: int, count: int
    ) -> Generator[Event, None, None]:
        """It leaves where the leader beats it beyond noise, corrected for all proposals.

        Those to come are not known yet, so that the correction is Bonferroni's for their number.
        """
        losses, name = self._may_win(self.board.losses()), runner.entrant.name
        leader = best_of(losses)
        if leader == name:
            return
        p = min(1.0, count * _beaten(losses[name], losses[leader], self._swaps(count)))
        if p < LEVEL / self._looks:
            runner.state = RaceState.BEATEN
            yield tell("left", trial=name, by=leader, folds=looks, p=p)

    def _may_win(self, losses: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: one for name, one in losses.items() if self.runners[name].entrant.wins}

    def _outcome(self) -> Outcome:
        answered = self._may_win(self.board.losses())
        folds = len(self.folds)  # means over different rows do not compare
        losses = {k: one for k, one in answered.items() if len(self.runners[k].fitted) == folds}
        cost = {name: self.runners[name].seconds for name in answered}
        proposed = tuple(name for name in answered if self.runners[name].proposed)
        if not losses:
            self._refuse_failures()
        winner = choose(losses, cost, proposed, self.prior) if losses else ""
        as_good = self._as_good(losses, proposed) if losses else []
        leader = as_good[0] if as_good else ""
        self._settle(losses, as_good, winner)
        table, answers = self.board.table(), self.board.answers()
        return Outcome(
            winner, leader, table, losses, answers, cost, self.spent, proposed, self.prior,
            self._enough,
        )  # fmt: skip

    def _refuse_failures(self) -> None:
        """Nobody can win, and not for want of time.

        Raises:
            FewtuneError: what the first candidate failed with.
        """
        running = [one for one in self.runners.values() if one.entrant.wins]
        failures = [one.failure for one in running if one.failure]
        if failures and len(failures) == len(running):
            raise FewtuneError(f"{failures[0].failed} This is kept; --again tries it anew.")

    def _as_good(self, losses: Mapping[str, np.ndarray], proposed: Collection[str]) -> list[str]:
        """The best, and those as good: by the losses alone where a proposal is best."""
        best = best_of(losses)
        if best in proposed or self.prior is None:
            return as_good_as_best(losses)
        planned = {name: one for name, one in losses.items() if name not in proposed}
        near = [name for name in as_good_as_best(losses) if name in proposed]
        return [*as_good_as_best(planned, self.prior), *near]

    def _settle(
        self, losses: Mapping[str, np.ndarray], as_good: Collection[str], winner: str
    ) -> None:
        """How those ended that ran all folds.

        A proposal that is ahead of what was chosen, but by no more than chance gives the best of
        so many, is `unproven`; one that is as good as the best is `near`.
        """
        for name, runner in self.runners.items():
            if runner.state == RaceState.RUNS:
                runner.state = RaceState.TIED if name in as_good else RaceState.BEHIND
                if not runner.entrant.wins:
                    runner.state = RaceState.BESIDE
                if runner.proposed and name in as_good:
                    ahead = np.nanmean(losses[name]) < np.nanmean(losses[winner])
                    runner.state = RaceState.UNPROVEN if ahead else RaceState.NEAR
        if winner:
            self.runners[winner].state = RaceState.CHOSEN


def _too_late(tried: int, count: int) -> str:
    return (
        f"search: there was time for {tried} of {count} proposals within the budget of the race; "
        "--budget gives more."
    )


def _beaten(one: np.ndarray, leader: np.ndarray, swaps: int) -> float:
    """The p value of being behind the leader; 1 where it is not."""
    ours, best = both_of(one, leader)
    if not len(ours) or ours.mean() <= best.mean():
        return 1.0
    return mean_swap_p(ours - best, count=swaps, enough=ENOUGH)
