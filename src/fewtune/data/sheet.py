"""What a format hands over: records with their origin, and the broken ones with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from fewtune.data.row import Origin


class Record(NamedTuple):
    """One record as it stands in the file: column -> value.

    `mended` says how the reader had to bend the format's rules to read it, else is empty.
    """

    origin: Origin
    values: dict[str, Any]
    mended: str = ""


class Broken(NamedTuple):
    """A record that cannot be read; `code` is a check's code, `reason` half a sentence.

    `values` holds what a record that ends too early does have, so that the reader of roles can
    say which one is missing.
    """

    origin: Origin
    code: str
    reason: str
    values: dict[str, Any] | None = None


@dataclass(frozen=True)
class Source:
    """A file to read.

    Attributes:
        path: where it is.
        name: how its rows name it in their origins.
        raw: its bytes.
        encoding: the encoding the user named, or None.
        wanted: columns the user named; a first row that holds one of them is a header.
    """

    path: Path
    name: str
    raw: bytes
    encoding: str | None = None
    wanted: frozenset[str] = frozenset()

    def at(self, line: int) -> Origin:
        """The origin of line (or record) `line`, counted from 1."""
        return Origin(self.name, line)


@dataclass(frozen=True)
class Sheet:
    """A file's content.

    Attributes:
        columns: the columns' names, in the file's order.
        records: every record, whole or broken, in the file's order.
        named: False where the file has no header, so that names were made up ("column 1", ...).
        notes: what the reader decided and the user should know.
    """

    columns: Sequence[str]
    records: Sequence[Record | Broken]
    named: bool = True
    notes: list[str] = field(default_factory=list)
