"""What the user says about the data."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from fewtune.base.options import Options, option


class DataOptions(Options):
    """How the rows are read and split."""

    valid: str | None = option(None, "file with the validation rows")
    test: str | None = option(
        None,
        "file with the test rows; without it 20 % is held out, or, where a race chooses on fewer "
        "than 2,000 rows, every row is a test row of one fold",
    )
    text: str | None = option(None, "the column that holds the text")
    label: str | None = option(None, "the column that holds the label")
    map: dict[str, str] = option({}, "columns by role: text=problem,label=action")
    encoding: str | None = option(None, "the files' encoding; found out where not given")
    format: Literal["csv", "tsv", "json", "jsonl", "parquet", "xlsx"] | None = option(
        None, "the files' format; by suffix and content where not given"
    )
    strict: bool = option(False, "stop at the first broken row instead of setting it aside")
    test_share: float = option(0.2, "share of the rows held out without --test", gt=0, lt=1)
    split: str | None = option(
        None, "run (or its data.json) whose split of the same file is used again"
    )
    valid_share: float | None = option(
        None, "share of the training rows kept for validation without --valid", gt=0, lt=1
    )
    group: str | None = option(
        None, "column whose values stay on one side of every split, such as the machine"
    )
    time: str | None = option(None, "column by which the newest rows are held out")
    slice: tuple[str, ...] = option(
        (),
        "columns, with commas between, for whose values scores are told; by default those with 2 "
        "to 30 values",
    )
    max_characters: int = option(20_000, "longer texts are cut here", ge=100)

    @field_validator("slice", mode="before")
    @classmethod
    def _columns(cls, value: object) -> object:
        """Take `a,b` as written on the command line, `a，b` too; a list's names as they stand."""
        if not isinstance(value, str):
            return value
        names = (part.strip() for part in value.replace("，", ",").split(","))
        return tuple(dict.fromkeys(name for name in names if name))

    @field_validator("map", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        """Take `a=b,c=d` as written on the command line."""
        if isinstance(value, dict):
            return value
        if not isinstance(value, str):
            raise ValueError(f"role=column pairs with commas between; got {value!r}.")
        pairs = [part.partition("=") for part in value.split(",")]
        if not all(role.strip() and eq and column.strip() for role, eq, column in pairs):
            raise ValueError(f"role=column pairs with commas between; got {value!r}.")
        return {role.strip(): column.strip() for role, _, column in pairs}
