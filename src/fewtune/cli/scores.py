"""Scores in the terminal: of a finished run beside its baselines, and of `evaluate`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from fewtune.tasks import TASKS

if TYPE_CHECKING:
    from fewtune.api import Run
    from fewtune.cli.screen import Screen

BY_THEMSELVES = ("class", "length")  # what rows are divided by without any column
ACROSS = 3  # metrics that a line of 80 letters has room for


def finish(screen: Screen, run: Run) -> None:
    """A finished run: scores beside baselines, the verdict, where things are."""
    screen.close()
    scores = run.scores
    if not screen.heard and not screen.json:
        again = "`fewtune train` with --again computes it anew"
        screen.line("note", f"{run.folder.path} is finished already; {again}.", always=True)
        for note in scores.get("warnings") or ():
            screen.note(note)
    if screen.json:
        print(json.dumps(scores, ensure_ascii=False))
        return
    screen.out.print(score_table(screen, scores))
    screen.out.print(scores["verdict"], markup=False, soft_wrap=False)
    screen.out.print()
    _weakest(screen, scores)
    for sign in scores.get("diagnosis") or ():
        screen.out.print(f"{sign['message']} {sign['do']}", style="yellow", markup=False)
        screen.out.print()
    if nearest := run.folder.virtual_tokens:
        said = " ".join(one[0]["word"] for one in nearest)
        screen.out.print(f"the learned prompt is nearest to the words: {said}", markup=False)
        screen.out.print()
    path = run.folder.path
    for what, where in (
        ("report", path / "report.html"),
        ("model", path / "model"),
        ("try it", f"fewtune {TASKS[scores['task']].usage.format(quote(str(path)))}"),
    ):
        screen.out.print(f"{what:8}{where}", markup=False, soft_wrap=True)


def _weakest(screen: Screen, scores: Mapping[str, Any]) -> None:
    """The part that the model is weakest on, where that is beyond chance or a column makes it."""
    from fewtune.report.weak import weak_words

    found = scores.get("slices") or []
    worse = any(one["worse"] for one in found)
    if worse or any(one["by"] not in BY_THEMSELVES for one in found):
        screen.out.print(weak_words(found), style="yellow" if worse else "dim", markup=False)
        screen.out.print()


def score_table(screen: Screen, scores: Mapping[str, Any]) -> Any:
    """A run beside its baselines: systems down, or metrics where there are many."""
    shown = TASKS[scores["task"]].shown
    if len(shown) > ACROSS:
        return _by_metric(screen, scores, shown)
    table = _new_table(screen, scores)
    narrow = screen.out.width < 64  # the scores are what wraps then, not the names
    for metric in shown:
        table.add_column(
            metric.replace("_", " "), justify="right", no_wrap=not narrow, overflow="fold"
        )
    rows = [one for one in scores["baselines"].items() if one[0] != scores["method"]]
    rows.append((scores["method"], scores["test"]))
    for name, block in rows:
        own = name == scores["method"]
        table.add_row(
            name,
            *(_cell(metric, block.get(metric)) for metric in shown),
            style="bold" if own else "",
        )
    return table


def _by_metric(screen: Screen, scores: Mapping[str, Any], shown: Sequence[str]) -> Any:
    """Metrics down, systems across: there are many, and not every system has all."""
    table = _new_table(screen, scores)
    for name in scores["baselines"]:
        table.add_column(name, justify="right", overflow="fold")
    table.add_column(scores["method"], justify="right", style="bold", overflow="fold")
    blocks = [*scores["baselines"].values()]
    for metric in shown:
        if metric in scores["test"]:
            others = (_value(metric, block.get(metric)) for block in blocks)
            table.add_row(metric, *others, _cell(metric, scores["test"][metric]))
    return table


def _new_table(screen: Screen, scores: Mapping[str, Any]) -> Any:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), title_justify="left")
    rows, folds = scores["rows"], "fold" in scores.get("scored_on", "")
    scored = scores.get("scored", rows["train" if folds else "test"])
    asked = rows.get("answered", scored)
    some = f", {asked:,} answered" if 0 < asked < scored else ""
    head = f"on folds of {scored:,} rows" if folds else f"on {scored:,} test rows{some}"
    table.add_column(head, no_wrap=screen.out.width < 64)
    return table


def show_evaluation(screen: Screen, found: Mapping[str, Any]) -> None:
    """The scores of `evaluate`."""
    if screen.json:
        print(json.dumps(found, ensure_ascii=False))
        return
    from rich.table import Table

    for note in found["notes"]:
        screen.note(note)
    counts = found["rows"]
    print(f"{Path(found['data']).name}: {counts['read']:,} rows, {counts['kept']:,} kept")
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for metric, value in found["test"].items():
        table.add_row(metric, _cell(metric, value))
    screen.out.print(table)
    _weakest(screen, found)


def _cell(metric: str, value: Mapping[str, float] | None) -> str:
    """`71.4 % (62.5-79.0)`; losses, correlations and metrics of one's own keep their scale."""
    from fewtune.report.words import ends, is_share

    if value is None:
        return "-"
    if not is_share(metric):
        between = ends(f"{value['low']:.2f}", f"{value['high']:.2f}")
        return f"{value['value']:.3f} ({between})"
    between = ends(f"{100 * value['low']:.1f}", f"{100 * value['high']:.1f}")
    return f"{100 * value['value']:.1f} % ({between})"


def _value(metric: str, value: Mapping[str, float] | None) -> str:
    """`71.4 %`, without the interval."""
    return _cell(metric, value).partition(" (")[0]
