"""The table of a comparison as texts: its columns, and what they say in sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from fewtune.base.race_state import NO_BASE, RaceState
from fewtune.choose.recipe import SMALL
from fewtune.evaluate.change import forgets
from fewtune.report import words

Line = Mapping[str, Any]
#: What a reader should know of every table, whoever shows it.
MARKS = "= not beaten by the best beyond noise (paired over rows, Holm-corrected)"
PARTS = {
    RaceState.BEATEN: "beaten early",
    RaceState.LATE: "out of time",
    RaceState.FAILED: "failed",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its head, a line's cell, whether it is a number, and whether it may be broken."""

    head: str
    cell: Callable[[Line], str]
    right: bool = True
    breaks: bool = False


def columns(told: Line) -> list[Column]:
    """The table of methods."""
    metric = told["metric"]
    name = words.metric_name(metric)
    found = [
        Column("rank", place),
        Column("method", lambda one: one["name"], right=False),
        Column("trains", lambda one: words.share(one["share"])),
        Column(f"{name}, folds", lambda one: score(metric, one["score"]), breaks=True),
    ]
    if told["rows"]["test"]:
        found.append(Column(f"{name}, test", lambda one: score(metric, one["test"]), breaks=True))
    return [*found, *_costs()]


def step_columns(told: Line) -> list[Column]:
    """The table of what was changed from the base, one thing at a time."""
    metric = told["metric"]
    name = words.metric_name(metric)
    return [
        Column("changed", lambda one: one["name"], right=False),
        Column(f"{name}, folds", lambda one: score(metric, one["score"]), breaks=True),
        Column(_over(told), lambda one: effect(metric, one["effect"]), breaks=True),
        Column("p", lambda one: p_of(one["effect"])),
        Column(
            "it is",
            lambda one: one["said"] if one["state"] == RaceState.WHOLE else PARTS[one["state"]],
            right=False,
        ),
        *_costs()[:1],
    ]


def _costs() -> list[Column]:
    return [
        Column("a fold", lambda one: time(one["seconds"])),
        Column("memory", lambda one: words.size(one["memory"])),
        Column("on disk", lambda one: words.size(one["bytes"])),
    ]


def _over(told: Line) -> str:
    """The head of the effects."""
    return "effect, points" if words.is_share(told["metric"]) else "effect"


def time(seconds: float | None) -> str:
    """A length of time, below a second in its thousandths.

    >>> time(0.0123), time(0.0002), time(12.3)
    ('12 ms', '0.2 ms', '12 s')
    """
    if seconds is None:
        return words.NONE
    if seconds >= 0.9995:
        return words.duration(seconds)
    return f"{1000 * seconds:.0f} ms" if seconds >= 0.0095 else f"{1000 * seconds:.1f} ms"


def place(one: Line) -> str:
    """The rank, with = for all that the best does not beat.

    >>> place({"rank": 2, "tied": True}), place({"rank": 1, "tied": True})
    ('2=', '1=')
    """
    if one["rank"] is None:
        return words.NONE
    return f"{one['rank']}{'=' if one['tied'] else ''}"


def score(metric: str, one: Line | None) -> str:
    """A value with its spread over the seeds, if there are several, and its interval.

    Short enough for a column, and the spread one word: a terminal of 80 columns breaks the cell
    before the interval alone.

    >>> score("accuracy", {"value": 0.843, "low": 0.81, "high": 0.872})
    '84.3 % (81.0-87.2)'
    >>> score("accuracy", {"value": 0.843, "low": 0.81, "high": 0.872, "spread": 0.0114})
    '84.3 % ±1.1 (81.0-87.2)'
    """
    if one is None:
        return words.NONE
    scale, decimals = (100, 1) if words.is_share(metric) else (1, 3)
    low, high = (f"{scale * one[end]:.{decimals}f}" for end in ("low", "high"))
    spread = one.get("spread")
    seeds = "" if spread is None else f" ±{scale * spread:.{decimals}f}"
    return f"{words.number(metric, one['value'])}{seeds} ({low}-{high})"


