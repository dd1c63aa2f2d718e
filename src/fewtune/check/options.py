"""What the user says to the linter."""

from __future__ import annotations

from pydantic import field_validator

from fewtune.base.options import Options, option


class CheckOptions(Options):
    """Which rules look, and how strictly."""

    select: tuple[str, ...] = option((), "only these codes or families: duplicate,leak-exact")
    ignore: tuple[str, ...] = option((), "not these codes or families")
    source: str | None = option(None, "column that says where a row comes from")
    few: int = option(8, "a class with fewer training rows is told", ge=2)
    ratio: float = option(20.0, "largest over smallest class that is told", gt=1)

    @field_validator("select", "ignore", mode="before")
    @classmethod
    def _codes(cls, value: object) -> object:
        """Take `a,b` as written on the command line."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value
