"""What more rows would bring: the error by the number of rows learned, and a power law through it.

error(n) = a + b n^-c with a, b >= 0 (Hestness et al. 2017, arXiv:1712.00409; Rosenfeld et al. 2020,
arXiv:1909.12673): `a` is what no number of rows removes. Fits to 25, 50 and 75 % of the rows that
a fold learns join the race's own fits to all of them. The interval comes from resampling the rows
that were answered; how lucky the draw of the smaller sets was is not in it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from fewtune.base.events import Event, tell
from fewtune.evaluate.intervals import resamples, wilson
from fewtune.trials.race import Entrant, Fitted, Kept

SHARES = (0.25, 0.5, 0.75)  # of the rows a fold learns, beside all of them
LEAST = 10  # rows in the smallest set
POWERS = np.linspace(0.1, 1.5, 29)  # of the law; measured curves lie between
DRAWS = 1000  # resamples of the answered rows
DRAWN = 24  # points of the fitted curve


@dataclass(frozen=True)
class Curve:
    """Whether rows were answered wrongly, by how many were learned.

    Attributes:
        sizes: rows learned, mean over folds, ascending; (sizes,).
        wrong: 1 where a row was answered wrongly; (rows, sizes).
    """

    sizes: np.ndarray
    wrong: np.ndarray


def cost(seconds: float, folds: int) -> float:
    """About how many seconds the fits take, where one to a fold's rows takes `seconds`."""
    return sum(SHARES) * folds * seconds


def smaller(learned: np.ndarray, targets: np.ndarray, share: float, seed: int) -> np.ndarray:
    """A share of the learned rows, of every class alike and one of each at least, ascending.

    A smaller share is part of a larger one, so that the curve is of one row after another.

    Args:
        learned: positions.
        targets: (rows,) class indices of all rows.
    """
    order = np.random.default_rng(seed).permutation(len(targets))
    ranked = order[np.isin(order, learned)]
    kept = []
    for one in np.unique(targets[learned]):
        rows = ranked[targets[ranked] == one]
        kept.append(rows[: ceil(share * len(rows))])
    return np.sort(np.concatenate(kept))


def measured(
    entrant: Entrant,
    folds: Sequence[np.ndarray],
    targets: np.ndarray,
    whole: Kept,
    kept: Kept,
    seed: int,
) -> Generator[Event, None, Curve]:
    """The curve of a candidate on the folds of its race.

    Args:
        entrant: the candidate.
        folds: held-out positions of each fold, every row in one.
        targets: (rows,) class indices.
        whole: where the race keeps its fits.
        kept: where those to fewer rows are kept, so that a run which was killed goes on.
        seed: of the draw of the smaller sets.
    """
    sizes = np.zeros(len(SHARES) + 1)
    wrong = np.zeros((len(targets), len(SHARES) + 1))
    for number, held in enumerate(folds):
        learned = np.setdiff1d(np.arange(len(targets)), held)
        for column, share in enumerate(SHARES):
            rows = smaller(learned, targets, share, seed)
            found = _fit(entrant, rows, held, kept, share, number)
            sizes[column] += len(rows) / len(folds)
            wrong[held, column] = found.answers.argmax(axis=1) != targets[held]
        all_ = whole.read(entrant.name, number) or Fitted(entrant.fit(learned, held), 0.0)
        sizes[-1] += len(learned) / len(folds)
        wrong[held, -1] = all_.answers.argmax(axis=1) != targets[held]
        told = {"fold": number + 1, "folds": len(folds), "rows": len(held)}
        yield tell("trial", trial=f"learning curve of {entrant.name}", **told)
    return Curve(sizes, wrong)


def _fit(
    entrant: Entrant, rows: np.ndarray, held: np.ndarray, kept: Kept, share: float, fold: int
) -> Fitted:
    name = f"{entrant.name}-{share:.0%}"
    found = kept.read(name, fold)
    if found is None:
        found = Fitted(entrant.fit(rows, held), 0.0)
        kept.write(name, fold, found)
    return found


# ---- the law


@dataclass(frozen=True)
class Law:
    """error(n) = a + b (n / scale)^-c, one law or many; each of (laws,)."""

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray
    scale: float

    def error(self, rows: float) -> np.ndarray:
        """The error after learning a number of rows, (laws,)."""
        return self.a + self.b * (rows / self.scale) ** -self.c


