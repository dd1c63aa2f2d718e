"""A candidate that answers with labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from fewtune.base.events import Event
from fewtune.data.row import Row
from fewtune.methods.artefact import About
from fewtune.models.batches import Encoded
from fewtune.models.infer import logits
from fewtune.models.pooled import PooledModel
from fewtune.models.probe import Probe
from fewtune.train.bench import Bench, Examples
from fewtune.train.candidate import Candidate
from fewtune.train.recipe import Recipe
from fewtune.train.work import plan_work


@dataclass
class Classifier(Candidate):
    """An encoder with a head for the labels."""

    bench: Bench

    @property
    def model(self) -> PooledModel:
        """The prepared model; after `fit` with the chosen weights."""
        return cast("PooledModel", self.prepared.model)

    def start(self, probe: Probe | None) -> None:
        """Attach the method to a fresh base; the head starts as the probe, or at zero."""
        import torch

        self.attach()
        if probe is not None:
            with torch.no_grad():
                self.model.head.weight.copy_(torch.from_numpy(probe.weight))
                self.model.head.bias.copy_(torch.from_numpy(probe.bias))

    def fit(
        self, examples: Examples, recipe: Recipe, folder: Path, valid: Sequence[Row] = ()
    ) -> Iterator[Event]:
        """Train; afterwards `model` holds the chosen weights.

        Args:
            folder: of the checkpoints.
            valid: rows to watch; those with a label that no training row has are left out.
        """
        bench = self.bench
        work = plan_work(
            self.model,
            examples.rows,
            examples.targets,
            bench.task.loss,
            bench.machine,
            recipe.options.cache_trunk,
            folder,
        )
        known = [row for row in valid if bench.task.known(row)]
        yield from self.train(work, recipe, folder, Validation(self, known) if known else None)

    def calibrate(self, temperature: float) -> None:
        """Divide the logits: the answers stay, how sure they are becomes what folds have shown.

        Guo et al. 2017, arXiv:1706.04599. It goes into the head's weights, so that every program
        that loads the model computes it.
        """
        import torch

        with torch.no_grad():
            for parameter in self.model.head.parameters():
                parameter.div_(temperature)

    def probabilities(self, rows: Encoded) -> np.ndarray:
        """The model's answers as it stands, (rows, classes)."""
        found = logits(self.model, rows, self.bench.machine)
        return self.bench.task.choice.probabilities(found)

    def exactly(self, rows: Encoded) -> np.ndarray:
        """The same in float32, in which a saved model can be told from another."""
        found = logits(self.model, rows, self.bench.machine.exactly())
        return self.bench.task.choice.probabilities(found)

    def about(self) -> About:
        """With the labels and their thresholds, and how texts are pooled."""
        pooling = self.bench.source.pooling
        return replace(
            super().about(),
            pooling={"mode": pooling.mode, "normalize": pooling.normalize},
            **self.bench.task.telling(),
        )


class Validation:
    """The task's scores on the validation rows."""

    def __init__(self, candidate: Classifier, rows: Sequence[Row]) -> None:
        self.candidate = candidate
        self.rows = candidate.bench.encode(rows)
        self.targets = candidate.bench.task.targets(rows)

    def __call__(self) -> dict[str, float]:
        """Scores by metric name."""
        found = self.candidate.probabilities(self.rows)
        return self.candidate.bench.task.watched(found, self.targets)
