"""Who wins a race: functions of the losses, and of what was known before.

The cheapest of those that are as good as the best. Where nothing is known before, these are the
ones within one standard error of it (Breiman et al. 1984, section 3.4.3: nearly as good, and less
chosen by chance); where something is, those that are not expected to be worse by more than
`expected.WORTH` (docs/decisions/0016). What a search proposed must be ahead by more, the more
proposals there were (docs/decisions/0014).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from fewtune.trials.expected import WORTH, Prior


def choose(
    losses: Mapping[str, np.ndarray],
    cost: Mapping[str, float],
    proposed: Collection[str] = (),
    prior: Prior | None = None,
) -> str:
    """The cheapest of those that are as good as the best.

    The best of many proposals is ahead of its equals by chance. One of them is chosen only where
    it is the best of all and ahead of every candidate of the plan by more than the errors that
    chance gives the best of so many (`errors_of`).

    Args:
        losses: name -> (rows,), NaN where a candidate did not answer.
        cost: name -> seconds.
        proposed: which of them a search proposed.
        prior: what is known of the others.

    >>> near = {"a": np.array([1.0, 2, 3, 2]), "b": np.array([1.1, 1.8, 3, 1.9])}
    >>> choose(near, {"a": 1, "b": 9}), choose(near, {"a": 9, "b": 1})
    ('a', 'b')
    """
    best = best_of(losses)
    planned = {name: one for name, one in losses.items() if name not in proposed}
    if best in proposed:
        errors = errors_of(len(proposed), int(np.isfinite(losses[best]).sum()))
        as_good = within({**planned, best: losses[best]}, best, errors)
        if as_good == [best]:
            return best
        near = [name for name in as_good if name != best]
        if prior is not None:
            near = worth(prior.expected(planned), near)
        return min(near, key=cost.__getitem__)
    return min(as_good_as_best(planned, prior), key=cost.__getitem__)


def as_good_as_best(losses: Mapping[str, np.ndarray], prior: Prior | None = None) -> list[str]:
    """Who cannot be told from the best, the best first.

    >>> as_good_as_best({"a": np.array([1.0, 2, 3]), "b": np.array([4.0, 5, 6.5])})
    ['a']
    """
    best = best_of(losses)
    if prior is None:
        found = within(losses, best)
    else:
        rows = np.isfinite(losses[best])
        whole = {k: one for k, one in losses.items() if np.array_equal(np.isfinite(one), rows)}
        hoped = prior.expected(whole)
        best = max(hoped, key=hoped.__getitem__)
        found = worth(hoped, hoped)
    return [best, *(name for name in found if name != best)]


def worth(hoped: Mapping[str, float], some: Collection[str]) -> list[str]:
    """Those that no other of them is expected to be better than by more than `WORTH`."""
    known = {name: hoped[name] for name in some if name in hoped}
    most = max(known.values(), default=0.0)
    return [name for name, gain in known.items() if gain >= most - WORTH] or [*some]


def errors_of(proposals: int, rows: int) -> float:
    """By how many standard errors chance puts one of so many equals ahead as often as one by one.

    Student's distribution, for with few rows the standard error itself is uncertain.

    >>> [round(errors_of(count, 500), 2) for count in (1, 4, 12, 50)]
    [1.0, 1.76, 2.23, 2.74]
    >>> [round(errors_of(count, 16), 2) for count in (1, 12)]
    [1.0, 2.44]
    """
    from scipy.stats import t

    freedom = max(1, rows - 1)
    return -float(t.ppf(t.cdf(-1.0, freedom) / max(1, proposals), freedom))


def best_of(losses: Mapping[str, np.ndarray]) -> str:
    """The lowest mean loss of those that answered all the rows that anybody did.

    Whoever left was beaten, or was the least promising when time ran short; and means over
    different rows would not compare.
    """
    rows = {name: int(np.isfinite(one).sum()) for name, one in losses.items()}
    whole = [name for name in losses if rows[name] == max(rows.values())]
    return min(whole, key=lambda name: float(np.nanmean(losses[name])))


def within(losses: Mapping[str, np.ndarray], best: str, errors: float = 1.0) -> list[str]:
    """The best, and those at most so many standard errors of the paired difference behind it."""
    rows = np.isfinite(losses[best])
    found = []
    for name, one in losses.items():
        if not np.array_equal(np.isfinite(one), rows):
            continue
        apart = one[rows] - losses[best][rows]
        error = apart.std(ddof=1) / len(apart) ** 0.5 if len(apart) > 1 else 0.0
        if apart.mean() <= errors * error:
            found.append(name)
    return found


def cross_choices(
    losses: Mapping[str, np.ndarray],
    cost: Mapping[str, float],
    folds: Sequence[np.ndarray],
    proposed: Collection[str] = (),
    prior: Prior | None = None,
) -> list[str]:
    """Of each fold the name that is chosen without a look at the fold's own rows.

    Its answers to the fold are then those of a choice and of fits that have not seen the rows: the
    score of the whole procedure, at the price of one race.

    Args:
        losses, cost, proposed, prior: as `choose` takes them.
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
        chosen.append(choose(heard, cost, proposed, prior))
    return chosen
