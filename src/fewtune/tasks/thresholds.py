"""From which probability on a label is answered, chosen on rows that were not learned from.

For probabilities that mean what they say, the threshold with the highest F1 is half that F1
(Lipton et al. 2014, arXiv:1402.1892), so 0.5 answers too little wherever labels are hard to tell.
"""

from __future__ import annotations

import numpy as np

from fewtune.models.choice import AnyOf

TRIED = 200  # candidates for the common threshold
FEWEST = 20  # ones of a class with a threshold of its own; the best of fewer is chance
LOWEST, HIGHEST = 0.01, 0.99


def thresholds_for(
    probabilities: np.ndarray, targets: np.ndarray, least: int, kind: str
) -> np.ndarray:
    """A threshold for each class, (classes,).

    Args:
        probabilities: (rows, classes), given by models that did not learn from the rows.
        targets: (rows, classes) of 0 and 1.
        least: as in `AnyOf`.
        kind: `common`: one for all classes, with the highest micro F1; `class`: of each class the
            one with its highest F1, where it has FEWEST ones, else the common one; `half`: 0.5.
    """
    classes = probabilities.shape[1]
    if kind == "half" or not targets.any():  # without a one nothing tells a threshold
        return np.full(classes, 0.5)
    found = np.full(classes, common(probabilities, targets, least))
    if kind == "class":
        for k in np.flatnonzero(targets.sum(axis=0) >= FEWEST):
            found[k] = of_class(probabilities[:, k], targets[:, k])
    return found


def common(probabilities: np.ndarray, targets: np.ndarray, least: int) -> float:
    """The threshold for all classes with the highest micro F1, the middle of equally good ones."""
    tried = np.quantile(probabilities, np.linspace(0, 1, TRIED + 1))
    tried = np.unique(tried.clip(LOWEST, HIGHEST))
    tried = np.concatenate([tried, (tried[1:] + tried[:-1]) / 2])
    tried.sort()
    ones = targets > 0
    scores = np.zeros(len(tried))
    for k, threshold in enumerate(tried):
        chosen = AnyOf(np.full(probabilities.shape[1], threshold), least).chosen(probabilities)
        scores[k] = 2 * (chosen & ones).sum() / max(1, chosen.sum() + ones.sum())
    best = tried[scores >= scores.max() - 1e-12]
    return float(best[(len(best) - 1) // 2])


def of_class(probabilities: np.ndarray, ones: np.ndarray) -> float:
    """The threshold with the highest F1 of one class, half way to the next probability below.

    >>> round(of_class(np.array([0.9, 0.8, 0.3, 0.1]), np.array([1, 1, 0, 0])), 2)
    0.55
    """
    order = np.argsort(-probabilities, kind="stable")
    sure, hits = probabilities[order], np.cumsum(ones[order])
    scores = 2 * hits / (np.arange(1, len(order) + 1) + hits[-1])
    last = np.append(sure[1:] < sure[:-1], True)  # rows of equal probability go together
    at = int(np.where(last, scores, -1.0).argmax())
    below = sure[at + 1] if at + 1 < len(sure) else 0.0
    return float(np.clip((sure[at] + below) / 2, LOWEST, HIGHEST))
