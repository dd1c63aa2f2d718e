"""One fit of a comparison that learns to answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np

from fewtune.choose.recipe import decide
from fewtune.data.row import Row
from fewtune.models.batches import Marked
from fewtune.models.ladder import unheard
from fewtune.models.speaking import answer_losses
from fewtune.train.answers import AnswerBench, Answerer
from fewtune.trials.aside import Aside
from fewtune.trials.folds import alone, scratch
from fewtune.trials.runners import Entrant
from fewtune.trials.variants import Desk, Model, Variant


@dataclass(frozen=True)
class Questions:
    """Rows whose answers' losses are asked for, and what else is asked with them."""

    rows: Marked
    aside: Aside | None = None


@dataclass(frozen=True)
class AnswerDesk(Desk):
    """Where methods teach a language model.

    Attributes:
        rows, tests: what is learned of the training rows, and what is asked of the test rows.
        width: of the model's states.
        aside: what is asked once of each variant, where its fold is held out.
    """

    rows: Marked
    tests: Marked | None
    width: int
    aside: Aside | None = None

    def entrant(self, variant: Variant) -> Entrant:
        """As a race knows it, where what is asked aside is no part of what a fold takes."""
        aside = self.aside
        found = super().entrant(variant)
        return replace(found, once=partial(aside.seconds, variant.name)) if aside else found

    def fit(self, variant: Variant, learned: np.ndarray, held: np.ndarray) -> np.ndarray:
        """Of held rows, (held, 3): summed loss, learned tokens, how many were the first choice."""
        aside = self.aside
        if aside is not None and not np.array_equal(held, aside.held):
            aside = None
        return self.answers(variant, learned, Questions(self.rows.take(held), aside), ())

    def test(self, variant: Variant) -> np.ndarray:
        """The same of the test rows, (rows, 3)."""
        assert self.tests is not None
        return self.answers(variant, np.arange(len(self.rows)), Questions(self.tests), ())

    def heard(self, variant: Variant, model: Model, asked: Questions) -> np.ndarray:
        """Losses of reference answers, (rows, 3)."""
        bench, spoken = cast(AnswerBench, self.bench), cast(Answerer, model).model
        found = np.stack(answer_losses(spoken, asked.rows, bench.machine), axis=1)
        if asked.aside is not None:
            asked.aside.ask(variant.name, bench.voice(spoken))
        return found

    def nothing(self, asked: Questions) -> np.ndarray:
        """As the untouched model."""
        return np.stack(answer_losses(self.bench.base, asked.rows, self.bench.machine), axis=1)

    def fitted(self, variant: Variant, learned: np.ndarray, avoid: Sequence[Row]) -> Model:
        """The variant's own options on the bench, then the fit."""
        bench = cast(AnswerBench, self.bench)
        bench.train, bench.seed = variant.train, self.seed
        candidate = Answerer(bench, variant.method)
        candidate.attach()
        rows = self.rows.take(learned)
        options = alone(variant.train)
        whole = len(self.rows)
        recipe = decide(variant.method, options, len(rows), False, self.width, whole)
        candidate.measure(rows.lengths)
        with scratch(self.folder) as place:
            unheard(candidate.fit(rows, recipe, place))
        return candidate
