"""A saved model, asked from Python."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from fewtune.base.errors import UsageError

if TYPE_CHECKING:
    from fewtune.methods.predictor import Predictor
    from fewtune.methods.voice import Voice
    from fewtune.trials.prompted import Prompted
    from fewtune.trials.prompted_voice import PromptedVoice


class Model:
    """A saved artefact, loaded when it is first asked.

    Attributes:
        path: the artefact's folder, `model/` of a run.
        model: where the artefact is a prompt, another model to put it to.
    """

    def __init__(self, path: Path | str, model: str | None = None) -> None:
        self.path = Path(path)
        self.model = model

    def __repr__(self) -> str:
        return f"Model({str(self.path)!r})"

    @property
    def artefact(self) -> Path:
        """Where it is loaded from."""
        return self.path

    @cached_property
    def predictor(self) -> Predictor:
        """The loaded artefact.

        Raises:
            UsageError: it is a prompt, whose answers have no probabilities.
        """
        from fewtune.methods.predictor import load_predictor

        if self.prompted:
            raise UsageError(
                f"{self.path}: this is a prompt, and its answers have no probabilities; "
                "`fewtune predict` asks it."
            )
        return load_predictor(self.artefact)

    @cached_property
    def speaks(self) -> bool:
        """Whether it writes texts, rather than choosing a label."""
        from fewtune.methods.artefact import About

        return About.read(self.artefact).speaks

    @cached_property
    def columns(self) -> dict[str, str]:
        """Role -> the column that it was learned from."""
        from fewtune.methods.artefact import About

        return About.read(self.artefact).columns

    @cached_property
    def prompted(self) -> Prompted | None:
        """The prompt, where the artefact is one.

        Raises:
            UsageError: another model is named and it is none.
        """
        from fewtune.trials.prompted import is_prompt, load

        if is_prompt(self.path):
            return load(self.path, self.model)
        if self.model is not None:
            raise UsageError(
                f"model: {self.path} is a model itself and no prompt that could be put to another."
            )
        return None

    @cached_property
    def voice(self) -> Voice | PromptedVoice:
        """The loaded language model, or the prompted one."""
        from fewtune.methods.predictor import load_voice
        from fewtune.models.waiting import wait_as_the_machine_allows
        from fewtune.trials.prompted_voice import PromptedVoice

        if self.prompted:
            return PromptedVoice(self.prompted.model, self.prompted)
        wait_as_the_machine_allows()
        return load_voice(self.path)

    @cached_property
    def untouched(self) -> Voice | PromptedVoice:
        """The base of the language model, as it was before training, or without the prompt."""
        from fewtune.methods.predictor import load_untouched
        from fewtune.trials.prompted_voice import PromptedVoice

        if self.prompted:
            return PromptedVoice(self.prompted.model)
        return load_untouched(self.path)

    def generate(self, prompts: Any, *, seed: int = 0, **decoding: Any) -> list[dict[str, Any]]:
        """Answers of a language model.

        Args:
            prompts: a text, or a list of texts and of dialogues (lists of `{"role", "content"}`).
            seed: of every sampled answer.
            decoding: `temperature`, `top_p`, `max_new_tokens`, ...; greedy where nothing is given.

        Returns:
            One `{"prediction": text, "stopped": bool, "tokens": int}` a prompt; `stopped` where the
            model ended its answer itself. Where a model that is asked through its prompt does not
            take one, `prediction` is None and `refused` says why.

        Raises:
            UsageError: wrong options or prompts, or the model chooses among labels.
        """
        from fewtune.base.options import build
        from fewtune.data.dialogue import refusing, waiting
        from fewtune.models.decoding import DecodingOptions
        from fewtune.record.options import SeedOptions

        build([SeedOptions], {"seed": seed})
        (how,) = build([DecodingOptions], decoding)
        asked = [prompts] if isinstance(prompts, str) else list(prompts)
        with refusing():
            replies = self.voice.answer(
                [waiting(one) for one in asked], cast(DecodingOptions, how), seed
            )
        return [one.as_json() for one in replies]

    @property
    def labels(self) -> list[str]:
        """Class names in the order of the probabilities."""
        if self.prompted:
            return list(self.prompted.prompt.labels)
        return list(self.predictor.about.labels)

    def predict(self, texts: Sequence[str] | str) -> list[dict[str, Any]]:
        """The label of each text and the probability of every class; of what writes, its answers.

        Args:
            texts: one text or several.

        Returns:
            One `{"prediction": label, "probability": {label: share}}` a text, or as `generate`;
            where a text may have several labels, `prediction` is a list of them. Of a prompt
            `{"prediction": label, "answer": text}`, both None where the model said nothing; the
            label alone, where it named none; `refused` says why a text got no answer.
        """
        if self.speaks:
            return self.generate(texts)
        texts = [texts] if isinstance(texts, str) else list(texts)
        if not texts:
            return []
        if self.prompted:
            return self.prompted.predict(texts)
        found = self.predictor.probabilities(texts)
        return [
            {
                "prediction": answer,
                "probability": {
                    label: round(float(p), 6) for label, p in zip(self.labels, one, strict=True)
                },
            }
            for answer, one in zip(self.predictor.task.answers(found), found, strict=True)
        ]
