"""`fewtune runs`: list, show, diff, rm."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewtune.base.amounts import told_time
from fewtune.base.errors import UsageError, did_you_mean
from fewtune.base.files import at
from fewtune.cli.screen import Screen
from fewtune.record.folder import RunFolder, is_run

if TYPE_CHECKING:
    from fewtune.record.index import Summary

HEADS = ("run", "method", "model", "rows", "score (95 %)", "took")
WHOLE = HEADS[3:]  # what does not wrap
NARROW = 64  # columns of a terminal, below which everything wraps
SHORTEST = 7  # characters of a model's name


def run_verb(verb: str, words: list[str], root: Path, screen: Screen) -> None:
    """Carry out one of VERBS.

    Raises:
        UsageError: too few or too many words, or no such run.
    """
    least, most, function = VERBS[verb]
    if not least <= len(words) <= most:
        wanted = str(least) if least == most else f"at least {least}"
        raise UsageError(f"runs {verb}: {wanted} run(s) to name; got {len(words)}.")
    function(words, root, screen)


def _list(words: list[str], root: Path, screen: Screen) -> None:
    from rich.table import Table

    from fewtune.record.index import list_runs

    found = list_runs(root)
    if screen.json:
        print(json.dumps([asdict(one) for one in found], ensure_ascii=False))
        return
    if not found:
        print(f"no runs in {root}/; `fewtune train DATA` makes one.")
        return
    rows = [_cells(one) for one in found]
    _fit_models(rows, screen.out.width)
    table = Table(box=None, padding=(0, 1, 0, 0))
    for head in HEADS:
        whole = head in WHOLE and screen.out.width >= NARROW
        side: Any = "right" if head in ("rows", "took") else "left"
        table.add_column(head, justify=side, no_wrap=whole, overflow="fold")
    for cells in rows:
        table.add_row(*cells)
    screen.out.print(table)


def _cells(one: Summary) -> list[str]:
    """A run's line."""
    rows = "-" if one.rows is None else f"{one.rows:,}"
    model = Path(one.model or "-").name
    took = "-" if one.seconds is None else told_time(one.seconds)
    return [one.name, one.method or "-", model, rows, _told(one), took]


def _told(one: Summary) -> str:
    """The score; of a run that is not finished how it stands."""
    score = _score(one)
    if one.state == "finished":
        return score
    return one.state if score == "-" else f"{score}, {one.state}"


def _fit_models(rows: list[list[str]], width: int) -> None:
    """Clip the models' names to the room that the other columns leave."""
    from rich.cells import cell_len

    place = HEADS.index("model")
    widest = [max(map(cell_len, column)) + 1 for column in zip(HEADS, *rows, strict=True)]
    room = width - sum(widest) + widest[place] - 1
    for cells in rows:
        cells[place] = _clipped(cells[place], max(SHORTEST, room))


def _score(one: Summary) -> str:
    """The primary metric on the test rows, after what it was before where that is compared with."""
    from fewtune.report.words import ends, is_share

    if one.value is None or one.low is None or one.high is None:
        return "-"
    key = one.primary or ""
    scale, decimals = (100, 1) if is_share(key) else (1, 2)
    value, low, high = (f"{scale * end:.{decimals}f}" for end in (one.value, one.low, one.high))
    before = "" if one.before is None else f"{scale * one.before:.{decimals}f} → "
    unit = " %" if is_share(key) else ""
    return f"{key} {before}{value}{unit} ({ends(low, high)})"


def _clipped(name: str, most: int) -> str:
    """A long name without its middle, for both ends tell models apart.

    >>> _clipped("Qwen2.5-0.5B-Instruct", 14), _clipped("minilm", 14)
    ('Qwen2.5…struct', 'minilm')
    """
    if len(name) <= most:
        return name
    tail = (most - 1) // 2
    return f"{name[: most - 1 - tail]}…{name[-tail:]}"


