"""Where the search looks: ranges of options, written beside the options themselves."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Span:
    """From where to where an option is searched.

    Written into an option's annotation: ``lora_r: Annotated[int, Span(2, 32, log=True)]``.

    Attributes:
        low, high: both included; whole numbers where both are.
        log: even steps in the logarithm.
        step: between values; None for any value.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        """Whether values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def holds(self, value: object) -> bool:
        """Whether a value lies within."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    def rounded(self, value: float) -> float:
        """As people write it: two digits, no more than a search on few rows can tell apart.

        >>> Span(1e-4, 1e-2, log=True).rounded(0.00123456), Span(2, 32).rounded(7)
        (0.0012, 7)
        """
        return value if self.whole else float(f"{value:.2g}")


Space = dict[str, Span]


def around(value: float, factor: float) -> Span:
    """From a `factor`-th of a number to as many times it.

    >>> around(0.001, 4)
    Span(low=0.00025, high=0.004, log=True, step=None)
    """
    return Span(float(f"{value / factor:.2g}"), float(f"{value * factor:.2g}"), log=True)


def spans_of(fields: dict[str, FieldInfo]) -> Space:
    """The spans in the annotations of options."""
    return {
        name: span
        for name, field in fields.items()
        for span in field.metadata
        if isinstance(span, Span)
    }


def joined(spaces: Iterable[Space]) -> Space:
    """All options of several spaces; what two of them have spans both."""
    found: Space = {}
    for space in spaces:
        for name, span in space.items():
            mine = found.get(name, span)
            low, high = min(mine.low, span.low), max(mine.high, span.high)
            found[name] = replace(span, low=low, high=high)
    return found
