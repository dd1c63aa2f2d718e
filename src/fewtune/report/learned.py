"""What more rows would bring, as the run measured it."""

from __future__ import annotations

from typing import Any

from fewtune.report.charts import Measured, learning
from fewtune.report.facts import Facts, part


def learning_curve(facts: Facts) -> dict[str, Any]:
    """`said` and `picture`; empty where none was measured."""
    found = part(part(facts.plan, "chosen"), "learning_curve")
    if not found.get("said"):
        return {}
    points, fitted = ([_point(one) for one in found.get(key) or ()] for key in ("points", "fitted"))
    return {"said": found["said"], "picture": learning(points, fitted)}


def _point(one: dict[str, Any]) -> Measured:
    return Measured(int(one["rows"]), one["value"], one["low"], one["high"])
