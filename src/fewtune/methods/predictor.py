"""A saved artefact that answers: what `predict`, `evaluate` and every test of a run go through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.methods.artefact import ABOUT, About
from fewtune.methods.voice import Voice
from fewtune.models.load import loading
from fewtune.tasks import LABELLED
from fewtune.tasks.labelled import Labelled

if TYPE_CHECKING:
    from fewtune.methods.base import Method
    from fewtune.models.causal import CausalModel
    from fewtune.models.device import Machine
    from fewtune.models.pooled import PooledModel


class Predictor(Protocol):
    """Labels and their probabilities for texts."""

    about: About
    task: Labelled

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """(texts, classes), float64; rows sum to 1 where a text has one label."""
        ...


class NeuralPredictor:
    """A saved model with its tokenizer."""

    def __init__(
        self, about: About, model: PooledModel, tokenizer: Any, machine: Machine, rows: int = 64
    ) -> None:
        self.about = about
        self.task = task_of(about)
        self.model = model
        self.tokenizer = tokenizer
        self.machine = machine
        self.rows = rows

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """(texts, classes); the answers are those of float32 arithmetic."""
        from fewtune.models.infer import settled_logits

        choice = self.task.choice
        encoded = self.task.encode(texts, self.tokenizer, self.about.max_length)
        found = settled_logits(self.model, encoded, self.machine, self.rows, choice)
        return choice.probabilities(found)


class NgramPredictor:
    """A saved TF-IDF model."""

    def __init__(self, about: About, folder: Path) -> None:
        from fewtune.models.ngrams import NgramModel

        self.about = about
        self.task = task_of(about)
        self.model = NgramModel.load(folder, one_of=about.thresholds is None)

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """(texts, classes)."""
        return self.model.probabilities(list(texts))


def task_of(about: About) -> Labelled:
    """The task of a saved model that answers with labels."""
    return LABELLED[about.task].told(about.labels, about.thresholds, about.least)


def load_voice(
    folder: Path, device: str = "auto", bf16: bool | None = None, scale: float = 1.0
) -> Voice:
    """Rebuild a language model in `model/` of a run.

    Args:
        scale: what the added parts contribute is multiplied by it.

    Raises:
        UsageError: it is a classifier, or cannot be scaled.
        FewtuneError: as `load_predictor`.
    """
    from fewtune.models.device import find_machine
    from fewtune.models.load import load_saved_tokenizer

    about = About.read(folder)
    if not about.speaks:
        raise UsageError(
            f"{folder}: this model chooses among {len(about.labels)} labels and does not write; "
            "`fewtune predict` asks it."
        )
    method = _method_of(folder, about)
    with loading(folder, "model"):
        model = cast("CausalModel", method.load(folder, about)).requires_grad_(False)
    if scale != 1 and not method.scale(model, scale):
        raise UsageError(
            f"adapter_scale: what `{method.spell()}` has learned cannot be scaled; that goes with "
            "`lora` and `adapter`."
        )
    machine = find_machine(device, bf16)
    return Voice(model, load_saved_tokenizer(folder), machine, about.max_length)


def load_untouched(folder: Path, device: str = "auto", bf16: bool | None = None) -> Voice:
    """The base of a saved language model, with the template that the tuned one was taught by.

    Raises:
        FewtuneError: the base is gone, or another one.
    """
    from fewtune.methods.artefact import load_base
    from fewtune.models.device import find_machine
    from fewtune.models.load import load_saved_tokenizer

    about = About.read(folder)
    model = cast("CausalModel", load_base(about)).requires_grad_(False)
    return Voice(model, load_saved_tokenizer(folder), find_machine(device, bf16), about.max_length)


def _method_of(folder: Path, about: About) -> Method:
    from fewtune.methods import parse

    try:
        return parse(about.method, about.options)
    except UsageError as error:
        raise FewtuneError(f"{folder / ABOUT} is damaged: {error}") from error


def load_predictor(folder: Path, device: str = "auto", bf16: bool | None = None) -> Predictor:
    """Rebuild the classifier in `model/` of a run.

    Raises:
        FewtuneError: it is no artefact of fewtune, or its base model is gone or another one.
    """
    from fewtune.models.waiting import wait_as_the_machine_allows

    wait_as_the_machine_allows()
    about = About.read(folder)
    method = _method_of(folder, about)
    if about.speaks:
        raise UsageError(
            f"{folder}: this model writes and has no labels; `fewtune generate` and `fewtune chat` "
            "ask it."
        )
    with loading(folder, "model"):
        if not method.needs_model:
            return NgramPredictor(about, folder)
        model = cast("PooledModel", method.load(folder, about))
    from fewtune.models.device import find_machine
    from fewtune.models.load import load_saved_tokenizer

    return NeuralPredictor(about, model, load_saved_tokenizer(folder), find_machine(device, bf16))