def _show(words: list[str], root: Path, screen: Screen) -> None:
    from fewtune.report.comparison import is_comparison, markdown_of, table_of
    from fewtune.report.markdown import markdown

    folder = open_run(words[0], root)
    nearest = folder.virtual_tokens
    if screen.json:
        found: dict[str, Any] = {"plan": folder.plan, "scores": folder.scores}
        found |= {"state": folder.state, "virtual_tokens": nearest}
        found |= {"comparison": table_of(folder)} if is_comparison(folder) else {}
        print(json.dumps(found, ensure_ascii=False, default=str))
        return
    from rich.markdown import Markdown

    tell = markdown_of if is_comparison(folder) else markdown
    screen.out.print(Markdown(tell(folder)))
    if nearest:
        print("\nVirtual tokens and the words nearest to them (cosine):")
        for number, words_near in enumerate(nearest, 1):
            told = ", ".join(f"{one['word']} {one['cosine']:.2f}" for one in words_near)
            print(f"  {number:>3}  {told}")


def _diff(words: list[str], root: Path, screen: Screen) -> None:
    from rich.table import Table

    from fewtune.record.index import diff, paired
    from fewtune.report.words import metric_name

    a, b = (open_run(word, root) for word in words)
    both = paired(a, b)
    found = diff(a, b, both)
    if screen.json:
        told = {"differences": [asdict(d) for d in found], "paired": both and asdict(both)}
        print(json.dumps(told, ensure_ascii=False, default=str))
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for head in ("", a.name, b.name):
        table.add_column(head)
    for one in found:
        table.add_row(one.name, _shown(one.a), _shown(one.b))
    screen.out.print(table)
    if both:
        print(
            f"On the same {both.rows:,} rows {b.name} is {both.difference * 100:+.1f} points "
            f"({both.low * 100:.1f} to {both.high * 100:.1f}) from {a.name} by "
            f"{metric_name(both.by)}; p = {both.p:.2g}."
        )
    else:
        print(_why_unpaired(a, b))


def _why_unpaired(a: RunFolder, b: RunFolder) -> str:
    """Why two runs cannot be compared row by row."""
    from fewtune.report.comparison import is_comparison

    if tables := [one.name for one in (a, b) if is_comparison(one)]:
        are = "is a comparison" if len(tables) == 1 else "are comparisons"
        return (
            f"{' and '.join(tables)} {are} of several methods and no one model, so there are no "
            "answers to pair row by row; `fewtune runs show` has the table."
        )
    if missing := [one.name for one in (a, b) if not one.scores]:
        return f"{' and '.join(missing)}: not scored yet, so there is nothing to compare."
    return "The two were scored on different rows, so they cannot be paired row by row."


def _remove(words: list[str], root: Path, screen: Screen) -> None:
    from fewtune.record.index import remove_run, runs_in

    known = [folder.name for folder in runs_in(root)]
    if unknown := [word for word in words if word not in known]:
        told = (f"{n}: there is no such run in {root}.{did_you_mean(n, known)}" for n in unknown)
        raise UsageError("\n".join(told))
    for word in dict.fromkeys(words):
        remove_run(root, word)
    screen.say({"removed": words}, f"removed {', '.join(words)}")


def open_run(name: str, root: Path) -> RunFolder:
    """A run by its folder, or by its name in `root`, whatever else has that name here."""
    here = is_run(at(name)) or (at(name).is_dir() and not is_run(root / name))
    return RunFolder.open(name if here else root / name)


def _shown(value: Any) -> str:
    if isinstance(value, dict) and {"value", "low", "high"} <= value.keys():
        return f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 9999.5 else f"{value:.4g}"
    return "-" if value is None else str(value)


#: Verb -> least and most names, and the function.
VERBS: dict[str, tuple[int, int, Callable[[list[str], Path, Screen], None]]] = {
    "list": (0, 0, _list),
    "show": (1, 1, _show),
    "diff": (2, 2, _diff),
    "rm": (1, 1000, _remove),
}


__all__ = ["VERBS", "open_run", "run_verb"]
