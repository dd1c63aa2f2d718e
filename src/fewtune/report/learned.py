"""What more rows would bring, as the run measured it."""

from __future__ import annotations

from typing import Any

from fewtune.report.charts import Measured, learning
from fewtune.report.facts import Facts, part
from fewtune.report.words import listed

#: What the dots of the picture are, by metric.
DOTS = {
    "accuracy": "the share of rows that is right",
    "micro_f1": "F1 of all labels of all rows together, at thresholds chosen on other rows,",
    "loss": "the loss of the answers, in nats a token,",
}


def learning_curve(facts: Facts) -> dict[str, Any]:
    """`said`, `picture`, and for its legend `dots`, what is measured, `sizes`, after how many rows,
    and `error`, what the law is of; empty where none was measured."""
    found = part(part(facts.plan, "chosen"), "learning_curve")
    if not found.get("said"):
        return {}
    points, fitted = ([_point(one) for one in found.get(key) or ()] for key in ("points", "fitted"))
    metric = found.get("metric", "accuracy")  # runs of before there were others
    return {
        "said": found["said"],
        "picture": learning(points, fitted, metric),
        "dots": DOTS[metric],
        "sizes": listed([f"{rows:,}" for rows in sorted({one.rows for one in points})]),
        "error": "loss" if metric == "loss" else "error",
    }


def _point(one: dict[str, Any]) -> Measured:
    return Measured(int(one["rows"]), one["value"], one["low"], one["high"])