def effect(metric: str, one: Line | None) -> str:
    """A difference to the base with its interval.

    >>> effect("accuracy", {"value": 0.02, "low": -0.012, "high": 0.05})
    '+2.0 (−1.2 to +5.0)'
    """
    if one is None:
        return words.NONE
    between = words.points_between(metric, one["low"], one["high"]).removesuffix(" points")
    return f"{words.points(metric, one['value']).removesuffix(' points')} ({between})"


def p_of(one: Line | None) -> str:
    """A p value without its letter."""
    return words.p_value(one["p"] if one else None).replace("p = ", "").replace("p ", "")


def verdict(told: Line) -> str:
    """What the tables say, in a few sentences."""
    parts = [_of_methods(told), _of_seeds(told), _of_forgetting(told), _of_steps(told)]
    return " ".join(filter(None, parts))


def _of_seeds(told: Line) -> str:
    """The first rank that another seed could have changed, and how many more there are."""
    metric, whole = told["metric"], [one for one in told["methods"] if one["rank"]]
    pairs = pairwise(whole)
    close = [
        (one, other) for one, other in pairs if (one["score"]["spread"] or 0.0) > _gap(one, other)
    ]
    if not close:
        return ""
    one, other = close[0]
    value = words.number(metric, one["score"]["value"]).removesuffix(" %")
    spread = words.points(metric, one["score"]["spread"], signed=False)
    gap = words.points(metric, _gap(one, other), signed=False).removesuffix(" points")
    more = f", and {words.several(len(close) - 1, 'other rank')} likewise" if close[1:] else ""
    # fewer rows have their weights averaged as it is
    steadier = ", or average weights (--average_last 5)" if told["rows"]["train"] >= SMALL else ""
    return (
        f"Seeds differ by more than ranks: `{one['name']}` {value} ± {spread} over {one['seeds']} "
        f"seeds, {gap} ahead of `{other['name']}`{more}. Try more --seeds{steadier}."
    )


def _gap(one: Line, other: Line) -> float:
    """How far a line's score is from the next one's."""
    return abs(float(one["score"]["value"]) - float(other["score"]["value"]))


def _of_forgetting(told: Line) -> str:
    """That the best forgets, where it does, and who of its equals does not."""
    whole = [one for one in told["methods"] if one["rank"]]
    change = whole[0].get("forgets") if whole else None
    if not change or not forgets(change):
        return ""
    said = (
        f"`{whole[0]['name']}` forgets: its loss on general texts rose by {change['value']:.2f} "
        f"nats a token ({change['low']:.2f} to {change['high']:.2f})"
    )
    gentle = [
        one
        for one in whole[1:]
        if one["tied"] and one.get("forgets") and not forgets(one["forgets"])
    ]
    names = words.listed([f"`{one['name']}`" for one in gentle])
    return f"{said}, and that of {names} did not." if gentle else f"{said}."


def _of_steps(told: Line) -> str:
    """Which of the changes made a difference; nothing where nothing was changed."""
    if not told["steps"]:
        return ""
    steps = told["steps"]
    if all(one["said"] == NO_BASE for one in steps):
        count = words.several(len(steps), "change")
        return f"Of {count} nothing can be said: there is {NO_BASE}."
    whole = [one for one in steps if one["state"] == RaceState.WHOLE]
    left = _parts(steps)
    if not whole:
        return f"No change was fitted to all folds ({left})."
    found = {
        said: [f"`{one['name']}`" for one in whole if one["said"] == said]
        for said in ("better", "worse")
    }
    parts = [f"{said}: {words.listed(names)}" for said, names in found.items() if names]
    count = words.several(len(whole), "change") + (" on all folds" if left else "")
    said = "; ".join(parts) or "none makes a difference beyond noise"
    return f"Of {count}, {said}{f'; {left}' if left else ''}."


