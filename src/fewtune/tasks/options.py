"""What the user says about learning to write."""

from __future__ import annotations

from typing import Literal

from fewtune.base.options import Options, option


class AnsweredOptions(Options):
    """What is asked of a model that writes."""

    answered_rows: int = option(
        200, "most test rows that are answered; the loss is of all of them", ge=1
    )


class ScaleOptions(AnsweredOptions):
    """The same, of a model that is there already."""

    adapter_scale: float = option(1.0, "what the adapter adds is multiplied by this", ge=0, le=2)


class GenerateOptions(AnsweredOptions):
    """What is learned of a dialogue, and what is asked of a model that writes."""

    chat_template: Literal["plain", "chatml", "bare"] | None = option(
        None, "built-in template for a model without one; by default its own, else plain"
    )
    train_on: Literal["answers", "last", "all"] = option(
        "answers", "which tokens are learned: all answers, the last one, or everything"
    )
    examples: int = option(
        3, "training rows in the prompt of the few-shot baseline; 0 leaves it out", ge=0, le=20
    )
    replay: str | None = option(
        None, "file of general texts or dialogues that are learned along, against forgetting"
    )
    replay_share: float = option(0.1, "share of the learned rows that are replayed", gt=0, lt=1)
    general: str | None = option(
        None, "file of texts that the model must not forget; by default fewtune's own passages"
    )
