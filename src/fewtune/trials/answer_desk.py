"""One fit of a comparison that learns to answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from fewtune.choose.recipe import decide
from fewtune.data.row import Row
from fewtune.models.batches import Marked
from fewtune.models.speaking import answer_losses
from fewtune.train.answers import AnswerBench, Answerer
from fewtune.trials.folds import ALONE
from fewtune.trials.variants import Desk, Model, Variant


@dataclass(frozen=True)
class AnswerDesk(Desk):
    """Where methods teach a language model.

    Attributes:
        rows, tests: what is learned of the training rows, and what is asked of the test rows.
        width: of the model's states.
    """

    rows: Marked
    tests: Marked | None
    width: int

    def fit(self, variant: Variant, learned: np.ndarray, held: np.ndarray) -> np.ndarray:
        """Of held rows, (held, 3): summed loss, learned tokens, how many were the first choice."""
        return self.answers(variant, learned, self.rows.take(held), ())

    def test(self, variant: Variant) -> np.ndarray:
        """The same of the test rows, (rows, 3)."""
        return self.answers(variant, np.arange(len(self.rows)), self.tests, ())

    def heard(self, variant: Variant, model: Model, asked: Any) -> np.ndarray:
        """Losses of reference answers, (rows, 3)."""
        spoken = cast(Answerer, model).model
        return np.stack(answer_losses(spoken, asked, self.bench.machine), axis=1)

    def nothing(self, asked: Any) -> np.ndarray:
        """As the untouched model."""
        return np.stack(answer_losses(self.bench.base, asked, self.bench.machine), axis=1)

    def fitted(self, variant: Variant, learned: np.ndarray, avoid: Sequence[Row]) -> Model:
        """The variant's own options on the bench, then the fit."""
        bench = cast(AnswerBench, self.bench)
        bench.train, bench.seed = variant.train, self.seed
        candidate = Answerer(bench, variant.method)
        candidate.attach()
        rows = self.rows.take(learned)
        options = variant.train.model_copy(update=ALONE)
        recipe = decide(variant.method, options, len(rows), False, self.width)
        candidate.measure(rows.lengths)
        for _ in candidate.fit(rows, recipe, self.folder):
            pass
        return candidate
