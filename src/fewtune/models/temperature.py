"""The temperature: what logits are divided by, so that probabilities are worth believing.

Guo et al. 2017, arXiv:1706.04599, choose the one with the lowest log-loss on rows held out. With
few rows that one is far from the best on other rows: sixteen rows that a probe tells apart by luck
make it endlessly sure. So its logarithm has a normal prior, whose weight is that of the rows'
likelihood: with sixteen rows it decides, with five hundred it does not count (docs/log.md, The
temperature of few rows).
"""

from __future__ import annotations

import numpy as np

from fewtune.models.choice import ONE_OF, Choice

USUAL = 1.2  # what trained models need, about the mean over three data sets with MiniLM
SPREAD = 0.5  # standard deviation of its logarithm between data sets
WIDEST = 4.0  # to either side: where the logarithm is looked for


def best_temperature(
    logits: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray | None = None,
    choice: Choice = ONE_OF,
    usual: float = USUAL,
) -> tuple[float, float]:
    """What to divide logits by for the lowest log-loss on new rows, and the log-loss on these.

    Args:
        logits: (rows, classes), of rows that the model has not learned.
        targets: as `choice` has them.
        weights: (classes,) class weights.
        usual: the temperature that is expected before these rows are seen.
    """
    from scipy.optimize import minimize_scalar

    def loss(temperature: float) -> float:
        return choice.mean_loss(choice.probabilities(logits / temperature), targets, weights)

    def unlikely(log_temperature: float) -> float:
        away = (log_temperature - np.log(usual)) / SPREAD
        return loss(np.exp(log_temperature)) + away**2 / (2 * len(targets))

    span = (-WIDEST, WIDEST)
    best = minimize_scalar(unlikely, bounds=span, method="bounded", options={"xatol": 1e-2})
    temperature = float(np.exp(best.x))
    return temperature, loss(temperature)
