"""The law through a learning curve: error(n) = a + b n^-c with a, b >= 0.

Hestness et al. 2017, arXiv:1712.00409; Rosenfeld et al. 2020, arXiv:1909.12673. `a` is what no
number of rows removes. A share that is right has the error 1 - share; a loss is an error itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

POWERS = np.linspace(0.1, 1.5, 29)  # of the law; measured curves lie between


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


def fitted_law(sizes: np.ndarray, errors: np.ndarray, falls: bool = True) -> Law:
    """The law of least squares with a, b >= 0; b = 0 where the errors do not fall.

    Args:
        sizes: (sizes,) rows learned.
        errors: (laws, sizes).
        falls: False lets b be below 0: of resamples around no change half must rise, or their
            interval would say that there is a gain.
    """
    scale = float(sizes[-1])
    best = np.full(len(errors), np.inf)
    found = np.zeros((3, len(errors)))
    for power in POWERS:
        x = (sizes / scale) ** -power
        a, b = _line(x, errors, falls)
        squares = ((a[:, None] + b[:, None] * x - errors) ** 2).sum(axis=1)
        better = squares < best - 1e-15
        best[better] = squares[better]
        found[:, better] = np.stack([a, b, np.full_like(a, power)])[:, better]
    return Law(found[0], found[1], found[2], scale)


def _line(x: np.ndarray, errors: np.ndarray, falls: bool) -> tuple[np.ndarray, np.ndarray]:
    """a and b of errors = a + b x, a not below 0, nor b where it must fall."""
    away = x - x.mean()
    b = errors @ away / (away @ away)
    a = errors.mean(axis=1) - b * x.mean()
    if falls:
        a, b = np.where(b < 0, errors.mean(axis=1), a), np.maximum(b, 0)
    below = a < 0
    return np.where(below, 0.0, a), np.where(below, errors @ x / (x @ x), b)
