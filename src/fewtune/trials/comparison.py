"""A comparison's table: what variants answered on the same folds, ranked, with who ties with whom.

Every number of folds is a mean over the seeds row by row, so that the rows are what intervals and
tests are about: whether another sample of rows would say the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from fewtune.base.race_state import NO_BASE, RaceState
from fewtune.evaluate.paired import Comparison, compare_means, holm
from fewtune.evaluate.verdict import LEVEL
from fewtune.trials.measures import Heard, Truth

FINER = 40  # resamples for each of the comparisons that a p value is corrected for

Line = dict[str, Any]


@dataclass(frozen=True)
class Answers:
    """What one variant answered, and what that took.

    Attributes:
        name: of the variant.
        folds: of each seed, (rows, classes) logits, NaN where it did not answer.
        test: of each seed, (test rows, classes) logits of a fit to all training rows.
        seconds: of a fold, fit and answers.
        state: `whole`, or why folds are missing: `beaten`, `out of time`.
    """

    name: str
    folds: Sequence[np.ndarray]
    test: Sequence[np.ndarray] = ()
    seconds: float = 0.0
    state: RaceState = RaceState.WHOLE


@dataclass(frozen=True)
class Standing:
    """A variant's answers as numbers about rows."""

    answers: Answers
    truth: Truth

    @cached_property
    def _read(self) -> list[Heard]:
        """Of each seed."""
        tests = self.answers.test
        return [
            self.truth.heard(given, tests[seed] if seed < len(tests) else None)
            for seed, given in enumerate(self.answers.folds)
        ]

    @cached_property
    def sums(self) -> np.ndarray:
        """(rows, k), mean over the seeds; NaN where no seed answered."""
        return _mean([one[0] for one in self._read])

    @cached_property
    def losses(self) -> np.ndarray:
        """(rows,) nats, mean over the seeds."""
        return _mean([one[1] for one in self._read])

    @property
    def answered(self) -> np.ndarray:
        """Which rows, (rows,) of yes and no."""
        return np.isfinite(self.losses)

    @cached_property
    def score(self) -> float:
        """The metric on the rows it answered."""
        return self.truth.measure.of(self.sums[self.answered])

    def line(self) -> Line:
        """What stands in the table of this variant alone."""
        truth, seeds = self.truth, [one[0] for one in self._read]
        each = [truth.measure.of(one[np.isfinite(one[:, 0])]) for one in seeds]
        sums = self.sums[self.answered]
        score = truth.measure.interval(sums, truth.count, truth.seed, truth.units_of(self.answered))
        spread = float(np.std(each, ddof=1)) if len(each) > 1 else None
        tested = [one[2] for one in self._read if len(one[2])]
        test = _mean(tested) if tested else None
        return {
            "score": score | {"spread": spread},
            "log_loss": float(self.losses[self.answered].mean()),
            "rows": int(self.answered.sum()),
            "seeds": len(each),
            "test": None
            if test is None
            else truth.measure.interval(test, truth.count, truth.seed, truth.test_units),
            "seconds": round(self.answers.seconds, 4),
            "state": self.answers.state.value,
        }

    def over(self, other: Standing) -> Comparison:
        """How much better than another on the rows that both answered; empty without such."""
        both, truth = self.answered & other.answered, self.truth
        if not both.any():
            return {}
        ours, theirs = self.sums[both], other.sums[both]
        return truth.measure.apart(ours, theirs, truth.count, truth.seed, truth.units_of(both))


def _mean(each: Sequence[np.ndarray]) -> np.ndarray:
    """Over the seeds, without those that have no number."""
    every = np.stack(each)
    times = np.isfinite(every).sum(axis=0)
    total = np.where(np.isfinite(every), every, 0.0).sum(axis=0)
    return np.divide(total, times, out=np.full(total.shape, np.nan), where=times > 0)


