"""The row ledger: no row disappears without a line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fewtune.data.row import Origin


@dataclass(frozen=True, slots=True)
class Entry:
    """Why one row was set aside, mended or cut. `code` is a check's code, such as `empty-label`."""

    origin: Origin
    code: str
    reason: str


class Unusable(Exception):
    """Why a value, and with it its row, is set aside: a code and a reason."""

    def __init__(self, code: str, reason: str):
        super().__init__(code, reason)
        self.code, self.reason = code, reason


@dataclass(slots=True)
class Ledger:
    """Counts and reasons for every row read: ``read == kept + quarantined``."""

    read: int = 0
    kept: int = 0
    quarantined: list[Entry] = field(default_factory=list)
    fixed: list[Entry] = field(default_factory=list)
    truncated: list[Entry] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """The five numbers; `fixed` and `truncated` count rows that were kept."""
        return {
            "read": self.read,
            "kept": self.kept,
            "quarantined": len(self.quarantined),
            "fixed": len({entry.origin for entry in self.fixed}),
            "truncated": len({entry.origin for entry in self.truncated}),
        }

    def check(self) -> None:
        """Raise AssertionError where a row is unaccounted for."""
        assert self.read == self.kept + len(self.quarantined), self.counts()

    def add(self, other: Ledger) -> None:
        """Take another file's ledger into this one."""
        self.read += other.read
        self.kept += other.kept
        self.quarantined += other.quarantined
        self.fixed += other.fixed
        self.truncated += other.truncated

    def as_json(self) -> dict[str, Any]:
        """Counts and every line, for `data.json`."""
        return {
            "counts": self.counts(),
            **{
                kind: [
                    {"origin": str(e.origin), "code": e.code, "reason": e.reason}
                    for e in getattr(self, kind)
                ]
                for kind in ("quarantined", "fixed", "truncated")
            },
        }
