"""Texts like a text, and texts unlike one another, by TF-IDF of character n-grams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np


class Nearest:
    """Known texts that can be asked for those like another.

    Attributes:
        known: the texts, one at least.
    """

    def __init__(self, known: Sequence[str]) -> None:
        self.known = known

    def __call__(self, asked: Sequence[str], count: int) -> list[list[int]]:
        """For each asked text the positions of the known ones nearest to it, nearest first."""
        if not asked:
            return []
        vectors, index = self._index
        cosine = (vectors.transform(asked) @ index.T).toarray()  # (asked, known)
        return np.argsort(-cosine, axis=1, kind="stable")[:, :count].tolist()

    def diverse(self, groups: Sequence[Any], count: int) -> list[int]:
        """Positions of known texts that differ, group by group, the commonest group first.

        Each group begins with its most typical text; every further one is that which is least like
        all that were taken before.

        Args:
            groups: of each known text, such as its label.
            count: how many.
        """
        _, index = self._index
        members = [
            np.flatnonzero([one == group for one in groups])
            for group, _ in Counter(groups).most_common()
        ]
        taken: list[int] = []
        alike = np.zeros(len(self.known))  # to the likest text that was taken
        for number in range(min(count, len(self.known))):
            left = np.setdiff1d(members[number % len(members)], taken)
            if not len(left):
                left = np.setdiff1d(np.arange(len(self.known)), taken)
            if number < len(members):
                centre = np.asarray(index[left].mean(axis=0)).ravel()
                best = left[int(np.argmax(index[left] @ centre))]
            else:
                best = left[int(np.argmin(alike[left]))]
            taken.append(int(best))
            alike = np.maximum(alike, (index @ index[best].T).toarray().ravel())
        return taken

    @cached_property
    def _index(self) -> tuple[Any, Any]:
        """The vectorizer, and the known texts as rows of length 1."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True)
        return vectors, vectors.fit_transform(self.known)
