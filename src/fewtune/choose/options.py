"""What the user says about a plan."""

from __future__ import annotations

from fewtune.base.errors import UsageError, one_of
from fewtune.base.options import Options, option
from fewtune.choose.rules import NEEDS


class PlanOptions(Options):
    """What the methods are weighed by, besides the data, the model and the machine."""

    need: str | None = option(
        None, f"what is needed besides a good score, by comma: {', '.join(NEEDS)}"
    )
    again: bool = option(False, "time the steps anew, whatever was timed before")


def needs_of(told: str | None) -> frozenset[str]:
    """The needs that a person wrote down, between commas of any kind.

    >>> sorted(needs_of("switch, edge")), sorted(needs_of("modular，switch")), needs_of(None)
    (['edge', 'switch'], ['modular', 'switch'], frozenset())

    Raises:
        UsageError: one of them is not known.
    """
    import re

    words = [word.strip().lower() for word in re.split(r"[,，、;；]", told or "") if word.strip()]
    if wrong := [word for word in words if word not in NEEDS]:
        raise UsageError("\n".join(one_of("need", word, NEEDS) for word in wrong))
    return frozenset(words)
