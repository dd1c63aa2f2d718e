"""What a rule found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fewtune.base.errors import shortened
from fewtune.data.row import Origin

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
MOST_ROWS = 1000  # named in JSON; more are counted


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or may be, with its evidence.

    Attributes:
        code: of the rule.
        severity: `error` where training on it would go wrong, `warning` where it may, else `note`.
        message: a sentence with the numbers.
        do: what to do, a sentence.
        rows: where, the clearest first.
        count: rows concerned; those of `rows` where not given.
        drop, mend: the safe fix, by row: rows to leave out, and fields to change. Empty where only
            a person can tell.
        beside: by row, the other row of a pair.
    """

    code: str
    severity: Severity
    message: str
    do: str
    rows: tuple[Origin, ...] = ()
    count: int | None = None
    drop: frozenset[Origin] = frozenset()
    mend: Mapping[Origin, Mapping[str, Any]] = field(default_factory=dict)
    beside: Mapping[Origin, Origin] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Rows concerned."""
        return len(self.rows) if self.count is None else self.count

    def as_json(self) -> dict[str, Any]:
        """As `check --json` prints it; `beside` names the other rows of pairs."""
        pairs = {str(row): str(self.beside[row]) for row in self.rows[:MOST_ROWS] if self.beside}
        return {
            "code": self.code,
            "severity": self.severity,
            "count": self.total,
            "rows": [str(row) for row in self.rows[:MOST_ROWS]],
            "message": self.message,
            "do": self.do,
            "beside": pairs,
        }


def share(count: int, of: int) -> str:
    """A count and what part it is.

    >>> share(12, 350), share(2, 10_000), share(0, 5)
    ('12 (3.4 %)', '2 (0.02 %)', '0 (0.0 %)')
    """
    if not of:
        return f"{count:,}"
    part = 100 * count / of
    return f"{count:,} ({part:.2f} %)" if 0 < part < 0.05 else f"{count:,} ({part:.1f} %)"


def some(names: Sequence[str], most: int = 3) -> str:
    """A few names, and how many more: `'a', 'b' and 4 more`."""
    told = ", ".join(shortened(name) for name in names[:most])
    return told + (f" and {len(names) - most} more" if len(names) > most else "")


def several(count: int, one: str, many: str | None = None) -> str:
    """`1 row`, `2,000 rows`.

    >>> several(1, "row"), several(2000, "row"), several(2, "class", "classes")
    ('1 row', '2,000 rows', '2 classes')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"
