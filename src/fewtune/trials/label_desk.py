"""One fit of a comparison that chooses among labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fewtune.data.row import Row
from fewtune.models.batches import Encoded
from fewtune.models.ngrams import NgramModel, fit_ngrams
from fewtune.tasks.labelled import Labelled
from fewtune.train.classifier import Classifier
from fewtune.trials.folds import Setting, fitted, probe_of, uncalibrated
from fewtune.trials.recipes import still_true
from fewtune.trials.variants import Desk, Model, Variant


@dataclass(frozen=True)
class Asked:
    """Rows to be answered: as texts, and as the encoder reads them."""

    texts: list[str]
    tokens: Encoded


@dataclass(frozen=True)
class Counted:
    """N-grams with logistic regression."""

    model: NgramModel

    def counts(self) -> tuple[int, int]:
        """All of them are trained."""
        size = int(self.model.weight.size + self.model.bias.size)
        return size, size

    def save(self, folder: Path) -> None:
        """As a run would save it."""
        self.model.save(folder)


@dataclass(frozen=True)
class LabelDesk(Desk):
    """Where methods learn labels.

    Attributes:
        setting: folds and bench; its method does not matter.
        rows: the training rows.
        tests: the test rows, none where there is no file.
        tokens: of the test rows.
        tasks: of each variant by name, with the weights of classes that its options ask for.
    """

    setting: Setting
    rows: Sequence[Row]
    tests: Sequence[Row]
    tokens: Encoded | None
    tasks: dict[str, Labelled]

    def fit(self, variant: Variant, learned: np.ndarray, held: np.ndarray) -> np.ndarray:
        """Logits of held rows after a fit to the others, (held, classes)."""
        asked = Asked(_texts(self.rows, held), self.setting.examples.rows.take(held))
        return self.answers(variant, learned, asked, [self.rows[k] for k in held])

    def test(self, variant: Variant) -> np.ndarray:
        """Logits of the test rows after a fit to all training rows, (rows, classes)."""
        assert self.tokens is not None
        asked = Asked([row["text"] for row in self.tests], self.tokens)
        return self.answers(variant, np.arange(len(self.rows)), asked, self.tests)

    def heard(self, variant: Variant, model: Model, asked: Asked) -> np.ndarray:
        """Logits, (rows, classes)."""
        if isinstance(model, Counted):
            found = model.model.probabilities(asked.texts)
        else:
            assert isinstance(model, Classifier)
            found = model.probabilities(asked.tokens)
        return self.tasks[variant.name].choice.logits(found)

    def nothing(self, asked: Asked) -> np.ndarray:
        """All labels are as likely."""
        return np.zeros((len(asked.texts), len(self.setting.bench.task.labels)))

    def fitted(self, variant: Variant, learned: np.ndarray, avoid: Sequence[Row]) -> Model:
        """The variant's own options on the bench, then the fit."""
        bench = self.setting.bench
        bench.train, bench.seed = variant.train, self.seed
        bench.task = self.tasks[variant.name]
        if not variant.method.needs_model:
            return Counted(self._count(variant, learned))
        setting = replace(self.setting, method=variant.method, train=variant.train)
        examples = setting.examples.take(learned)
        if variant.make:
            rows = [self.rows[k] for k in learned]
            made = variant.make(rows, avoid)
            kept = still_true(bench, probe_of(setting, examples), rows, made)
            examples = examples.and_also(bench.examples(kept)) if kept else examples
        return fitted(setting if variant.method.needs_steps else uncalibrated(setting), examples)

    def _count(self, variant: Variant, learned: np.ndarray) -> NgramModel:
        weights = _weights(self.tasks[variant.name])
        return fit_ngrams(
            _texts(self.rows, learned),
            self.setting.examples.targets[learned],
            len(self.tasks[variant.name].labels),
            variant.method.tfidf_c,  # type: ignore[attr-defined]
            weights,
        )


def _weights(task: Labelled) -> np.ndarray | None:
    """The weights of the classes, (classes,); None for equal ones."""
    return None if task.class_weights is None else np.array(task.class_weights)


def _texts(rows: Sequence[Row], some: np.ndarray) -> list[str]:
    return [rows[k]["text"] for k in some]
