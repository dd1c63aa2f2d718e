"""TF-IDF of word and character n-grams with logistic regression: no neural model.

Joachims 1998 for the features, and a second of work: on short technical text it sometimes wins.
"""

from __future__ import annotations

from typing import ClassVar

from fewtune.base.options import option
from fewtune.methods.base import Method


class Tfidf(Method):
    """Word and character n-grams with logistic regression."""

    name: ClassVar[str] = "tfidf"
    scene: ClassVar[str] = "no neural model at all: a second to fit, and often hard to beat"
    needs_model: ClassVar[bool] = False
    needs_steps: ClassVar[bool] = False

    tfidf_c: float = option(30.0, "inverse strength of the regularisation", gt=0)
