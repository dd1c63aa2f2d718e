"""What the user says about the run as a whole."""

from __future__ import annotations

from typing import Literal

from fewtune.base.options import Options, option


class SeedOptions(Options):
    """How what is random can be repeated."""

    seed: int = option(0, "every random choice derives from it", ge=0, lt=2**32)


class RunOptions(SeedOptions):
    """Where a run is kept and how it can be repeated."""

    output: str | None = option(None, "the run folder; default runs/<name>")
    preset: Literal["cautious"] | None = option(
        None, "`cautious`: the guides' recipe for small data, instead of our measured defaults"
    )
    again: bool = option(False, "compute a finished run anew")
