"""The page of a comparison: one HTML file that needs nothing else, and the table's other files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fewtune.base.errors import UsageError
from fewtune.base.files import write_atomic
from fewtune.record.folder import RunFolder
from fewtune.record.trouble import writing
from fewtune.report import aside, pictures, standing_files, standings, words
from fewtune.report.frontier import Point, frontier
from fewtune.report.markdown import plain
from fewtune.report.templates import rendered

COMPARISON = "comparison.json"
COSTS = {"seconds": "seconds of a fold", "memory": "memory at the peak of a fit"}
#: How a cost is told, and in what its ticks are counted.
FORMS = {"seconds": (standings.time, 1.0), "memory": (words.size, 2.0**20)}

Told = Mapping[str, Any]


def write_pages(folder: Path, told: Told) -> None:
    """Write comparison.csv, comparison.md and report.html beside comparison.json."""
    write_atomic(folder / "comparison.csv", standing_files.csv_text(told))
    write_atomic(folder / "comparison.md", standing_files.markdown_text(told))
    write_atomic(folder / "report.html", page(told, folder.resolve().name))


def is_comparison(folder: RunFolder) -> bool:
    """Whether a run folder is a comparison's."""
    return "compared" in folder.plan


def read(folder: RunFolder) -> dict[str, Any]:
    """comparison.json of a folder.

    Raises:
        UsageError: the comparison was stopped before.
    """
    try:
        return dict(json.loads((folder.path / COMPARISON).read_bytes()))
    except FileNotFoundError:
        raise UsageError(f"{folder.path}: {stopped(folder)}") from None


def stopped(folder: RunFolder) -> str:
    """What is to be done about a comparison that was stopped."""
    return f"this comparison did not finish; it goes on with `{folder.plan['command']}`."


def table_of(folder: RunFolder) -> dict[str, Any] | None:
    """comparison.json of a folder; None of a comparison that was stopped."""
    return read(folder) if (folder.path / COMPARISON).is_file() else None


def markdown_of(folder: RunFolder) -> str:
    """A comparison as Markdown; of one that was stopped how it goes on."""
    if table := table_of(folder):
        return standing_files.markdown_text(table)
    told = stopped(folder)
    return f"# {plain(folder.name)}\n\n{told[:1].upper()}{told[1:]}\n"


def write_again(folder: RunFolder) -> Path:
    """The pages anew from comparison.json; the path of report.html."""
    with writing(folder.path):
        write_pages(folder.path, read(folder))
    return folder.path / "report.html"


def page(told: Told, name: str) -> str:
    """The report as HTML.

    Args:
        told: what comparison.json holds.
        name: of the run.
    """
    return rendered("comparison.html", _everything(told, name))


def _everything(told: Told, name: str) -> dict[str, Any]:
    from markupsafe import Markup

    from fewtune import __version__

    return {
        "version": __version__,
        "name": name,
        "told": told,
        "subtitle": _subtitle(told),
        "key_numbers": _key_numbers(told),
        "heads": standings.columns(told),
        "aside_heads": aside.columns(told),
        "aside_lines": aside.lines_of(told),
        "aside_said": aside.said(told),
        "step_heads": standings.step_columns(told),
        "marks": standings.MARKS,
        "protocol": standings.protocol(told),
        "costs_said": standings.costs_said(told),
        "absent": standings.absent(told),
        "dots": Markup(_dots(told)),
        "pictures": [(what, Markup(one)) for what, one in _frontiers(told) if one],
        "fronts": told["fronts"],
        "falls": words.lower_is_better(told["metric"]),
        "failed": [one for one in (*told["methods"], *told["steps"]) if one["failed"]],
    }


def _subtitle(told: Told) -> list[str]:
    return [
        told["data"],
        Path(told["model"]).name,
        words.several(told["rows"]["train"], "training row"),
        *([words.several(told["classes"], "class", "classes")] if told["classes"] else []),
    ]


def _key_numbers(told: Told) -> list[tuple[str, str, str]]:
    """What the page shows in large letters."""
    whole = [one for one in told["methods"] if one["rank"]]
    if len(whole) < 2:
        return []
    best, metric = whole[0], told["metric"]
    tied = [one for one in whole if one["tied"]]
    quick = standings.quickest(tied)
    name = words.metric_name(metric)
    return [
        (
            f"best {name} on the folds",
            words.number(metric, best["score"]["value"]),
            words.interval(metric, best["score"]),
        ),
        ("best", best["name"], f"{standings.time(best['seconds'])} a fold"),
        ("quickest that ties", quick["name"], f"{standings.time(quick['seconds'])} a fold"),
        ("tied with the best", f"{len(tied) - 1} of {len(whole) - 1}", "not behind beyond noise"),
    ]


def _dots(told: Told) -> str:
    """Scores with their intervals."""
    rows = [
        pictures.Dot(
            one["name"],
            one["score"]["value"],
            one["score"]["low"],
            one["score"]["high"],
            one["rank"] == 1,
        )
        for one in told["methods"]
        if one["rank"]
    ]
    return pictures.dots(rows, told["metric"]) if len(rows) > 1 else ""


def _frontiers(told: Told) -> list[tuple[str, str]]:
    """The score against each cost."""
    found = []
    for cost, axis in COSTS.items():
        points = [
            Point(
                one["name"],
                float(one[cost]),
                one["score"]["value"],
                one["score"]["low"],
                one["score"]["high"],
                one["name"] in told["fronts"][cost],
            )
            for one in told["methods"]
            if one["rank"] and one[cost] is not None
        ]
        form, unit = FORMS[cost]
        found.append((axis, frontier(points, told["metric"], axis, form, unit)))
    return found
