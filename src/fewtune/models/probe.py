"""The probe: logistic regression on frozen features, as a linear head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fewtune.models.choice import ONE_OF, Choice, softmax
from fewtune.models.temperature import best_temperature

__all__ = ["Probe", "Tried", "fit_probe", "out_of_fold", "softmax", "usual_temperature"]

SETTINGS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
USUAL = 30.0  # on features of length 1; see docs/log.md
#: The temperature expected of new answers is 1.65 (C / 30) ** 0.4: the weaker the penalty, the
#: surer they are. At C = 30 they need 1.1 in the mean, and too timid costs less than too sure
#: (docs/log.md, The temperature of few rows).
USUAL_TEMPERATURE, GROWTH = 1.65, 0.4


@dataclass(frozen=True, slots=True)
class Probe:
    """A linear head on raw features: logits = features @ weight.T + bias.

    `weight` is (classes, width), `bias` (classes,), both float64; `c` the inverse strength of the
    L2 penalty it was fitted with, and `choice` what its logits mean.
    """

    weight: np.ndarray
    bias: np.ndarray
    c: float
    choice: Choice = ONE_OF

    def at(self, temperature: float) -> Probe:
        """The same ranking with logits divided by `temperature`."""
        return Probe(self.weight / temperature, self.bias / temperature, self.c, self.choice)

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """(rows, classes)."""
        return self.choice.probabilities(features @ self.weight.T + self.bias)


def usual_temperature(c: float) -> float:
    """The temperature that is expected of a probe's answers before any row is seen."""
    return USUAL_TEMPERATURE * (c / USUAL) ** GROWTH


def fit_probe(
    features: np.ndarray,
    targets: np.ndarray,
    classes: int,
    c: float = USUAL,
    weights: np.ndarray | None = None,
    choice: Choice = ONE_OF,
) -> Probe:
    """Fit on features scaled to unit variance in total, folded back into the raw scale.

    Features of length 1 (sentence encoders) are only centred; others are standardised, because a
    decoder's few huge dimensions would otherwise be all that the penalty lets through.

    Args:
        features: (rows, width).
        targets: as `choice` has them: (rows,) class indices; or (rows, classes) of 0 and 1. A class
            that no row has, in a fold say, becomes as unlikely as any class is for any row.
        weights: (classes,) class weights.
    """
    from threadpoolctl import threadpool_limits

    shift = features.mean(0, dtype=np.float64)
    unit = np.allclose(np.linalg.norm(features[:32], axis=1), 1.0, atol=1e-2)
    # sqrt(width): standardised features get about the length that unit features have
    scale = 1.0 if unit else features.std(0, dtype=np.float64) * np.sqrt(features.shape[1]) + 1e-8
    # One thread: the problem is small, and BLAS threads that wait for one another spin.
    with threadpool_limits(limits=1, user_api="blas"):
        found = (features - shift) / scale
        weight, bias = _regression(found, targets, classes, c, weights, choice)
    weight = weight / scale
    return Probe(weight, bias - weight @ shift, c, choice)


def _regression(
    found: np.ndarray,
    targets: np.ndarray,
    classes: int,
    c: float,
    weights: np.ndarray | None,
    choice: Choice,
) -> tuple[np.ndarray, np.ndarray]:
    """Weight (classes, width) and bias, of all classes though some may be missing."""
    present, learned = choice.told_apart(targets, classes)
    by_class = None if weights is None else weights[present]
    if len(present) == classes:
        return choice.regression(found, learned, classes, c, by_class)
    weight, bias = np.zeros((classes, found.shape[1])), np.zeros(classes)
    if len(present) > 1:
        seen = choice.regression(found, learned, len(present), c, by_class)
        weight[present], bias[present] = seen
    absent = np.setdiff1d(np.arange(classes), present)
    bias[absent] = (found @ weight[present].T + bias[present]).min() - np.log(2 * len(found))
    return weight, bias


@dataclass(frozen=True, slots=True)
class Tried:
    """One setting on folds: out-of-fold log-loss at the temperature that suits it."""

    c: float
    temperature: float
    log_loss: float


def out_of_fold(
    features: np.ndarray,
    targets: np.ndarray,
    classes: int,
    folds: list[np.ndarray],
    settings: tuple[float, ...] = SETTINGS,
    weights: np.ndarray | None = None,
    choice: Choice = ONE_OF,
) -> tuple[list[Tried], np.ndarray]:
    """Compare penalties on folds of the training rows.

    Each setting is judged at its own temperature (Guo et al. 2017, arXiv:1706.04599): a strong
    penalty also makes every answer timid, and plain log-loss would take that for a fault of its
    ranking (on BANKING77 it chose C = 300, three points of accuracy below C = 10).

    Args:
        features: (rows, width).
        targets: as `choice` has them: (rows,) class indices, or (rows, classes) of 0 and 1.
        folds: held-out row indices of each fold.
        settings: values of C to compare.
        weights: (classes,) class weights of the fits and of the log-loss.

    Returns:
        The settings, best first, and the best one's out-of-fold probabilities at its temperature;
        rows in no fold keep equal shares.
    """
    held = np.concatenate(folds)
    found = []
    for c in settings:
        logits = _held_out_logits(features, targets, classes, folds, c, weights, choice)
        temperature, loss = best_temperature(
            logits[held], targets[held], weights, choice, usual_temperature(c)
        )
        found.append((Tried(c, temperature, loss), logits))
    found.sort(key=lambda one: one[0].log_loss)
    best, logits = found[0]
    return [tried for tried, _ in found], choice.probabilities(logits / best.temperature)


def _held_out_logits(
    features: np.ndarray,
    targets: np.ndarray,
    classes: int,
    folds: list[np.ndarray],
    c: float,
    weights: np.ndarray | None,
    choice: Choice,
) -> np.ndarray:
    """Logits of every row by the fit that did not see it; 0 where a row is in no fold."""
    logits = np.zeros((len(targets), classes))
    for held in folds:
        train = np.setdiff1d(np.arange(len(targets)), held)
        probe = fit_probe(features[train], targets[train], classes, c, weights, choice)
        logits[held] = features[held] @ probe.weight.T + probe.bias
    return logits
