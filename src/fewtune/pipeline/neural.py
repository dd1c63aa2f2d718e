"""One neural candidate from a pretrained folder to a saved artefact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.base.events import Event, tell
from fewtune.choose.recipe import Recipe
from fewtune.data.row import Row
from fewtune.methods.artefact import About, fingerprint_of
from fewtune.methods.base import Method, Prepared, prepare
from fewtune.models.attention import choose_attention, set_attention
from fewtune.models.batches import Encoded
from fewtune.models.device import Machine, find_machine, keep_freed_memory, threads
from fewtune.models.infer import features, logits
from fewtune.models.load import MINILM, Source, load_pooled, load_tokenizer
from fewtune.models.pooled import PooledModel
from fewtune.models.probe import Probe, Tried, fit_probe, out_of_fold, softmax
from fewtune.pipeline.job import Job
from fewtune.tasks.classify import Classify
from fewtune.train.loop import Fit, run_fit
from fewtune.train.optimiser import Rates
from fewtune.train.work import plan_work

MEASURED_ROWS = 16  # rows in the batch that attention kernels are timed on


@dataclass
class Neural:
    """A pretrained model and the rows it will learn.

    Attributes:
        chosen: what was measured, as in the plan; a resumed run brings it along and nothing is
            measured again.
    """

    job: Job
    method: Method
    task: Classify
    source: Source
    chosen: dict[str, Any]

    def load(self, train: Sequence[Row]) -> None:
        """Load tokenizer and base, encode the training rows."""
        import torch

        options = self.job.model
        keep_freed_memory()
        torch.set_num_threads(int(self.chosen.setdefault("threads", threads())))
        found = find_machine(
            self.chosen.get("device", options.device), self.chosen.get("bf16", options.bf16)
        )
        self.machine: Machine = found
        self.chosen |= {"device": found.device, "bf16": found.bf16}
        self.tokenizer = load_tokenizer(self.source)
        self.max_length = self.source.room(self.method.reserved_tokens)
        self.rows: Encoded = self.encode(train)
        self.targets = self.task.targets(train)
        self.base: PooledModel = load_pooled(self.source, len(self.task.labels), options)
        self.features = features(self.base, self.rows, self.machine)
        self._refuse_nonsense()

    def _refuse_nonsense(self) -> None:
        """Damaged weights answer with what is no number, and nothing could be fitted to it."""
        broken = int((~np.isfinite(self.features)).any(axis=1).sum())
        if not broken:
            return
        exact = ", or try --no-bf16" if self.machine.bf16 else ""
        raise FewtuneError(
            f"{self.job.model.model} answers {broken:,} of the {len(self.rows):,} training rows "
            f"with what is no number, so its weights are damaged; copy them again{exact}."
        )

    def encode(self, rows: Sequence[Row]) -> Encoded:
        """Token ids of rows."""
        return self.task.encode([row["text"] for row in rows], self.tokenizer, self.max_length)

    def probe_at(self, c: float, temperature: float) -> Probe:
        """Logistic regression on the untouched encoder's features, calibrated."""
        probe = fit_probe(
            self.features, self.targets, len(self.task.labels), c, self._class_weights()
        )
        return probe.at(temperature)

    def try_probes(self, folds: list[np.ndarray]) -> list[Tried]:
        """Penalties compared on folds of the training rows, the best first."""
        tried, _ = out_of_fold(
            self.features,
            self.targets,
            len(self.task.labels),
            folds,
            weights=self._class_weights(),
        )
        return tried

    def _class_weights(self) -> np.ndarray | None:
        weights = self.task.class_weights
        return None if weights is None else np.array(weights)

    def probe_probabilities(self, probe: Probe, rows: Encoded) -> np.ndarray:
        """The probe's answer on other rows, from an encoder that no fit has touched."""
        untouched = load_pooled(self.source, len(self.task.labels), self.job.model)
        return probe.probabilities(features(untouched, rows, self.machine))

    def start(self, probe: Probe | None) -> None:
        """Attach the method; the head starts as the probe, or at zero."""
        import torch

        torch.manual_seed(self.job.run.seed)
        set_dropout(self.base, self.job.train.dropout or 0.0)
        self.prepared: Prepared = prepare(self.base, self.method)
        self.model = self.prepared.model
        if self.job.train.gradient_checkpointing:
            recompute_activations(self.model)
        if probe is not None:
            with torch.no_grad():
                self.model.head.weight.copy_(torch.from_numpy(probe.weight))
                self.model.head.bias.copy_(torch.from_numpy(probe.bias))
        self.model.to(self.machine.device)

    def measure(self) -> None:
        """Choose the attention kernel by a short measurement, or replay the choice."""
        given = self.chosen.get("attention", self.job.model.attention)
        if given == "auto":
            typical = int(np.percentile(self.rows.lengths, 75))
            given = choose_attention(self.model, self.machine, MEASURED_ROWS, max(typical, 2))
        set_attention(self.model, given)
        self.chosen["attention"] = given

    def fit(self, recipe: Recipe, valid: Sequence[Row], folder: Path) -> Iterator[Event]:
        """Train; afterwards `model` holds the chosen weights."""
        work = plan_work(
            self.model,
            self.rows,
            self.targets,
            self.task.loss,
            self.machine,
            recipe.options.cache_trunk,
            folder,
        )
        if work.cached_bytes:
            yield tell("cached", rows=len(self.rows), bytes=work.cached_bytes, blocks=work.first)
        known = [row for row in valid if row["label"] in self.task.labels]
        fit = Fit(
            prepared=self.prepared,
            work=work,
            options=recipe.options,
            steps=recipe.steps,
            rates=Rates(recipe.head, recipe.parts),
            machine=self.machine,
            seed=self.job.run.seed,
            folder=folder,
            validate=Validation(self, known) if known else None,
            better=1 if self.job.train.metric_for_best_model == "accuracy" else -1,
        )
        yield from run_fit(fit)

    def about(self) -> About:
        """What the artefact tells about itself."""
        pooling = self.source.pooling
        name = self.job.model.model
        options = {
            key: value
            for part in self.method.parts()
            for key, value in part.model_dump(exclude_none=True).items()
        }
        return About(
            task=self.task.name,
            method=self.method.spell(),
            options=options,
            labels=list(self.task.labels),
            max_length=self.max_length,
            base=name if name == MINILM else str(self.source.folder.resolve()),
            base_fingerprint=fingerprint_of(self.source.folder),
            pooling={"mode": pooling.mode, "normalize": pooling.normalize},
            allow_pickle=self.job.model.allow_pickle,
        )

    def save(self, folder: Path) -> About:
        """Write the artefact's weights and `fewtune.json` into an empty folder."""
        about = self.about()
        self.method.save(self.model.to("cpu"), folder, about)
        about.write(folder)
        return about

    def let_go(self) -> None:
        """Free the trained model; what is told from here on is told of the saved one."""
        del self.prepared, self.model, self.base

    def counts(self) -> tuple[int, int]:
        """Trained and all parameters."""
        every = list(self.model.parameters())
        return sum(p.numel() for p in every if p.requires_grad), sum(p.numel() for p in every)


