"""The probe: multinomial logistic regression on frozen features, as a linear head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SETTINGS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
USUAL = 30.0  # on features of length 1; see docs/log.md


@dataclass(frozen=True, slots=True)
class Probe:
    """A linear head on raw features: logits = features @ weight.T + bias.

    `weight` is (classes, width), `bias` (classes,), both float64; `c` the inverse strength of the
    L2 penalty it was fitted with.
    """

    weight: np.ndarray
    bias: np.ndarray
    c: float

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """(rows, classes)."""
        return softmax(features @ self.weight.T + self.bias)


def fit_probe(
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    c: float = USUAL,
    weights: np.ndarray | None = None,
) -> Probe:
    """Fit on features scaled to unit variance in total, folded back into the raw scale.

    Features of length 1 (sentence encoders) are only centred; others are standardised, because a
    decoder's few huge dimensions would otherwise be all that the penalty lets through.

    Args:
        features: (rows, width).
        labels: (rows,) class indices; every class occurs.
        weights: (classes,) class weights.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    shift = features.mean(0, dtype=np.float64)
    unit = np.allclose(np.linalg.norm(features[:32], axis=1), 1.0, atol=1e-2)
    # sqrt(width): standardised features get about the length that unit features have
    scale = 1.0 if unit else features.std(0, dtype=np.float64) * np.sqrt(features.shape[1]) + 1e-8
    model = LogisticRegression(
        C=c,
        max_iter=1000,
        tol=1e-3,
        class_weight=None if weights is None else dict(enumerate(weights)),
    )
    # One thread: the problem is small, and BLAS threads that wait for one another spin.
    with threadpool_limits(limits=1, user_api="blas"):
        model.fit((features - shift) / scale, labels)
    weight, bias = model.coef_, model.intercept_
    if classes == 2:  # sklearn keeps one row for two classes
        weight, bias = np.stack([-weight[0], weight[0]]) / 2, np.stack([-bias[0], bias[0]]) / 2
    weight = weight / scale
    return Probe(weight, bias - weight @ shift, c)


def out_of_fold(
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    folds: list[np.ndarray],
    settings: tuple[float, ...] = SETTINGS,
    weights: np.ndarray | None = None,
) -> tuple[float, dict[float, float], np.ndarray]:
    """Choose the penalty on folds of the training rows.

    Args:
        features: (rows, width).
        labels: (rows,) class indices.
        folds: held-out row indices of each fold.
        settings: values of C to compare, by log-loss.
        weights: (classes,) class weights of the fits and of the log-loss.

    Returns:
        The best C, the log-loss of each, and the best one's out-of-fold probabilities.
    """
    losses, kept = {}, {}
    for c in settings:
        out = np.full((len(labels), classes), 1.0 / classes)
        for held in folds:
            train = np.setdiff1d(np.arange(len(labels)), held)
            present = np.unique(labels[train])
            probe = fit_probe(
                features[train],
                np.searchsorted(present, labels[train]),
                len(present),
                c,
                None if weights is None else weights[present],
            )
            out[held] = 1e-6  # a class that a fold's training rows lack is all but excluded
            out[np.ix_(held, present)] = probe.probabilities(features[held])
        each = -np.log(out[np.arange(len(labels)), labels].clip(1e-12))
        losses[c] = float(np.average(each, weights=None if weights is None else weights[labels]))
        kept[c] = out
    best = min(losses, key=lambda c: losses[c])
    return best, losses, kept[best]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Row-wise, in float64.

    >>> softmax(np.zeros((1, 2))).tolist()
    [[0.5, 0.5]]
    """
    shifted = np.exp(np.asarray(logits, np.float64) - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
