"""Rows that a language model learns to answer: a workbench, the work of a step, a candidate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from torch import Tensor

from fewtune.base.events import Event
from fewtune.data.row import Row
from fewtune.methods.artefact import About
from fewtune.methods.voice import Voice
from fewtune.models.answer_loss import answer_loss
from fewtune.models.batches import Marked
from fewtune.models.causal import CausalModel
from fewtune.models.chat import set_template
from fewtune.models.device import Machine, round_frozen
from fewtune.models.head import head_of
from fewtune.models.load import load_causal
from fewtune.models.parts import blocks_of, lowest_trained_block
from fewtune.models.speaking import answer_losses, speaker_of
from fewtune.models.trunk import Trunk, fill_trunk
from fewtune.tasks.generate import LONGEST, Encoding, Generate
from fewtune.train.candidate import Candidate
from fewtune.train.recipe import Recipe
from fewtune.train.workbench import Workbench


@dataclass
class AnswerBench(Workbench[CausalModel]):
    """A pretrained language model set up to be taught answers.

    Attributes:
        chat_template: the built-in asked for; None for the tokenizer's own.
        template: the one that is used, by name; `replaces` where the model had its own.
    """

    task: Generate
    chat_template: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.replaces = bool(self.chat_template and self.tokenizer.chat_template)
        self.template = set_template(self.tokenizer, self.chat_template)
        room = self.source.positions - self.reserved
        self.max_length = min(self.model.max_length or LONGEST, room)

    def load(self) -> CausalModel:
        """The language model, in float32."""
        return load_causal(self.source, self.model)

    def encode(self, rows: Sequence[Row]) -> Encoding:
        """Rows as tokens."""
        return self.task.encode(rows, self.tokenizer, self.max_length)

    def voice(self, model: CausalModel) -> Voice:
        """A model of this bench, ready to answer."""
        return Voice(model, self.tokenizer, self.machine, self.max_length, self.task)


@dataclass
class AnswerRows:
    """The work of a step: states of a batch, and the loss at its learned tokens only."""

    model: CausalModel
    rows: Marked
    machine: Machine
    trunk: Trunk | None = None

    def __post_init__(self) -> None:
        self._head = head_of(self.model, self.machine)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row."""
        return self.rows.lengths

    @property
    def cached_bytes(self) -> int:
        """Size of the trunk's cache."""
        return self.trunk.bytes if self.trunk else 0

    @property
    def first(self) -> int:
        """The lowest block that runs."""
        return self.trunk.first if self.trunk else 0

    def loss(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Summed loss of the learned tokens, and their summed weight."""
        device = self.machine.device
        ids, mask = (one.to(device) for one in self.rows.batch(rows))
        at, targets, counts = (one.to(device) for one in self.rows.targets(rows))
        if self.trunk is not None:
            self.trunk.choose(rows, device)
        replaying = self.trunk.replaying(self.model) if self.trunk else nullcontext()
        with replaying, self.machine.autocast():
            states = self.model.features(ids, mask)[at[:, 0], at[:, 1]]
            return answer_loss(self._head, states, targets, counts), counts.sum()


@dataclass
class Answerer(Candidate):
    """A language model that learns answers."""

    bench: AnswerBench

    @property
    def model(self) -> CausalModel:
        """The prepared model; after `fit` with the chosen weights."""
        return cast("CausalModel", self.prepared.model)

    def attach(self) -> None:
        """Attach the method; a base that is not saved again is held in the machine's precision."""
        super().attach()
        if not self.method.needs_exact_base:
            round_frozen(self.model, self.bench.machine)

    def fit(
        self, rows: Marked, recipe: Recipe, folder: Path, valid: Marked | None = None
    ) -> Iterator[Event]:
        """Train; afterwards `model` holds the chosen weights.

        Args:
            rows: each with a learned token at least.
            folder: of the checkpoints.
            valid: rows to watch.
        """
        machine = self.bench.machine
        first = lowest_trained_block(self.model.backbone) if recipe.options.cache_trunk else 0
        trunk = None
        if 0 < first <= len(blocks_of(self.model.backbone)):
            trunk = fill_trunk(self.model, rows, first, machine, folder)
        work = AnswerRows(self.model, rows, machine, trunk)
        watch = AnswerValidation(self, valid) if valid is not None and len(valid) else None
        yield from self.train(work, recipe, folder, watch)

    def about(self) -> About:
        """With what writing dialogues out needs."""
        speaker = speaker_of(self.model, self.bench.tokenizer, self.bench.machine)
        return replace(
            super().about(),
            template=self.bench.template,
            stop_ids=list(speaker.stop_ids),
            silent=list(speaker.silent) or None,
        )


@dataclass
class AnswerValidation:
    """Loss and accuracy by token on the validation rows."""

    candidate: Answerer
    rows: Marked

    def __call__(self) -> dict[str, float]:
        """Scores by metric name."""
        candidate = self.candidate
        loss, count, right = answer_losses(candidate.model, self.rows, candidate.bench.machine)
        return {
            "log_loss": float(loss.sum() / count.sum()),
            "accuracy": float(right.sum() / count.sum()),
        }
