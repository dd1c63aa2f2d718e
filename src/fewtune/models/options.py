"""What the user says about the pretrained side and the machine."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from fewtune.base.amounts import bytes_of
from fewtune.base.errors import UsageError
from fewtune.base.options import Options, option

ENDPOINT = "endpoint:"  # before the address of a server, `endpoint:URL#NAME`


def is_endpoint(model: str) -> bool:
    """Whether a model is named that answers behind an address.

    >>> is_endpoint("endpoint:http://127.0.0.1:8000#qwen"), is_endpoint("minilm")
    (True, False)
    """
    return model.startswith(ENDPOINT)


class ModelOptions(Options):
    """Which pretrained model, and how it is loaded and run."""

    model: str = option(
        "minilm", "local folder, hub id, `minilm` (comes with fewtune), endpoint:URL#NAME"
    )
    max_length: int | None = option(
        None, "tokens kept of a text; by default what the encoder was trained with", ge=4
    )
    device: Literal["auto", "cpu", "cuda"] = option("auto", "where to compute")
    bf16: bool | None = option(None, "bfloat16 arithmetic; by default where the machine has it")
    memory: str | None = option(
        None, "what may be used, such as 24GB; `plan` takes what is free, a run has no limit"
    )
    attention: Literal["auto", "eager", "sdpa"] = option(
        "auto", "attention kernel; `auto` measures both for a moment"
    )
    allow_pickle: bool = option(False, "load weights stored as pickle (they can run code)")
    trust_remote_code: bool = option(False, "run code that comes with the model")

    @field_validator("memory")
    @classmethod
    def _is_a_size(cls, told: str | None) -> str | None:
        try:
            return told if told is None or bytes_of(told) else None
        except UsageError as error:
            raise ValueError(str(error).removeprefix("memory: ")) from None

    @property
    def budget(self) -> int | None:
        """Bytes that may be used; None for no limit."""
        return bytes_of(self.memory) if self.memory else None