def quickest(lines: Sequence[Line]) -> Line:
    """The one whose folds took least; what was not fitted took none."""
    return min(lines, key=lambda one: one["seconds"] or 0.0)


def _of_methods(told: Line) -> str:
    whole = [one for one in told["methods"] if one["rank"]]
    if not whole:
        left = _parts(told["methods"], told)
        late = PARTS[RaceState.LATE] in left
        instead = "give more time (--budget)" if late else "see the notes"
        return f"No method was fitted to all folds ({left}); {instead}."
    best, metric = whole[0], told["metric"]
    number, name = words.number(metric, best["score"]["value"]), words.metric_name(metric)
    reached = f"{number} {name}" if words.is_share(metric) else f"a {name} of {number}"
    said = f"`{best['name']}` reached {reached} on the folds"
    said += f" ({words.interval(metric, best['score'])})"
    if len(whole) == 1:
        return f"{said}."
    tied = [one for one in whole[1:] if one["tied"]]
    if not tied:
        others = "other" if len(whole) == 2 else f"{len(whole) - 1} others"
        return f"{said} and beats the {others} beyond noise."
    quick = quickest([best, *tied])
    names = words.listed([f"`{one['name']}`" for one in tied])
    said += f", the best of {len(whole)}; not told apart from it beyond noise: {names}."
    if quick is best:
        return f"{said} It is also the quickest of these."
    times = time(quick["seconds"]), time(best["seconds"])
    return (
        f"{said} The quickest of these is `{quick['name']}`: {times[0]} a fold against {times[1]}."
    )


def protocol(told: Line) -> str:
    """How the numbers came about, in a sentence."""
    seeds, rows = told["seeds"], told["rows"]["train"]
    again = f", dealt anew for each of {seeds} seeds" if seeds > 1 else ""
    scored = told.get("scored") or rows
    some = f", {scored:,} of which are held out," if scored < rows else ""
    said = f"{rows:,} training rows{some} on {told['folds']} folds{again}, the same for all"
    if told["rows"]["test"]:
        said += f"; then fitted to all of them for {told['rows']['test']:,} test rows, "
        said += "which rank nobody"
    spread = ", and ± is the standard deviation over seeds" if seeds > 1 else ""
    return f"{said}. Intervals are 95 %, over rows{spread}."


def absent(told: Line) -> str:
    """Who has no rank, and why; nothing where all have one."""
    said = _parts(told["methods"], told)
    return f"Without a rank, for not all folds were fitted: {said}." if said else ""


def _parts(lines: Sequence[Line], told: Line = MappingProxyType({})) -> str:
    """Who was not fitted to all folds, by why: beaten early, out of time, failed.

    Args:
        told: where those are named that have no line, for not one fold was fitted.
    """
    without = {RaceState.LATE: "missing", RaceState.FAILED: "failed"}
    found = []
    for state, why in PARTS.items():
        names = [f"`{one['name']}`" for one in lines if one["state"] == state]
        names += [f"`{name}`" for name in told.get(without.get(state, ""), ())]
        if names:
            found.append(f"{why}: {words.listed(names)}")
    return "; ".join(found)


def costs_said(told: Line) -> str:
    """What the columns of costs are."""
    shared = words.duration(told["seconds"]["shared"])
    return (
        "Time is that of a fold, fit and answers; tokens and features of the untouched model were "
        f"computed once for all ({shared}). Memory is measured, at the peak of the first fit, over "
        "that of the process without the model. On disk is the saved artefact."
    )


def scenes_of(told: Line) -> list[tuple[str, str]]:
    """Each method's scene once, in the table's order."""
    trained = [one for one in told["methods"] if one["method"]]  # the untouched model has none
    return [*{one["method"]: one["scene"] for one in trained}.items()]