def ranked(answers: Sequence[Answers], truth: Truth) -> list[Line]:
    """A line a variant, the best first; who did not answer all rows stands last, without a rank.

    Returns:
        `name`, `rank`, `tied` (not beaten by the best beyond noise), `behind` (how much the best is
        better: `value`, `low`, `high`, and `p`, Holm-corrected for all pairs; None for the best
        itself), and what `Standing.line` tells.
    """
    # the best is picked on the same rows: any two could have been the pair that is compared
    pairs = len(answers) * (len(answers) - 1) // 2
    truth = _fine(truth, pairs)
    standings = {one.name: Standing(one, truth) for one in answers if len(one.folds)}
    most = max((int(one.answered.sum()) for one in standings.values()), default=0)

    def order(name: str) -> tuple[bool, float, float]:
        one = standings[name]
        sign = -1.0 if truth.measure.higher_is_better else 1.0
        return _is_part(one, most), sign * one.score, float(np.nanmean(one.losses))

    names = sorted(standings, key=order)
    behind = [standings[names[0]].over(standings[name]) for name in names[1:]] if names else []
    given = [one.get("p", 1.0) for one in behind]
    adjusted = holm(given + [1.0] * (pairs - len(given)))[: len(given)]
    told: list[Comparison | None] = [None]
    told += [{**one, "p": p} if one else None for one, p in zip(behind, adjusted, strict=True)]
    lines = []
    for place, (name, one) in enumerate(zip(names, told, strict=False), start=1):
        part = _is_part(standings[name], most)
        tied = not part and (one is None or one["value"] <= 0 or one["p"] >= LEVEL)
        head = {"name": name, "rank": None if part else place, "tied": tied}
        lines.append(head | {"behind": one} | standings[name].line())
    return lines


def _fine(truth: Truth, compared: int) -> Truth:
    """With so many resamples that the least p value stays small once it is corrected."""
    return replace(truth, count=max(truth.count, FINER * compared))


def _is_part(one: Standing, most: int) -> bool:
    return int(one.answered.sum()) < most or one.answers.state != RaceState.WHOLE


def effects(base: Answers, steps: Sequence[Answers], truth: Truth) -> list[Line]:
    """A line a step from the base, in the order given.

    Returns:
        `name`, `effect` (how much better than the base: `value`, `low`, `high`, and `p`,
        Holm-corrected for the number of steps), `loss` (how much lower the log-loss is), `said`
        (`better`, `worse`, `within noise`, or `nothing to compare with` where the base failed or
        answered nothing), and what `Standing.line` tells.
    """
    truth = _fine(truth, len(steps))
    standings = [Standing(one, truth) for one in steps]
    # what failed answers as if nothing had been learned, if it answers at all
    if base.state == RaceState.FAILED or not base.folds:
        nothing = {"effect": None, "loss": None, "said": NO_BASE}
        return [{"name": one.answers.name, **nothing} | one.line() for one in standings]
    first = Standing(base, truth)
    found = [one.over(first) for one in standings]
    adjusted = holm([one.get("p", 1.0) for one in found])
    lines = []
    for one, change, p in zip(standings, found, adjusted, strict=True):
        both = one.answered & first.answered
        ours, theirs = one.losses[both], first.losses[both]
        units = truth.units_of(both)
        loss = compare_means(ours, theirs, higher_is_better=False, seed=truth.seed, units=units)
        kept = {key: loss[key] for key in ("value", "low", "high", "p")} if loss else None
        effect = {**change, "p": p} if change else None
        line = {"name": one.answers.name, "effect": effect, "loss": kept}
        lines.append(line | {"said": _said(effect)} | one.line())
    return lines


def _said(effect: Mapping[str, float] | None) -> str:
    if effect is None or effect["p"] >= LEVEL:
        return "within noise"
    return "better" if effect["value"] > 0 else "worse"


def front(lines: Sequence[Mapping[str, Any]], cost: str, sign: float = 1.0) -> list[str]:
    """Names of those that nothing cheaper is as good as, the cheapest first (Pareto).

    Args:
        lines: with `score` and the cost; those without one are passed over.
        cost: the key, such as `seconds`.
        sign: -1 where less of the score is better.

    >>> def line(name, score, cost):
    ...     return {"name": name, "score": {"value": score}, "cost": cost}
    >>> front([line("a", 0.9, 9), line("b", 0.8, 1), line("c", 0.7, 5)], "cost")
    ['b', 'a']
    """
    priced = [one for one in lines if one.get(cost) is not None and one.get("rank", 1)]
    best, found = float("-inf"), []
    for one in sorted(priced, key=lambda one: (one[cost], -sign * one["score"]["value"])):
        if sign * one["score"]["value"] > best:
            best = sign * one["score"]["value"]
            found.append(one["name"])
    return found
