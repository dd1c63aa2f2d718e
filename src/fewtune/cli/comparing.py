"""`fewtune compare`: the table of methods, and what each is for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fewtune.base.race_state import RaceState
from fewtune.cli.screen import Screen
from fewtune.report import aside, standings
from fewtune.report.standings import Column

WIDE = 80  # columns of a terminal, from which on nothing is broken but an interval from its value
NAME = 16  # letters of a name that stay together there


def compare_methods(path: str, screen: Screen, options: Mapping[str, Any]) -> int | None:
    """Compare, and print the table."""
    from fewtune import api

    with screen:
        told = api.compare(path, listen=screen.listen, **options)
    if screen.json:
        print(json.dumps(told, ensure_ascii=False))
    else:
        show(screen, told)
    return None


def show(screen: Screen, told: Mapping[str, Any]) -> None:
    """The tables, the verdict, and where more is."""
    out = screen.out
    out.print(_table(screen, standings.columns(told), told["methods"]))
    out.print(f"{standings.MARKS}.", style="dim")
    out.print(standings.protocol(told), style="dim")
    if absent := standings.absent(told):
        out.print(absent, style="yellow")
    out.print(standings.costs_said(told), style="dim")
    out.print()
    if heads := aside.columns(told):
        out.print("What each writes and forgets:")
        out.print(_table(screen, heads, aside.lines_of(told)))
        out.print(aside.said(told), style="dim")
        out.print()
    if told["steps"]:
        out.print(f"One thing changed from {told['base']}, the difference on the same folds:")
        out.print(_table(screen, standings.step_columns(told), told["steps"]))
        out.print()
    out.print(told["verdict"])
    out.print()
    _lines(screen, "what each is for", standings.scenes_of(told))
    for line in (*told["methods"], *told["steps"]):
        if line["failed"]:
            out.print(f"{line['name']} failed: {line['failed']}", style="red")
    _lines(screen, "not for this model", [*told["refused"].items()])
    out.print(f"report  {told['run']}/report.html", soft_wrap=True)


def _table(screen: Screen, heads: Sequence[Column], lines: Sequence[Mapping[str, Any]]) -> Any:
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0))
    wide = screen.out.width >= WIDE
    for one in heads:
        side: Any = "right" if one.right else "left"
        words = [word for line in lines for word in one.cell(line).split()]
        least = min(NAME, max(map(len, words), default=0)) if wide else None
        whole = wide and one.right and not one.breaks
        table.add_column(one.head, justify=side, overflow="fold", no_wrap=whole, min_width=least)
    for line in lines:
        best = line.get("rank") == 1
        whole = line["state"] == RaceState.WHOLE and not line["failed"]
        style = "bold" if best else "" if whole else "dim"
        table.add_row(*(one.cell(line) for one in heads), style=style)
    return table


def _lines(screen: Screen, title: str, pairs: Sequence[tuple[str, str]]) -> None:
    """Names and what is said of them, under a title."""
    from rich.table import Table

    if not pairs:
        return
    screen.out.print(f"{title}:")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", style="dim")
    for name, said in pairs:
        grid.add_row(f"  {name}", said)
    screen.out.print(grid)
    screen.out.print()
