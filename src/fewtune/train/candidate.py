"""One method on a bench: started, fitted, asked, saved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from fewtune.base.events import Event, tell
from fewtune.data.row import Row
from fewtune.methods.artefact import About, fingerprint_of
from fewtune.methods.base import Method, Prepared, prepare
from fewtune.models.attention import choose_attention, set_attention
from fewtune.models.batches import Encoded
from fewtune.models.infer import logits
from fewtune.models.load import MINILM
from fewtune.models.modes import recompute_activations, set_dropout
from fewtune.models.pooled import PooledModel
from fewtune.models.probe import Probe, softmax
from fewtune.train.bench import Bench, Examples
from fewtune.train.loop import Fit, run_fit
from fewtune.train.optimiser import Rates
from fewtune.train.recipe import Recipe
from fewtune.train.work import plan_work

MEASURED_ROWS = 16  # rows in the batch that attention kernels are timed on


@dataclass
class Candidate:
    """A model on its way from a pretrained base to an artefact."""

    bench: Bench
    method: Method

    @property
    def model(self) -> PooledModel:
        """The prepared model; after `fit` with the chosen weights."""
        return cast("PooledModel", self.prepared.model)

    def start(self, probe: Probe | None) -> None:
        """Attach the method to a fresh base; the head starts as the probe, or at zero."""
        import torch

        options = self.bench.train
        torch.manual_seed(self.bench.seed)
        base = self.bench.take_base()
        set_dropout(base, options.dropout or 0.0)
        self.prepared: Prepared = prepare(base, self.method)
        if options.gradient_checkpointing:
            recompute_activations(self.model)
        if probe is not None:
            with torch.no_grad():
                self.model.head.weight.copy_(torch.from_numpy(probe.weight))
                self.model.head.bias.copy_(torch.from_numpy(probe.bias))
        self.model.to(self.bench.machine.device)

    def measure(self, lengths: np.ndarray) -> None:
        """Choose the attention kernel by a short measurement, or replay the choice.

        Args:
            lengths: (rows,) tokens of the rows to come.
        """
        chosen = self.bench.chosen
        given = chosen.get("attention", self.bench.model.attention)
        if given == "auto":
            typical = max(2, int(np.percentile(lengths, 75)))
            given = choose_attention(self.model, self.bench.machine, MEASURED_ROWS, typical)
        set_attention(self.model, given)
        chosen["attention"] = given

    def fit(
        self, examples: Examples, recipe: Recipe, folder: Path, valid: Sequence[Row] = ()
    ) -> Iterator[Event]:
        """Train; afterwards `model` holds the chosen weights.

        Args:
            folder: of the checkpoints.
            valid: rows to watch; those with labels that no training row has are left out.
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
        if work.cached_bytes:
            yield tell("cached", rows=len(examples), bytes=work.cached_bytes, blocks=work.first)
        known = [row for row in valid if row["label"] in bench.task.labels]
        fit = Fit(
            prepared=self.prepared,
            work=work,
            options=recipe.options,
            steps=recipe.steps,
            rates=Rates(recipe.head, recipe.parts),
            machine=bench.machine,
            seed=bench.seed,
            folder=folder,
            validate=Validation(self, known) if known else None,
            better=1 if bench.train.metric_for_best_model == "accuracy" else -1,
        )
        yield from run_fit(fit)

    def probabilities(self, rows: Encoded) -> np.ndarray:
        """The model's answers as it stands, (rows, classes)."""
        return softmax(logits(self.model, rows, self.bench.machine))

    def about(self) -> About:
        """What the artefact tells about itself."""
        bench, pooling = self.bench, self.bench.source.pooling
        name = bench.model.model
        options = {
            key: value
            for part in self.method.parts()
            for key, value in part.model_dump(exclude_none=True).items()
        }
        return About(
            task=bench.task.name,
            method=self.method.spell(),
            options=options,
            labels=list(bench.task.labels),
            max_length=bench.max_length,
            base=name if name == MINILM else str(bench.source.folder.resolve()),
            base_fingerprint=fingerprint_of(bench.source.folder),
            pooling={"mode": pooling.mode, "normalize": pooling.normalize},
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


class Validation:
    """Log-loss and accuracy on the validation rows."""

    def __init__(self, candidate: Candidate, rows: Sequence[Row]) -> None:
        self.candidate = candidate
        self.rows = candidate.bench.encode(rows)
        self.targets = candidate.bench.task.targets(rows)

    def __call__(self) -> dict[str, float]:
        """Scores by metric name."""
        found = self.candidate.probabilities(self.rows)
        own = found[np.arange(len(self.targets)), self.targets]
        return {
            "log_loss": float(-np.log(own.clip(1e-12)).mean()),
            "accuracy": float((found.argmax(1) == self.targets).mean()),
        }