class Validation:
    """Log-loss and accuracy on the validation rows."""

    def __init__(self, neural: Neural, rows: Sequence[Row]) -> None:
        self.neural = neural
        self.rows = neural.encode(rows)
        self.targets = neural.task.targets(rows)

    def __call__(self) -> dict[str, float]:
        """Scores by metric name."""
        neural = self.neural
        found = softmax(logits(neural.model, self.rows, neural.machine))
        own = found[np.arange(len(self.targets)), self.targets]
        return {
            "log_loss": float(-np.log(own.clip(1e-12)).mean()),
            "accuracy": float((found.argmax(1) == self.targets).mean()),
        }


def recompute_activations(model: PooledModel) -> None:
    """Keep only what enters each block and compute the rest again for the gradients.

    Raises:
        UsageError: the model cannot, in a sentence.
    """
    if getattr(model.backbone, "forward_options", {}).get("use_cache"):
        raise UsageError(
            "gradient_checkpointing: a prefix is a filled cache, which is lost where activations "
            "are computed again; leave it out, or try `ptuning`."
        )
    for module in model.modules():
        if getattr(module, "supports_gradient_checkpointing", False):
            module.gradient_checkpointing_enable()  # type: ignore[operator]
            return
    kind = type(model.backbone).__name__
    raise UsageError(
        f"gradient_checkpointing: {kind} cannot compute activations again; leave it out, or lower "
        "per_device_train_batch_size."
    )


def set_dropout(model: PooledModel, share: float) -> None:
    """Every dropout of the pretrained model, those inside attention too."""
    from torch import nn

    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = share
        for name in ("attention_dropout", "dropout_prob"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, share)
