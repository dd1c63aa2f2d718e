"""Where a model is weaker: parts of the scored rows, by class, length and group, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fewtune.report import words
from fewtune.report.facts import Facts

SHOWN = 12  # parts in the table, the weakest first


def weakest(facts: Facts) -> dict[str, Any]:
    """`said`, a sentence about the weakest part; `lines` of the table; `parts`, how many there are.

    Empty where the scores have no parts.
    """
    found = facts.scores.get("slices") or []
    if not found:
        return {}
    return {"said": weak_words(found), "lines": found[:SHOWN], "parts": len(found)}


def weak_words(found: list[dict[str, Any]]) -> str:
    """The weakest part in a sentence, or that none is weaker beyond chance.

    Args:
        found: as `evaluate.slices` gives them, the surest weakness first.
    """
    worst, worse = found[0], [one for one in found if one["worse"]]
    told = reached(worst)
    parts = words.several(len(found), "part")
    if not worse:
        return (
            f"None of {parts} is worse than the rest beyond chance; the lowest for its size is "
            f"{named(worst)}: {told}."
        )
    more = f" {len(worse)} of {parts} are worse beyond chance." if len(worse) > 1 else ""
    return (
        f"Weakest is {named(worst)}: {told}, fewer than of the other rows "
        f"({words.p_value(worst['p'])}, corrected for {parts}).{more} Look at its labels first; "
        "more rows of this kind would help most."
    )


def reached(one: Mapping[str, Any]) -> str:
    """The share of a part that is right, with its interval."""
    share = words.number("accuracy", one["value"])
    ends = words.interval("accuracy", one)
    return f"{share} of {words.several(one['rows'], 'row')} are right ({ends})"


def named(one: Mapping[str, Any]) -> str:
    """A part in a sentence."""
    if one["by"] == "length":
        return f"texts of {one['name']}"
    return f"{one['by']} {one['name']}"
