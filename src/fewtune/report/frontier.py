"""The score against what it costs, as SVG: who is on the front, and who is cheaper and as good."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from fewtune.report import pictures, svg, words

LEFT, TOP, RIGHT, BOTTOM = 62.0, 18.0, 870.0, 330.0
LETTERS = 13.0


@dataclass(frozen=True, slots=True)
class Point:
    """A candidate: what it costs, what it reached, and whether it is on the front."""

    name: str
    cost: float
    value: float
    low: float
    high: float
    front: bool


Box = tuple[float, float, float, float]  # left, top, right, bottom


def frontier(
    points: Sequence[Point],
    metric: str,
    axis: str,
    form: Callable[[float], str],
    unit: float = 1.0,
) -> str:
    """Points with their intervals on a logarithmic axis of cost; nothing for fewer than two.

    Args:
        points: of the table.
        metric: what their values are.
        axis: what their costs are, in a few words.
        form: a cost as a text.
        unit: ticks stand at round numbers of these.
    """
    if len(points) < 2:
        return ""
    least = max(min((one.cost for one in points if one.cost > 0), default=1.0), 1e-3)
    costs = [max(one.cost, least) for one in points]
    first, last = math.log10(min(costs)) - 0.15, math.log10(max(costs)) + 0.35
    bounds = (0.0, 1.0) if words.is_share(metric) else None
    low, high, ticks = svg.axis(
        min(one.low for one in points), max(one.high for one in points), bounds
    )

    def x(cost: float) -> float:
        return LEFT + (RIGHT - LEFT) * (math.log10(max(cost, least)) - first) / (last - first)

    def y(value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low)

    parts = []
    for tick in ticks:
        parts.append(svg.line(LEFT, y(tick), RIGHT, y(tick), "grid"))
        parts.append(svg.text(LEFT - 8, y(tick) + 4, svg.tick(tick, metric, ticks), "tick end"))
    for cost in _cost_ticks(first, last, unit):
        parts.append(svg.line(x(cost), BOTTOM, x(cost), BOTTOM + 4, "axis"))
        parts.append(svg.text(x(cost), BOTTOM + 19, form(cost), "tick middle"))
    parts.append(svg.line(LEFT, BOTTOM, RIGHT, BOTTOM, "axis"))
    parts.append(svg.text(RIGHT, BOTTOM + 38, f"{axis} (logarithmic)", "tick end"))
    parts.append(_steps([(x(one.cost), y(one.value)) for one in points if one.front]))
    at = [(x(one.cost), y(one.value)) for one in points]
    kinds = ["ours" if one.front else "theirs" for one in points]
    for one, kind, (left, _) in zip(points, kinds, at, strict=True):
        parts.append(svg.line(left, y(one.low), left, y(one.high), f"whisker {kind}"))
    parts += _names(points, at)  # before the dots, so that no name's edge covers one
    for kind, (left, top) in zip(kinds, at, strict=True):
        parts.append(f'<circle class="dot {kind}" cx="{left:.1f}" cy="{top:.1f}" r="5.5"/>')
    title = f"{words.metric_name(metric)} against {axis}"
    return svg.picture(pictures.WIDTH, BOTTOM + 46, title, parts, "front")


def _cost_ticks(first: float, last: float, unit: float) -> list[float]:
    """Powers of ten, and where there are few of them 2 and 5 times those."""
    start = math.log10(unit)
    tens = range(math.floor(first - start), math.ceil(last - start) + 1)
    times = (1,) if last - first > 3 else (1, 3) if last - first > 1.2 else (1, 2, 5)
    every = [unit * k * 10.0**ten for ten in tens for k in times]
    return [one for one in every if first <= math.log10(one) <= last]


def _steps(front: Sequence[tuple[float, float]]) -> str:
    """The best that a cost buys: flat up to the next better one."""
    if len(front) < 2:
        return ""
    corners = sorted(front)
    told = [f"{corners[0][0]:.1f},{corners[0][1]:.1f}"]
    for (_, before), (left, top) in pairwise(corners):
        told += [f"{left:.1f},{before:.1f}", f"{left:.1f},{top:.1f}"]
    return f'<polyline class="line step" points="{" ".join(told)}"/>'


def _names(points: Sequence[Point], at: Sequence[tuple[float, float]]) -> list[str]:
    """Names beside their points, where they cover neither a point nor another name."""
    taken: list[Box] = [(left - 7, top - 7, left + 7, top + 7) for left, top in at]
    parts = []
    order = sorted(range(len(points)), key=lambda k: (not points[k].front, at[k]))
    for k in order:
        one, (left, top) = points[k], at[k]
        name = words.fit(one.name, LETTERS, 190)
        wide = words.width(name, LETTERS) * (1.2 if one.front else 1.06)
        box = _room(left, top, wide, taken)
        taken.append(box)
        kind = "name ours" if one.front else "name"
        if abs((box[1] + box[3]) / 2 - top) > 15:  # moved away: a thread back to the point
            end = min(max(left, box[0]), box[2])
            edge = box[3] if box[3] < top else box[1]
            parts.append(svg.line(left, top, end, edge, "thread"))
        parts.append(svg.text(box[0], box[3] - 4, name, kind, one.name, LETTERS))
    return parts


def _room(left: float, top: float, wide: float, taken: Sequence[Box]) -> Box:
    """The nearest free place for a name of some width beside a point."""
    high, first = 16.0, None
    for away in (0.0, 18.0, 36.0, 54.0, 72.0, 90.0):
        for turn in (1, -1) if away else (1,):
            middle = top + turn * away
            for start in (left + 10, left - 10 - wide, left - wide / 2):
                box = (start, middle - high / 2, start + wide, middle + high / 2)
                first = first or box
                inside = box[0] > LEFT and box[2] < pictures.WIDTH - 4
                inside = inside and box[1] > 0 and box[3] < BOTTOM - 2
                if inside and not any(_over(box, other) for other in taken):
                    return box
    assert first is not None
    return first


def _over(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
