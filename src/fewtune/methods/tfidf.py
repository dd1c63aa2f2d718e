"""TF-IDF of word and character n-grams with logistic regression: no neural model.

Joachims 1998 for the features, and a second of work: where the model hardly reads the
language it wins (docs/log.md, What the methods gain over the probe).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from fewtune.base.options import option
from fewtune.methods.base import Method
from fewtune.methods.naming import label_lines, named, what
from fewtune.methods.space import Span

if TYPE_CHECKING:
    from fewtune.methods.artefact import About

CODE = '''import json

from safetensors.numpy import load_file
from scipy.sparse import hstack
from scipy.special import expit
from sklearn.feature_extraction.text import TfidfVectorizer

{labels}
KINDS = {kinds!r}
numbers = load_file("ngrams.safetensors")  # weight (classes, n-grams), bias (classes)
vectorizers = []
for kind, ngrams in json.load(open("ngrams.json", encoding="utf-8")).items():
    vocabulary = {{ngram: i for i, ngram in enumerate(ngrams)}}
    vectorizers.append(TfidfVectorizer(**KINDS[kind], sublinear_tf=True, vocabulary=vocabulary))
    vectorizers[-1].idf_ = numbers[f"idf.{{kind}}"]


def predict(texts):
    """{what}"""
    found = hstack([v.transform(list(texts)) for v in vectorizers]).tocsr()
    logits = found @ numbers["weight"].T + numbers["bias"]
    return {named}
'''
SIGMOID = "from scipy.special import expit\n"  # not needed for the likeliest label


class Tfidf(Method):
    """Word and character n-grams with logistic regression."""

    name: ClassVar[str] = "tfidf"
    scene: ClassVar[str] = "no neural model at all: a second to fit, and often hard to beat"
    needs_model: ClassVar[bool] = False
    needs_steps: ClassVar[bool] = False

    tfidf_c: Annotated[float, Span(0.5, 200.0, log=True)] = option(
        10.0, "inverse strength of the regularisation", gt=0
    )

    def code(self, about: About) -> str:
        """scikit-learn's vectorizer, one regression a class."""
        code = CODE if about.thresholds else CODE.replace(SIGMOID, "")
        return code.format(
            labels=label_lines(about),
            what=what(about),
            named=named(about, "logits.argmax(axis=1)", "expit(logits).tolist()"),
            kinds=_kinds(),
        )


def _kinds() -> dict[str, dict[str, Any]]:
    from fewtune.models.ngrams import KINDS

    return KINDS
