"""A row: what a task reads, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Where a row stands: the file's name, and its line (1-based; for JSON arrays and parquet,
    the record's number)."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Row:
    """One example.

    Attributes:
        origin: where it stands; of a row that was made, where its parent stands.
        fields: the task's roles (`text`, `label`), not the file's columns.
        recipe: what made it from the row at `origin`; None for a row that was read.
        beside: columns that no task reads, by their names: scores are told for the parts that they
            make of the rows. They are no part of what the row is.
    """

    origin: Origin
    fields: Mapping[str, Any]
    recipe: str | None = None
    beside: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __getitem__(self, role: str) -> Any:
        return self.fields[role]

    def get(self, role: str, default: Any = None) -> Any:
        """The role's value, or `default` where the row has none."""
        return self.fields.get(role, default)

    def with_fields(self, **changed: Any) -> Row:
        """The same row with some roles changed."""
        return replace(self, fields={**self.fields, **changed})
