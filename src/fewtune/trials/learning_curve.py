"""What more rows would bring: the score by the number of rows learned, and a power law through it.

Fits to 25, 50 and 75 % of the rows that a fold learns join the race's own fits to all of them. The
interval comes from resampling the rows that were answered; how lucky the draw of the smaller sets
was is not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fewtune.base.events import Event, tell
from fewtune.evaluate.answers import Sums
from fewtune.evaluate.generate import score
from fewtune.evaluate.intervals import resamples
from fewtune.evaluate.units import Units, worth
from fewtune.trials.power_law import Law, fitted_law
from fewtune.trials.runners import Entrant, Fitted, Kept, fit
from fewtune.trials.smaller import Smaller

SHARES = (0.25, 0.5, 0.75)  # of the rows a fold learns, beside all of them
LEAST = 10  # rows in the smallest set
DIFFERENT = 3  # sizes, for a law of three numbers
DRAWS = 1000  # resamples of the answered rows
DRAWN = 24  # points of the fitted curve

Line = dict[str, Any]


@dataclass(frozen=True)
class Heard:
    """What a candidate answered, by how many rows were learned.

    Attributes:
        sizes: rows learned, mean over folds, ascending; (sizes,).
        answers: of each size, to the rows of fold after fold, (held, ...).
        failed: the sentence that a fit failed with; then there are no answers.
    """

    sizes: np.ndarray
    answers: list[np.ndarray]
    failed: str = ""


@dataclass(frozen=True)
class Curve:
    """A score by how many rows were learned.

    Attributes:
        sizes: rows learned, ascending; (sizes,).
        scores: of each size, on the same rows.
        metric: `accuracy`, `micro_f1` or `loss`, nats a token.
    """

    sizes: np.ndarray
    scores: Sequence[Sums]
    metric: str

    def errors(self, weights: np.ndarray) -> np.ndarray:
        """What should fall, (resamples, sizes).

        Args:
            weights: (resamples, rows) how often each row counts.
        """
        found = [one.function(weights @ one.rows) for one in self.scores]
        return np.stack([self.error(one) for one in found], axis=1)

    def error(self, values: np.ndarray) -> np.ndarray:
        """Of a share that is right what is missing, and back; a loss is one as it stands."""
        return 1 - values if self.scores[0].higher_is_better else values

    def by_law(self, rows: float, law: Law) -> np.ndarray:
        """The metric that a law tells of a number of rows, (laws,)."""
        return self.error(law.error(rows))

    @property
    def is_share(self) -> bool:
        """Whether the score lies in 0 to 1 and is told in percent."""
        return bool(self.scores[0].higher_is_better)


def measured(
    entrant: Entrant,
    folds: Sequence[np.ndarray],
    rows: int,
    smaller: Smaller,
    whole: Kept,
    kept: Kept,
    count: Callable[[np.ndarray], int] = len,
) -> Generator[Event, None, Heard]:
    """The answers of a candidate on folds of its race.

    Args:
        entrant: the candidate.
        folds: held-out positions of each, no row in two.
        rows: how many positions there are.
        smaller: draws the smaller sets.
        whole: where fits to all rows of a fold are, a race's, or to be.
        kept: where those to fewer rows are kept, so that a run which was killed goes on.
        count: how many rows positions are.
    """
    sizes = sizes_of(folds, rows, smaller, count)
    answers: list[list[np.ndarray]] = [[] for _ in sizes]
    for number, held in enumerate(folds):
        learned = np.setdiff1d(np.arange(rows), held)
        for column, share in enumerate(SHARES):
            some = smaller(learned, share)
            found = fit_once(entrant, some, held, kept, f"{entrant.name}-{share:.0%}", number)
            if found.failed:
                return Heard(sizes, [], found.failed)
            answers[column].append(found.answers)
        all_ = fit_once(entrant, learned, held, whole, entrant.name, number)
        if all_.failed:
            return Heard(sizes, [], all_.failed)
        answers[-1].append(all_.answers)
        told = {"fold": number + 1, "folds": len(folds), "rows": len(held)}
        yield tell("trial", trial=f"learning curve of {entrant.name}", **told)
    return Heard(sizes, [np.concatenate(one) for one in answers])


def sizes_of(
    folds: Sequence[np.ndarray],
    rows: int,
    smaller: Smaller,
    count: Callable[[np.ndarray], int] = len,
) -> np.ndarray:
    """How many rows the sets have, mean over folds, and last all that a fold learns; (sizes,)."""
    sizes = np.zeros(len(SHARES) + 1)
    for held in folds:
        learned = np.setdiff1d(np.arange(rows), held)
        sets = [*(smaller(learned, share) for share in SHARES), learned]
        sizes += np.array([count(one) for one in sets]) / len(folds)
    return sizes


def too_alike(sizes: np.ndarray) -> bool:
    """Whether a law through them would be fitted to nothing.

    >>> too_alike(np.array([77, 77.2, 123, 123])), too_alike(np.array([77, 77, 93, 123]))
    (True, False)
    """
    return len(np.unique(sizes.round())) < DIFFERENT


def fit_once(
    entrant: Entrant, rows: np.ndarray, held: np.ndarray, kept: Kept, name: str, fold: int
) -> Fitted:
    """A fit, made where it is not kept yet, and kept."""
    found = kept.read(name, fold)
    if found is None:
        found = fit(entrant, rows, held)
        kept.write(name, fold, found)
    return found


@dataclass(frozen=True)
class Drawn:
    """The laws that other samples of the answered rows would have given.

    Attributes:
        seen: through what was measured; like the others it may rise, (1,).
        alone: on resamples of the rows, (laws,).
        together: on resamples of their units; None where rows are the units.
        units: of the rows.
    """

    seen: Law
    alone: Law
    together: Law | None = None
    units: Units | None = None

    def interval(self, value: float, of: Callable[[Law], np.ndarray]) -> tuple[float, float]:
        """The 95 % interval of a number, wider where rows of one unit are alike (decision 0020).

        The percentile interval and the reflected one together, as far to one side as to the other:
        the ends that `a` and `c` have hold the resampled laws on one side, and the percentiles
        alone held the truth in 76 to 86 % where no error remains in the end (docs/log.md).

        Args:
            value: of the law that is told, and is in the interval.
            of: laws -> the number by each, (laws,).
        """
        alone = of(self.alone)
        together = None if self.together is None else of(self.together)
        factor = worth(alone, together, self.units).factor
        seen = float(of(self.seen)[0])
        reach = factor * float(np.abs(np.quantile(alone, [0.025, 0.975]) - seen).max())
        return min(value, seen - reach), max(value, seen + reach)


def drawn_laws(curve: Curve, seed: int = 0) -> Drawn:
    """Laws through the curve on resamples of its rows; these may rise (`fitted_law`)."""
    rows, units = len(curve.scores[0].rows), curve.scores[0].units

    def drawn(units: Units | None) -> Law:
        found = [curve.errors(weights) for weights in resamples(rows, DRAWS, seed, units)]
        errors = np.concatenate(found)
        return fitted_law(curve.sizes, errors[np.isfinite(errors).all(axis=1)], falls=False)

    seen = fitted_law(curve.sizes, curve.errors(np.ones((1, rows))), falls=False)
    return Drawn(seen, drawn(None), drawn(units) if units else None, units)


# ---- what is told


def more_rows(rows: int) -> int:
    """A round number of rows, no more than there are: the law is not asked about far ones.

    >>> more_rows(60), more_rows(300), more_rows(999)
    (50, 200, 500)
    """
    power = 10 ** (len(str(rows)) - 1)
    return max(step * power for step in (1, 2, 5) if step * power <= rows)


def told(curve: Curve, name: str, rows: int, seed: int = 0) -> Line:
    """The curve for the plan and the report.

    Args:
        curve: what was measured.
        name: of the candidate.
        rows: how many rows the final fit learns.
        seed: of the resamples.

    Returns:
        `method`, `metric`, `points` (rows, value, low, high), `said`, a sentence, `more` (rows) and
        `gain`, positive where it is better; and where a law fits `fitted` (points as well).
    """
    points = [
        {"rows": round(n), **score({curve.metric: one}, seed=seed)[curve.metric]}
        for n, one in zip(curve.sizes, curve.scores, strict=True)
    ]
    found: Line = {"method": name, "metric": curve.metric, "points": points}
    best = fitted_law(curve.sizes, curve.errors(np.ones((1, len(curve.scores[0].rows)))))
    drawn, more = drawn_laws(curve, seed), more_rows(rows)

    def brought(law: Law) -> np.ndarray:
        return law.error(rows) - law.error(rows + more)

    gain = float(brought(best)[0])
    low, high = drawn.interval(gain, brought)
    found |= {"more": more, "gain": {"value": gain, "low": low, "high": high}}
    if best.b[0] <= 0:
        return found | {"said": _flat(curve, name, points, more, high)}
    return found | {
        "said": f"{more:,} more rows would {_gained(curve, gain, low, high)}, by the learning "
        f"curve of `{name}`.",
        "fitted": _drawn(curve, best, drawn, rows + more),
    }


_IN_WORDS = {"accuracy": "accuracy", "micro_f1": "micro F1", "loss": "loss of the answers"}


def _gained(curve: Curve, gain: float, low: float, high: float) -> str:
    metric = _IN_WORDS[curve.metric]
    if curve.is_share:
        ends = f"{100 * low:.1f} to {100 * high:.1f}"
        return f"bring about {100 * gain:+.1f} points ({ends}) of {metric}"
    return f"lower the {metric} by about {gain:.3f} nats a token ({low:.3f} to {high:.3f})"


def _flat(curve: Curve, name: str, points: Sequence[Line], more: int, most: float) -> str:
    """No law fits: the score does not get better, but for what chance may hide."""
    first, last = (
        f"{one['value']:.1%}" if curve.is_share else f"{one['value']:.3f} nats a token"
        for one in (points[0], points[-1])
    )
    return (
        f"No learning curve can be fitted: with more rows `{name}` becomes no better "
        f"({_IN_WORDS[curve.metric]} {first} after {points[0]['rows']:,} rows, {last} after "
        f"{points[-1]['rows']:,}); {more:,} more rows would bring {_at_most(curve, most)}."
    )


def _at_most(curve: Curve, gain: float) -> str:
    if curve.is_share:
        return f"{100 * gain:.1f} points at most"
    return f"{gain:.3f} nats a token at most"


def _drawn(curve: Curve, best: Law, drawn: Drawn, last: float) -> list[Line]:
    """The fitted curve with its 95 % band, in the metric's own units."""
    found = []
    clip = partial(np.clip, a_min=0.0, a_max=1.0 if curve.is_share else None)
    for rows in np.geomspace(curve.sizes[0], last, DRAWN):
        value = float(curve.by_law(rows, best)[0])
        low, high = drawn.interval(value, partial(curve.by_law, rows))
        low, value, high = (float(clip(one)) for one in (low, value, high))
        found.append({"rows": round(float(rows)), "value": value, "low": low, "high": high})
    return found
