"""What logits over classes mean: one class of them, or any number of them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Protocol

import numpy as np

SMALLEST = 1e-12  # a probability of nothing would cost an endless loss
STEPS = 500  # of the regressions of all classes at once


class Choice(Protocol):
    """From logits to probabilities and answers, and the regression that fits them."""

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """(rows, classes), float64."""
        ...

    def logits(self, probabilities: np.ndarray) -> np.ndarray:
        """Some logits with these probabilities, (rows, classes)."""
        ...

    def losses(self, probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Nats of every row, (rows,)."""
        ...

    def mean_loss(
        self, probabilities: np.ndarray, targets: np.ndarray, weights: np.ndarray | None
    ) -> float:
        """The mean of the losses, classes weighted."""
        ...

    def chosen(self, probabilities: np.ndarray) -> np.ndarray:
        """The answer: which classes, (rows, classes) of yes and no."""
        ...

    def right(self, probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Which rows are answered rightly, (rows,) of yes and no."""
        ...

    def centred(self, logits: np.ndarray) -> np.ndarray:
        """Logits without what changes no probability."""
        ...

    def lead(self, logits: np.ndarray) -> np.ndarray:
        """How far logits may move before an answer changes, (rows,)."""
        ...

    def doubt(self, probabilities: np.ndarray) -> np.ndarray:
        """1 where the answer could as well be another, near 0 where it is sure, (rows,)."""
        ...

    def told_apart(self, targets: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
        """The classes that a regression on these rows can tell, and the targets among those."""
        ...

    def regression(
        self,
        features: np.ndarray,
        targets: np.ndarray,
        classes: int,
        c: float,
        weights: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weight (classes, width) and bias of the L2-penalised logistic regression."""
        ...


class OneOf:
    """One class of all; targets are (rows,) class indices, weights (classes,) those of rows."""

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """The softmax."""
        return softmax(logits)

    def logits(self, probabilities: np.ndarray) -> np.ndarray:
        """Their logarithms."""
        return np.log(probabilities.clip(SMALLEST))

    def losses(self, probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Negative log-probability of the right class."""
        return -np.log(probabilities[np.arange(len(targets)), targets].clip(SMALLEST))

    def mean_loss(
        self, probabilities: np.ndarray, targets: np.ndarray, weights: np.ndarray | None
    ) -> float:
        """Rows weighted by their class."""
        each = np.ones(len(targets)) if weights is None else weights[targets]
        return float(np.average(self.losses(probabilities, targets), weights=each))

    def chosen(self, probabilities: np.ndarray) -> np.ndarray:
        """The likeliest class, the first of equals."""
        return np.arange(probabilities.shape[1]) == probabilities.argmax(1)[:, None]

    def right(self, probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Whether the likeliest class is the right one."""
        return probabilities.argmax(1) == targets

    def centred(self, logits: np.ndarray) -> np.ndarray:
        """Without the row's mean: a shift of every logit changes nothing."""
        return logits - logits.mean(axis=1, keepdims=True)

    def lead(self, logits: np.ndarray) -> np.ndarray:
        """Of the best class over the second."""
        best = np.sort(logits, axis=1)
        return best[:, -1] - best[:, -2]

    def doubt(self, probabilities: np.ndarray) -> np.ndarray:
        """How near the two best classes are.

        >>> OneOf().doubt(np.array([[0.5, 0.5], [1.0, 0.0]])).round(2).tolist()
        [1.0, 0.0]
        """
        best = np.sort(probabilities, axis=1)
        return 1.0 - (best[:, -1] - best[:, -2])

    def told_apart(self, targets: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
        """Those that occur, numbered anew."""
        present = np.unique(targets)
        return present, np.searchsorted(present, targets)

    def regression(
        self,
        features: np.ndarray,
        targets: np.ndarray,
        classes: int,
        c: float,
        weights: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Multinomial, scikit-learn's; every class occurs."""
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(
            C=c,
            max_iter=1000,
            tol=1e-3,
            class_weight=None if weights is None else dict(enumerate(weights)),
        )
        with warnings.catch_warnings():  # many classes of two rows are classes all the same
            warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%")
            model.fit(features, targets)
        weight, bias = model.coef_, model.intercept_
        if classes == 2:  # sklearn keeps one row for two classes
            weight, bias = np.stack([-weight[0], weight[0]]) / 2, np.stack([-bias[0], bias[0]]) / 2
        return weight, bias


@dataclass(frozen=True, eq=False)
class AnyOf:
    """Any number of classes; targets are (rows, classes) of 0 and 1, weights those of the ones.

    Attributes:
        thresholds: (classes,) the least probability of a class that is answered; None for 0.5.
        least: 1 where every row has a class, so that the likeliest is answered where none
            reaches its threshold; else 0.
    """

    thresholds: np.ndarray | None = None
    least: int = 0

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """The sigmoid."""
        from scipy.special import expit

        return expit(np.asarray(logits, np.float64))

    def logits(self, probabilities: np.ndarray) -> np.ndarray:
        """The logarithms of their odds."""
        kept = probabilities.clip(SMALLEST, 1 - SMALLEST)
        return np.log(kept) - np.log1p(-kept)

    def losses(self, probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Binary log-loss, the mean over the classes."""
        return _binary(probabilities, targets).mean(axis=1)

    def mean_loss(
        self, probabilities: np.ndarray, targets: np.ndarray, weights: np.ndarray | None
    ) -> float:
        """Ones weighted by their class."""
        each = 1.0 if weights is None else np.where(targets > 0, weights, 1.0)
        return float(np.average(_binary(probabilities, targets), weights=each + 0.0 * targets))

    def chosen(self, probabilities: np.ndarray) -> np.ndarray:
        """Classes at or above their threshold; with `least` at least the likeliest."""
        found = probabilities >= (0.5 if self.thresholds is None else self.thresholds)
        if self.least:
            none = np.flatnonzero(~found.any(axis=1))
            found[none, probabilities[none].argmax(axis=1)] = True
        return found

    def right(self, probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Whether every class is answered rightly."""
        return (self.chosen(probabilities) == (targets > 0)).all(axis=1)

    def centred(self, logits: np.ndarray) -> np.ndarray:
        """As they are: every shift counts."""
        return logits

    def lead(self, logits: np.ndarray) -> np.ndarray:
        """Of the class nearest to its threshold; where none reaches it, also of the likeliest."""
        limits = np.full(logits.shape[1], 0.5) if self.thresholds is None else self.thresholds
        apart = logits - self.logits(limits)
        lead = np.abs(apart).min(axis=1)
        if not self.least or logits.shape[1] < 2:
            return lead
        best = np.sort(logits, axis=1)
        below = (apart < 0).all(axis=1)
        return np.where(below, np.minimum(lead, best[:, -1] - best[:, -2]), lead)

    def doubt(self, probabilities: np.ndarray) -> np.ndarray:
        """How near the classes are to their thresholds, the mean over classes.

        >>> AnyOf().doubt(np.array([[0.5, 0.5], [1.0, 0.0]])).round(2).tolist()
        [1.0, 0.0]
        """
        limits = (
            np.full(probabilities.shape[1], 0.5) if self.thresholds is None else self.thresholds
        )
        # moved so that every threshold lies at 0.5
        even = self.probabilities(self.logits(probabilities) - self.logits(limits))
        return (1 - np.abs(2 * even - 1)).mean(axis=1)

    def told_apart(self, targets: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
        """All: one that never occurs is unlikely everywhere."""
        return np.arange(classes), targets

    def regression(
        self,
        features: np.ndarray,
        targets: np.ndarray,
        classes: int,
        c: float,
        weights: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """One against the rest, all classes at once.

        The classes' losses share no weight, so their sum has the optimum of each; L-BFGS on all of
        them needs one product of matrices a step where a loop over classes needs one for each.
        """
        from scipy.optimize import minimize
        from scipy.special import expit, log_expit

        found = np.asarray(features, dtype=np.float64)
        rows, width = found.shape
        truth = np.asarray(targets, dtype=np.float64)
        heavy = np.ones_like(truth) if weights is None else np.where(truth > 0, weights, 1.0)

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            table = flat.reshape(classes, width + 1)
            logits = found @ table[:, :-1].T + table[:, -1]  # (rows, classes)
            value = -(heavy * (log_expit(logits) - (1 - truth) * logits)).sum()
            away = heavy * (expit(logits) - truth)
            slope = np.concatenate([away.T @ found, away.sum(axis=0)[:, None]], axis=1)
            slope[:, :-1] += table[:, :-1] / c
            value += (table[:, :-1] ** 2).sum() / (2 * c)
            return float(value) / rows, slope.ravel() / rows

        start = np.zeros((classes, width + 1))
        shares = (heavy * truth).sum(axis=0) / heavy.sum(axis=0)
        start[:, -1] = self.logits(shares)
        best = minimize(
            loss,
            start.ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": STEPS, "gtol": 1e-5, "ftol": 1e-9},
        ).x.reshape(classes, width + 1)
        return best[:, :-1].copy(), best[:, -1].copy()


ONE_OF = OneOf()
ANY_OF = AnyOf()


def _binary(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Nats of every row and class, (rows, classes)."""
    own = np.where(targets > 0, probabilities, 1 - probabilities)
    return -np.log(own.clip(SMALLEST))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Row-wise, in float64.

    >>> softmax(np.zeros((1, 2))).tolist()
    [[0.5, 0.5]]
    """
    shifted = np.exp(np.asarray(logits, np.float64) - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
