"""Where a model is weaker: parts of the scored rows, by class, length and columns, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fewtune.report import words
from fewtune.report.facts import Facts

SHOWN = 12  # parts in the table, the weakest first


def weakest(facts: Facts) -> dict[str, Any]:
    """`said`, a sentence about the weakest part; `lines` of the table; `parts`, how many there are;
    `value`, what the table shows of each, and the `most` that it can be.

    Empty where the scores have no parts.
    """
    found = facts.scores.get("slices") or []
    if not found:
        return {}
    of_loss = "metric" in found[0]
    value = "The loss a token of the reference answers" if of_loss else "The share that is right"
    return {
        "said": weak_words(found),
        "value": value,
        "of_loss": of_loss,
        "most": max(one["value"] for one in found) or 1.0 if of_loss else 1.0,
        "lines": found[:SHOWN],
        "parts": len(found),
    }


def weak_words(found: list[dict[str, Any]]) -> str:
    """The weakest part in a sentence, or that none is weaker beyond chance.

    Args:
        found: as `evaluate.slices` gives them, the surest weakness first.
    """
    worst, worse = found[0], [one for one in found if one["worse"]]
    told = reached(worst)
    parts = words.several(len(found), "part")
    of_loss = "metric" in worst
    if not worse:
        end = "highest" if of_loss else "lowest"
        none = f"None of {parts} is" if len(found) > 1 else "The one part is not"
        return (
            f"{none} worse than the rest beyond chance; the {end} for its size is "
            f"{named(worst)}: {told}."
        )
    more = f" {len(worse)} of {parts} are worse beyond chance." if len(worse) > 1 else ""
    than = "more" if of_loss else "fewer"
    what = "answers" if of_loss else "labels"
    return (
        f"Weakest is {named(worst)}: {told}, {than} than of the other rows "
        f"({words.p_value(worst['p'])}, corrected for {parts}).{more} Look at its {what} first; "
        "more rows of this kind would help most."
    )


def metric(one: Mapping[str, Any]) -> str:
    """What a part is measured by."""
    return str(one.get("metric", "accuracy"))


def reached(one: Mapping[str, Any]) -> str:
    """The share of a part that is right, or its loss, with the interval."""
    key = metric(one)
    value, ends = words.number(key, one["value"]), words.interval(key, one)
    rows = words.several(one["rows"], "row")
    if key == "loss":
        return f"a loss of {value} a token of {rows} ({ends})"
    return f"{value} of {rows} are right ({ends})"


def named(one: Mapping[str, Any]) -> str:
    """A part in a sentence."""
    if one["by"] == "length":
        return f"texts of {one['name']}"
    return f"{one['by']} {one['name']}"
