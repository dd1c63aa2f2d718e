"""Which unlabelled rows a person should label next: the least certain, none like another.

Uncertainty sampling by the margin between the two best classes (Scheffer et al. 2001,
doi:10.1007/3-540-44816-0_31), where there may be several labels by that to their thresholds; a row
loses what it shares with rows already chosen, as in maximal marginal relevance (Carbonell and
Goldstein 1998, doi:10.1145/290941.291025).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fewtune.models.choice import ONE_OF, Choice

LETTERS = (2, 4)  # character n-grams, so that Chinese and English are alike
BUCKETS = 2**16


def most_useful(
    texts: Sequence[str], probabilities: np.ndarray, count: int, choice: Choice = ONE_OF
) -> list[int]:
    """Positions of the rows to label, the most useful first.

    Args:
        texts: (rows,).
        probabilities: (rows, classes).
        count: rows wanted; fewer where texts repeat.
        choice: what the probabilities mean, and so how near an answer is to another.

    Returns:
        Positions; a text that is asked already is not asked again.

    >>> sure = np.array([[0.99, 0.01], [0.5, 0.5], [0.5, 0.5], [0.6, 0.4]])
    >>> most_useful(["ok", "a strange noise", "a strange noise", "leaks oil"], sure, 3)
    [1, 3, 0]
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    if not texts:
        return []
    counted = HashingVectorizer(analyzer="char_wb", ngram_range=LETTERS, n_features=BUCKETS)
    vectors = counted.transform(texts)  # (rows, buckets), rows of length 1
    doubt = choice.doubt(probabilities)
    likeness = np.zeros(len(texts))  # to the likest row that is chosen
    left = np.ones(len(texts), dtype=bool)
    chosen: list[int] = []
    while len(chosen) < count and left.any():
        best = int(np.where(left, doubt * (1 - likeness), -1.0).argmax())
        chosen.append(best)
        own = np.asarray((vectors @ vectors[best].T).todense()).ravel()
        likeness = np.maximum(likeness, own)
        left[best] = False
        left &= likeness < 1 - 1e-6
    return chosen