def fitted_law(sizes: np.ndarray, errors: np.ndarray) -> Law:
    """The law of least squares with a, b >= 0; b = 0 where the errors do not fall.

    Args:
        sizes: (sizes,) rows learned.
        errors: (laws, sizes).
    """
    scale = float(sizes[-1])
    best = np.full(len(errors), np.inf)
    found = np.zeros((3, len(errors)))
    for power in POWERS:
        x = (sizes / scale) ** -power
        a, b = _line(x, errors)
        squares = ((a[:, None] + b[:, None] * x - errors) ** 2).sum(axis=1)
        better = squares < best - 1e-15
        best[better] = squares[better]
        found[:, better] = np.stack([a, b, np.full_like(a, power)])[:, better]
    return Law(found[0], found[1], found[2], scale)


def _line(x: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """a and b of errors = a + b x, neither below 0."""
    away = x - x.mean()
    b = errors @ away / (away @ away)
    a = errors.mean(axis=1) - b * x.mean()
    a, b = np.where(b < 0, errors.mean(axis=1), a), np.maximum(b, 0)
    below = a < 0
    return np.where(below, 0.0, a), np.where(below, errors @ x / (x @ x), b)


def more_rows(rows: int) -> int:
    """A round number of rows, no more than there are: the law is not asked about far ones.

    >>> more_rows(60), more_rows(300), more_rows(999)
    (50, 200, 500)
    """
    power = 10 ** (len(str(rows)) - 1)
    return max(step * power for step in (1, 2, 5) if step * power <= rows)


def told(curve: Curve, name: str, rows: int, seed: int = 0) -> dict[str, Any]:
    """The curve for the plan and the report.

    Args:
        curve: what was measured.
        name: of the candidate.
        rows: how many rows the final fit learns.
        seed: of the resamples.

    Returns:
        `method`, `points` (rows, value, low, high: the share that is right), `said`, a sentence;
        and where a law fits `fitted` (points as well), `more` (rows) and `gain` (accuracy).
    """
    count = len(curve.wrong)
    right = 1 - curve.wrong.mean(axis=0)
    points = [
        {"rows": round(n), "value": float(v), **_ends(*wilson(float(v), count))}
        for n, v in zip(curve.sizes, right, strict=True)
    ]
    found: dict[str, Any] = {"method": name, "points": points}
    best = fitted_law(curve.sizes, curve.wrong.mean(axis=0)[None])
    if best.b[0] <= 0:
        return found | {
            "said": f"No learning curve can be fitted: with more rows `{name}` makes no fewer "
            f"mistakes ({right[0]:.1%} right after {points[0]['rows']:,} rows, {right[-1]:.1%} "
            f"after {points[-1]['rows']:,}), so more rows of this kind promise nothing."
        }
    weights = np.concatenate([*resamples(count, DRAWS, seed)])
    drawn = fitted_law(curve.sizes, weights @ curve.wrong / count)
    more = more_rows(rows)
    gain = float((best.error(rows) - best.error(rows + more))[0])
    ends = np.quantile(drawn.error(rows) - drawn.error(rows + more), [0.025, 0.975])
    low, high = min(gain, float(ends[0])), max(gain, float(ends[1]))
    return found | {
        "said": f"{more:,} more rows would bring about {100 * gain:+.1f} points "
        f"({100 * low:.1f} to {100 * high:.1f}) of accuracy, by the learning curve of `{name}`.",
        "fitted": _drawn(best, drawn, curve.sizes[0], rows + more),
        "more": more,
        "gain": {"value": gain, **_ends(low, high)},
    }


def _drawn(best: Law, drawn: Law, first: float, last: float) -> list[dict[str, float]]:
    """The fitted curve with its 95 % band, as shares that are right."""
    found = []
    for rows in np.geomspace(first, last, DRAWN):
        value = 1 - float(best.error(rows)[0])
        low, high = np.quantile(1 - drawn.error(rows), [0.025, 0.975])
        ends = _ends(max(0.0, min(value, float(low))), min(1.0, max(value, float(high))))
        found.append({"rows": round(float(rows)), "value": max(0.0, value), **ends})
    return found


def _ends(low: float, high: float) -> dict[str, float]:
    return {"low": low, "high": high}
