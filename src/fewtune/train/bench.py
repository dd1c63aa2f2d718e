"""Labelled rows on a pretrained encoder: tokens, targets, and the features a probe reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fewtune.base.errors import FewtuneError
from fewtune.data.row import Row
from fewtune.models.batches import Encoded
from fewtune.models.infer import features
from fewtune.models.load import load_pooled
from fewtune.models.pooled import PooledModel
from fewtune.models.probe import Probe, Tried, fit_probe, out_of_fold
from fewtune.tasks.labelled import Labelled
from fewtune.train.workbench import Workbench


@dataclass(frozen=True)
class Examples:
    """Labelled rows as a fit wants them.

    Attributes:
        rows: their tokens.
        targets: as the task has them, one a row.
        features: (rows, width) the untouched encoder's, for the probe.
    """

    rows: Encoded
    targets: np.ndarray
    features: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, chosen: np.ndarray) -> Examples:
        """Some of the rows."""
        return Examples(self.rows.take(chosen), self.targets[chosen], self.features[chosen])

    def and_also(self, other: Examples) -> Examples:
        """These rows, then the other's."""
        return Examples(
            Encoded([*self.rows.ids, *other.rows.ids], self.rows.pad),
            np.concatenate([self.targets, other.targets]),
            np.concatenate([self.features, other.features]),
        )


@dataclass
class Bench(Workbench[PooledModel]):
    """A pretrained encoder set up to choose among labels; rows are encoded once."""

    task: Labelled

    def load(self) -> PooledModel:
        """The encoder with an empty head."""
        return load_pooled(self.source, len(self.task.labels), self.model)

    def examples(self, rows: Sequence[Row]) -> Examples:
        """Rows with the tokens, targets and features that fits on this bench want.

        Raises:
            FewtuneError: the base answers with what is no number.
        """
        encoded = self.encode(rows)
        found = features(self.base, encoded, self.machine)
        self._refuse_nonsense(found)
        return Examples(encoded, self.task.targets(rows), found)

    def encode(self, rows: Sequence[Row]) -> Encoded:
        """Token ids of rows."""
        return self.task.encode([row["text"] for row in rows], self.tokenizer, self.max_length)

    def probe_at(self, examples: Examples, c: float, temperature: float) -> Probe:
        """Logistic regression on the untouched encoder's features, calibrated."""
        probe = fit_probe(
            examples.features,
            examples.targets,
            len(self.task.labels),
            c,
            self._class_weights(),
            self.task.choice,
        )
        return probe.at(temperature)

    def try_probes(
        self, examples: Examples, folds: list[np.ndarray]
    ) -> tuple[list[Tried], np.ndarray]:
        """Penalties compared on folds, the best first, and its answers to rows in a fold."""
        return out_of_fold(
            examples.features,
            examples.targets,
            len(self.task.labels),
            folds,
            weights=self._class_weights(),
            choice=self.task.choice,
        )

    def probe_probabilities(self, probe: Probe, rows: Encoded) -> np.ndarray:
        """The probe's answer on other rows, from an encoder that no fit has touched."""
        return probe.probabilities(features(self.take_base(), rows, self.machine))

    def _class_weights(self) -> np.ndarray | None:
        weights = self.task.class_weights
        return None if weights is None else np.array(weights)

    def _refuse_nonsense(self, found: np.ndarray) -> None:
        """Damaged weights answer with what is no number, and nothing could be fitted to it."""
        broken = int((~np.isfinite(found)).any(axis=1).sum())
        if not broken:
            return
        exact = ", or try --no-bf16" if self.machine.bf16 else ""
        raise FewtuneError(
            f"{self.model.model} answers {broken:,} of the {len(found):,} training rows "
            f"with what is no number, so its weights are damaged; copy them again{exact}."
        )
