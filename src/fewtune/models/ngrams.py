"""TF-IDF of word and character n-grams with logistic regression: the candidate without a network.

Kept as JSON (the n-grams) and safetensors (their weights), never as a pickle. Character n-grams
make it work for Chinese, which has no spaces, and for part numbers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fewtune.base.files import write_json

KINDS: dict[str, dict[str, Any]] = {
    "word": {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"},
    "characters": {"analyzer": "char_wb", "ngram_range": (1, 4)},
}
USUAL = 10.0
WORDS, NUMBERS = "ngrams.json", "ngrams.safetensors"


@dataclass(frozen=True, slots=True)
class NgramModel:
    """One logistic regression a class: `sigmoid(tfidf(text) @ weight.T + bias)`.

    Attributes:
        vectorizers: fitted scikit-learn ones, one a kind.
        weight: (classes, n-grams).
        bias: (classes,).
        one_of: a text is of one class, so that the probabilities are made to sum to 1.
        temperature: what the logarithms of those are divided by, where a text is of one class.
    """

    vectorizers: dict[str, Any]
    weight: np.ndarray
    bias: np.ndarray
    one_of: bool = True
    temperature: float = 1.0

    def probabilities(self, texts: list[str]) -> np.ndarray:
        """(texts, classes)."""
        from scipy.special import log_expit, softmax

        each = log_expit(self.features(texts) @ self.weight.T + self.bias)
        return softmax(each / self.temperature, axis=1) if self.one_of else np.exp(each)

    def at(self, temperature: float) -> NgramModel:
        """The same ranking, as sure as answers to rows that were not learned are right.

        Guo et al. 2017, arXiv:1706.04599. Of several labels the regressions take it in themselves.
        """
        if self.one_of:
            return replace(self, temperature=temperature)
        return replace(self, weight=self.weight / temperature, bias=self.bias / temperature)

    def features(self, texts: list[str]) -> Any:
        """A sparse (texts, n-grams) matrix, each kind scaled to length 1."""
        from scipy.sparse import hstack

        return hstack([v.transform(texts) for v in self.vectorizers.values()]).tocsr()

    def save(self, folder: Path) -> None:
        """Write `ngrams.json` and `ngrams.safetensors`."""
        from safetensors.numpy import save_file

        write_json(
            folder / WORDS,
            {
                kind: sorted(v.vocabulary_, key=v.vocabulary_.get)
                for kind, v in self.vectorizers.items()
            },
        )
        numbers = {f"idf.{kind}": v.idf_ for kind, v in self.vectorizers.items()}
        numbers |= {"weight": np.ascontiguousarray(self.weight), "bias": self.bias}
        numbers["temperature"] = np.array([self.temperature])
        save_file(numbers, str(folder / NUMBERS))

    @staticmethod
    def load(folder: Path, one_of: bool = True) -> NgramModel:
        """Read what `save` wrote."""
        from safetensors.numpy import load_file

        numbers = load_file(str(folder / NUMBERS))
        words = json.loads((folder / WORDS).read_text(encoding="utf-8"))
        vectorizers = {}
        for kind, ngrams in words.items():
            vectorizers[kind] = _vectorizer(kind, {ngram: i for i, ngram in enumerate(ngrams)})
            vectorizers[kind].idf_ = numbers[f"idf.{kind}"]
        temperature = float(numbers.get("temperature", [1.0])[0])  # older ones have none
        return NgramModel(vectorizers, numbers["weight"], numbers["bias"], one_of, temperature)


def fit_ngrams(
    texts: list[str],
    targets: np.ndarray,
    classes: int,
    c: float = USUAL,
    weights: np.ndarray | None = None,
) -> NgramModel:
    """Fit on training texts.

    Args:
        texts: (rows).
        targets: (rows,) class indices; or (rows, classes) of 0 and 1.
        c: inverse strength of the L2 penalty.
        weights: (classes,) class weights: of a class's rows, or of its ones.
    """
    vectorizers = {kind: _vectorizer(kind) for kind in KINDS}
    for vectorizer in vectorizers.values():
        vectorizer.fit(texts)
    found = NgramModel(vectorizers, np.zeros((classes, 1)), np.zeros(classes)).features(texts)
    fit = _any_of if targets.ndim == 2 else _one_of
    weight, bias = fit(found, targets, classes, c, weights)
    return NgramModel(vectorizers, weight, bias, targets.ndim == 1)


def _one_of(
    found: Any, labels: np.ndarray, classes: int, c: float, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Each class against the rest; of two classes one, mirrored."""
    each_row = None if weights is None else weights[labels]
    against = range(1, 2) if classes == 2 else range(classes)
    fitted = [_against_rest(found, labels == k, c, each_row) for k in against]
    weight, bias = np.stack([w for w, _ in fitted]), np.array([b for _, b in fitted])
    if classes == 2:
        weight, bias = np.concatenate([-weight, weight]), np.concatenate([-bias, bias])
    return weight, bias


def _any_of(
    found: Any, targets: np.ndarray, classes: int, c: float, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Each class for itself; one that all rows have, or none, is as likely as it is frequent."""
    weight, bias = np.zeros((classes, found.shape[1])), np.zeros(classes)
    for k in range(classes):
        ones = targets[:, k] > 0
        each_row = None if weights is None else np.where(ones, weights[k], 1.0)
        weight[k], bias[k] = _against_rest(found, ones, c, each_row)
    return weight, bias


def _against_rest(
    found: Any, ones: np.ndarray, c: float, each_row: np.ndarray | None
) -> tuple[np.ndarray, float]:
    """Weight and bias of one class; one that all rows have, or none (in a fold, say), is as
    likely as it is frequent."""
    if ones.any() and not ones.all():
        return _regression(found, ones, c, each_row)
    seen = (ones.sum() + 0.5) / (len(ones) + 1)  # as if half a row more had it
    return np.zeros(found.shape[1]), float(np.log(seen / (1 - seen)))


def _regression(
    found: Any, ones: np.ndarray, c: float, each_row: np.ndarray | None
) -> tuple[np.ndarray, float]:
    """Weight and bias of one class against the rest.

    In the dual: 10 to 30 times faster here than the multinomial primal, which has a weight for
    every class and n-gram, and as accurate (docs/log.md).
    """
    from sklearn.linear_model import LogisticRegression

    one = LogisticRegression(C=c, solver="liblinear", dual=True, tol=1e-2, random_state=0)
    one.fit(found, ones, each_row)
    return one.coef_[0].copy(), float(one.intercept_[0])


def _vectorizer(kind: str, vocabulary: dict[str, int] | None = None) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        **KINDS[kind], sublinear_tf=True, dtype=np.float64, vocabulary=vocabulary
    )
