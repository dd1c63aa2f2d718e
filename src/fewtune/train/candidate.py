"""One method on a workbench: started, fitted, saved. What it learns is its subclasses' matter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fewtune.base.events import Event, tell
from fewtune.methods.artefact import About, fingerprint_of
from fewtune.methods.base import Method, Prepared, prepare
from fewtune.models.attention import choose_attention, set_attention
from fewtune.models.device import placed
from fewtune.models.ladder import Ladder
from fewtune.models.modes import recompute_activations, set_dropout
from fewtune.models.source import MINILM
from fewtune.models.tunable import Tunable
from fewtune.train.loop import Fit, run_fit
from fewtune.train.optimiser import Rates
from fewtune.train.options import TrainOptions
from fewtune.train.recipe import Recipe
from fewtune.train.work import Work
from fewtune.train.workbench import Workbench

MEASURED_ROWS = 16  # rows, at most, in the batch that attention kernels are timed on


@dataclass
class Candidate:
    """A model on its way from a pretrained base to an artefact.

    Attributes:
        bench: the pretrained side.
        method: what is trained of it.
        own: options of training where they are not the workbench's, such as a race's candidate has.
    """

    bench: Workbench[Any]
    method: Method
    own: TrainOptions | None = None

    @property
    def options(self) -> TrainOptions:
        """The options that it is trained with."""
        return self.own or self.bench.train

    @property
    def model(self) -> Tunable:
        """The prepared model; after a fit with the chosen weights."""
        return self.prepared.model

    def attach(self) -> None:
        """Attach the method to a fresh base."""
        import torch

        options = self.options
        torch.manual_seed(self.bench.seed)
        base = self.bench.take_base()
        set_dropout(base, options.dropout or 0.0)
        self.prepared: Prepared = prepare(base, self.method)
        if options.gradient_checkpointing:
            recompute_activations(self.model)
        placed(self.model, self.bench.machine)

    def measure(self, lengths: np.ndarray) -> None:
        """Choose the attention kernel by a short measurement, or replay the choice.

        Args:
            lengths: (rows,) tokens of the rows to come.
        """
        chosen = self.bench.chosen
        given = chosen.get("attention", self.bench.model.attention)
        if given == "auto":
            typical = max(2, int(np.percentile(lengths, 75)))
            rows = min(MEASURED_ROWS, self.options.per_device_train_batch_size)
            given = choose_attention(self.model, self.bench.machine, rows, typical)
        set_attention(self.model, given)
        if "attention" not in chosen:
            chosen["attention"] = given
            self.bench.keep()

    def train(
        self,
        work: Work,
        recipe: Recipe,
        folder: Path,
        validate: Callable[[], dict[str, float]] | None = None,
    ) -> Iterator[Event]:
        """Fit to the work; afterwards `model` holds the chosen weights.

        Args:
            folder: of the checkpoints.
            validate: scores on rows to watch, by metric name.
        """
        bench = self.bench
        if work.cached_bytes:
            yield tell("cached", rows=len(work.lengths), bytes=work.cached_bytes, blocks=work.first)
        fit = Fit(
            prepared=self.prepared,
            work=work,
            options=recipe.options,
            steps=recipe.steps,
            rates=Rates(recipe.head, recipe.parts),
            machine=bench.machine,
            seed=bench.seed,
            folder=folder,
            validate=validate,
            better=1 if self.options.metric_for_best_model == "accuracy" else -1,
            ladder=Ladder.at(self.rung(recipe), self.options.gradient_checkpointing),
        )
        yield from fit.ladder.inherited()
        for event in run_fit(fit):
            if event.name == "laddered":  # a resumed run begins there
                bench.chosen.setdefault("ladder", {})[self._needs(recipe)] = fit.ladder.rung
                bench.keep()
            yield event

    def rung(self, recipe: Recipe) -> dict[str, Any] | None:
        """Where the last fit like this one arrived on the ladder; None where memory sufficed.

        A fit of another method, or with other options of it, has other needs and begins at the top.
        """
        rungs: dict[str, Any] = self.bench.chosen.get("ladder", {})
        return rungs.get(self._needs(recipe))

    def _needs(self, recipe: Recipe) -> str:
        """The same of two fits of a workbench that need the same memory."""
        options = (f"{key}={value}" for key, value in self._options().items())
        rows = f"{recipe.options.per_device_train_batch_size} rows"
        return ", ".join([self.method.spell(), *options, rows])

    def _options(self) -> dict[str, Any]:
        """The method's own."""
        return {
            key: value
            for part in self.method.parts()
            for key, value in part.model_dump(exclude_none=True).items()
        }

    def about(self) -> About:
        """What the artefact tells about itself."""
        bench = self.bench
        name = bench.model.model
        return About(
            task=bench.task.name,
            method=self.method.spell(),
            options=self._options(),
            max_length=bench.max_length,
            base=name if name == MINILM else str(bench.source.folder.resolve()),
            base_fingerprint=fingerprint_of(bench.source.folder),
            allow_pickle=bench.model.allow_pickle,
        )

    def save(self, folder: Path) -> About:
        """Write the artefact's weights and `fewtune.json` into an empty folder."""
        about = self.about()
        self.method.save(self.model.to("cpu"), folder, about)
        about.write(folder)
        return about

    def counts(self) -> tuple[int, int]:
        """Trained and all parameters."""
        every = list(self.model.parameters())
        return sum(p.numel() for p in every if p.requires_grad), sum(p.numel() for p in every)
