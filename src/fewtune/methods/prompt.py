"""Prompt tuning: virtual tokens before the text are all that trains. arXiv:2104.08691.

[P; X] with P (virtual tokens, width); Lester et al. 2021, section 2. A start from real words of the
vocabulary matters more than any other choice (their figure 3b; .057 against .343 in docs/log.md's
sources).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import model_validator

from fewtune.base.options import option
from fewtune.methods.soft_prompt import SoftPrompt

if TYPE_CHECKING:
    from fewtune.models.tunable import Tunable


class Prompt(SoftPrompt):
    """Learned virtual tokens before the text."""

    name: ClassVar[str] = "prompt"
    scene: ClassVar[str] = "only the input can change; a few kilobytes a task"
    answer_rate: ClassVar[float] = 1e-2
    rate: ClassVar[float] = 3e-2

    prompt_tuning_init: Literal["vocabulary", "text", "random"] = option(
        "vocabulary", "how the virtual tokens start"
    )
    prompt_tuning_init_text: str | None = option(None, "the words they start from")

    @model_validator(mode="after")
    def _text_has_words(self) -> Self:
        if self.prompt_tuning_init == "text" and not self.prompt_tuning_init_text:
            raise ValueError('prompt_tuning_init=text needs prompt_tuning_init_text="some words".')
        return self

    def config(self, model: Tunable) -> Any:
        """PromptTuningConfig."""
        from peft import PromptTuningConfig

        kinds = {"vocabulary": "SAMPLE_VOCAB", "text": "TEXT", "random": "RANDOM"}
        config: Any = model.backbone.config
        words = {
            "prompt_tuning_init_text": self.prompt_tuning_init_text,
            "tokenizer_name_or_path": config.name_or_path,
        }
        return PromptTuningConfig(
            **self.shape(model),
            prompt_tuning_init=kinds[self.prompt_tuning_init],
            **(words if self.prompt_tuning_init == "text" else {}),
        )
