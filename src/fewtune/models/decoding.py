"""How the next token is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationInfo, field_validator, model_validator

from fewtune.base.options import Options, option

#: What a preset stands for; what the user gives beside it wins.
PRESETS: dict[str, dict[str, Any]] = {
    "precise": {"temperature": 0.0},
    "balanced": {"temperature": 0.7, "top_k": 50, "top_p": 0.9},
    "creative": {"temperature": 1.0},
}
#: Options that say what is drawn from, where anything is drawn.
HEATED = ("top_k", "top_p", "min_p")


class DecodingOptions(Options):
    """How answers are written; by default the likeliest token each time."""

    decoding: Literal["precise", "balanced", "creative"] = option(
        "precise", "preset: the likeliest token; temperature .7, top_k 50, top_p .9; temperature 1"
    )
    temperature: float = option(0.0, "0 takes the likeliest token", ge=0, le=5)
    top_k: int | None = option(None, "sample among so many tokens", ge=1)
    top_p: float | None = option(None, "sample among the likeliest of this total share", gt=0, le=1)
    min_p: float | None = option(
        None, "sample among tokens at least this share as likely as the likeliest", ge=0, le=1
    )
    repetition_penalty: float = option(1.0, "divides the logits of tokens already there", gt=0)
    max_new_tokens: int = option(256, "most tokens of an answer", ge=1)
    stop: str | None = option(None, "text at which an answer ends; several with | between")

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, given: Any) -> Any:
        """Fill in the preset's values where nothing else was given."""
        if isinstance(given, Mapping) and given.get("decoding") in PRESETS:
            return {**PRESETS[given["decoding"]], **given}
        return given

    @field_validator(*HEATED)
    @classmethod
    def _matters(cls, told: float | None, info: ValidationInfo) -> float | None:
        """Refuse what would change nothing, unless it comes with the preset."""
        preset = PRESETS[info.data.get("decoding", "precise")]
        if told is None or told == preset.get(str(info.field_name)):
            return told
        if info.data.get("temperature") == 0:
            raise ValueError(
                "at temperature 0 the likeliest token is taken, so this changes nothing; give a "
                "temperature above 0, or leave it out."
            )
        return told

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts at which an answer ends."""
        return tuple(one for one in (self.stop or "").split("|") if one)
