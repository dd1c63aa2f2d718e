"""What a candidate can be expected to lose on new rows: by the folds, and by what is known before.

With few rows the folds say little: on 128 rows of SST-2 two blocks of `freeze` came within a
standard error of the best and were five points worse on 1,000 test rows. What other data sets have
shown of the methods is a second witness. Both are put together by their uncertainty (the posterior
mean of a normal prior): with 16 rows the earlier measurements decide, with 1,000 the folds do.

    gain_m = 1 - loss_m / loss_first            what is believed of, and measured
    expected = mean + P (P + S)^-1 (gain - mean)

S is the covariance of the mean gains over rows, 1 + answered / learned times that of independent
fits, for the fits of the folds share their rows (Nadeau and Bengio 2003, Inference for
the Generalization Error, section 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fewtune.choose.prior import Belief

WORTH = 0.01  # of the log-loss: what a dearer candidate must be expected to gain
LEAST = 1e-6  # nats, where the baseline makes no mistake
#: Standard deviation of a row's gain, at the least (usual are .7 to 1): where nobody is better than
#: chance all calibrated losses are alike, and that is no certainty that all are equally good.
SPREAD = 0.25


@dataclass(frozen=True)
class Prior:
    """Beliefs about the candidates of a race.

    Attributes:
        first: the baseline that gains are told over.
        beliefs: of every other one.
        learned: rows that a fit of a fold learns.
    """

    first: str
    beliefs: Mapping[str, Belief]
    learned: int

    def expected(self, losses: Mapping[str, np.ndarray]) -> dict[str, float]:
        """The gain that each is expected to have on new rows, a share of the first's log-loss.

        Args:
            losses: name -> (rows,), NaN where it has not answered; the first among them. Rows that
                not all have answered do not count.
        """
        names = [name for name in losses if name in self.beliefs]
        mean, before = self._before(names)
        told = np.stack([losses[name] for name in (self.first, *names)])
        told = told[:, np.isfinite(told).all(axis=0)]
        rows = told.shape[1]
        if names and rows > 1:
            gains = (told[0] - told[1:]) / max(told[0].mean(), LEAST)
            spread = np.atleast_2d(np.cov(gains)) + SPREAD**2 * np.eye(len(names))
            noise = spread / rows * (1 + rows / self.learned)
            mean = mean + before @ np.linalg.solve(before + noise, gains.mean(axis=1) - mean)
        return {self.first: 0.0} | dict(zip(names, map(float, mean), strict=True))

    def _before(self, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Mean (names,) and covariance (names, names) before any fold."""
        known = [self.beliefs[name] for name in names]
        together = np.array([one.together for one in known])
        alone = np.array([one.alone for one in known])
        return np.array([one.mean for one in known]), np.outer(together, together) + np.diag(
            alone**2
        )
