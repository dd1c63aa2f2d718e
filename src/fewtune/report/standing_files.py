"""The table of a comparison as CSV and as Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any

from fewtune.report import aside
from fewtune.report.markdown import fenced, plain
from fewtune.report.standings import (
    MARKS,
    Column,
    Line,
    absent,
    columns,
    costs_said,
    protocol,
    scenes_of,
    step_columns,
    verdict,
)


def _written_fields() -> dict[str, Callable[[Line], Any]]:
    """Of every metric of written answers its value and the ends of its interval."""

    def read(key: str, end: str) -> Callable[[Line], Any]:
        return lambda one: ((one.get("written") or {}).get(key) or {}).get(end)

    ends = {"": "value", "_low": "low", "_high": "high"}
    return {
        f"{key}{ending}": read(key, end)
        for key in ("exact_match", "number_match", *aside.WRITTEN[1:])
        for ending, end in ends.items()
    }


FIELDS: dict[str, Callable[[Line], Any]] = {
    "kind": lambda one: "step" if one["step"] else "method",
    "name": lambda one: one["name"],
    "rank": lambda one: one.get("rank"),
    "tied": lambda one: one.get("tied"),
    "state": lambda one: one["state"],
    "method": lambda one: one["method"],
    "preset": lambda one: one["preset"],
    "trainable_parameters": lambda one: one["trainable_parameters"],
    "total_parameters": lambda one: one["total_parameters"],
    "share": lambda one: one["share"],
    "score": lambda one: one["score"]["value"],
    "score_low": lambda one: one["score"]["low"],
    "score_high": lambda one: one["score"]["high"],
    "score_spread_of_seeds": lambda one: one["score"]["spread"],
    "log_loss": lambda one: one["log_loss"],
    "test": lambda one: (one["test"] or {}).get("value"),
    "test_low": lambda one: (one["test"] or {}).get("low"),
    "test_high": lambda one: (one["test"] or {}).get("high"),
    "behind_best": lambda one: (one.get("behind") or {}).get("value"),
    "behind_p": lambda one: (one.get("behind") or {}).get("p"),
    "effect": lambda one: (one.get("effect") or {}).get("value"),
    "effect_low": lambda one: (one.get("effect") or {}).get("low"),
    "effect_high": lambda one: (one.get("effect") or {}).get("high"),
    "effect_p": lambda one: (one.get("effect") or {}).get("p"),
    "forgets": lambda one: (one.get("forgets") or {}).get("value"),
    "forgets_low": lambda one: (one.get("forgets") or {}).get("low"),
    "forgets_high": lambda one: (one.get("forgets") or {}).get("high"),
    **_written_fields(),
    "seconds_of_a_fold": lambda one: one["seconds"],
    "memory_bytes": lambda one: one["memory"],
    "memory_is": lambda one: "measured" if one["memory"] is not None else None,
    "disk_bytes": lambda one: one["bytes"],
    "scene": lambda one: one["scene"],
}


def csv_text(told: Line) -> str:
    """Every number unrounded, a line a method, then a line a step."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["metric", *FIELDS])
    for one in (*told["methods"], *told["steps"]):
        writer.writerow([told["metric"], *(read(one) for read in FIELDS.values())])
    return out.getvalue()


def markdown_text(told: Line) -> str:
    """The tables as a page of Markdown."""
    title = f"# {plain(told['data'])}: {len(told['methods'])} methods compared"
    parts = [title, verdict(told), _table(columns(told), told["methods"])]
    parts += filter(None, [f"{MARKS}. {protocol(told)}", absent(told), costs_said(told)])
    parts += [
        f"`{one['name']}` failed: {plain(one['failed'])}"
        for one in (*told["methods"], *told["steps"])
        if one["failed"]
    ]
    if heads := aside.columns(told):
        table = _table(heads, aside.lines_of(told))
        parts += ["## What each writes and forgets", table, aside.said(told)]
    if told["steps"]:
        parts += [
            f"## One thing changed from `{told['base']}`",
            _table(step_columns(told), told["steps"]),
        ]
    scenes = scenes_of(told)
    parts += ["## What each is for", "\n".join(f"- `{name}`: {scene}" for name, scene in scenes)]
    if told["refused"]:
        lines = "\n".join(f"- `{name}`: {why}" for name, why in told["refused"].items())
        parts += ["## Not for this model", lines]
    if told["notes"]:
        parts += ["## Warnings", "\n".join(f"- {plain(one)}" for one in told["notes"])]
    parts += [fenced(told["command"])]
    return "\n\n".join(parts) + "\n"


def _table(heads: Sequence[Column], lines: Sequence[Line]) -> str:
    def row(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    rule = row(["---:" if one.right else "---" for one in heads])
    body = [row([plain(one.cell(line)) for one in heads]) for line in lines]
    return "\n".join([row([one.head for one in heads]), rule, *body])
