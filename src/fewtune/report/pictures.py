"""Pictures as SVG text. Colours come from the page's style sheet, so they follow light and dark.

The pieces, with every text escaped, are in `svg`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fewtune.report import svg, words

WIDTH = 900  # of a picture as wide as the page, in its own units
SMALL = 13.0  # size of letters


@dataclass(frozen=True, slots=True)
class Dot:
    """A value with its interval. `ours` is this run's."""

    name: str
    value: float
    low: float
    high: float
    ours: bool = False


Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Line:
    """A curve; `kind` is a CSS class: raw, train, valid."""

    name: str
    points: Points
    kind: str
    marked: bool = False  # a dot on every point


# ---- dots


def dots(rows: Sequence[Dot], metric: str) -> str:
    """Values with their intervals on one axis, one a row, with the numbers at the right."""
    label_size, step, top = 15.0, 38, 8
    # a little more than the estimate: some systems' letters are wider
    left = min(330.0, 24 + 1.08 * max(words.width(row.name, label_size) for row in rows))
    right = WIDTH - 218
    low, high, ticks = svg.axis(
        min(row.low for row in rows),
        max(row.high for row in rows),
        bounds=(0.0, 1.0) if words.is_share(metric) else None,
    )

    def x(value: float) -> float:
        return left + (right - left) * (value - low) / (high - low)

    bottom = top + step * len(rows) + 6
    parts = [
        svg.line(x(tick), top, x(tick), bottom, "grid")
        + svg.text(x(tick), bottom + 20, svg.tick(tick, metric, ticks), "tick middle")
        for tick in ticks
    ]
    ours = next((row for row in rows if row.ours), None)
    if ours:  # its interval through all rows: who lies inside is hard to tell from it
        parts.append(svg.rect(x(ours.low), top, x(ours.high) - x(ours.low), bottom - top, "band"))
    for place, row in enumerate(rows):
        y = top + step * (place + 0.5) + 3
        kind = "ours" if row.ours else "theirs"
        name = words.fit(row.name, label_size, left - 20)
        parts += [
            svg.text(left - 16, y + 5, name, f"name end {kind}", row.name),
            svg.line(x(row.low), y, x(row.high), y, f"reach {kind}"),
            # Ends taller than the dot, so that a narrow interval is not hidden behind it.
            *(
                svg.line(x(end), y - 9, x(end), y + 9, f"stop {kind}")
                for end in (row.low, row.high)
            ),
            f'<circle class="dot {kind}" cx="{x(row.value):.1f}" cy="{y:.1f}" '
            f'r="{6.5 if row.ours else 5}"/>',
            svg.text(right + 80, y + 5, words.number(metric, row.value), f"number end {kind}"),
            svg.text(right + 96, y + 5, words.interval(metric, _score(row)), "tick"),
        ]
    parts.append(svg.line(left, bottom, right, bottom, "axis"))
    title = f"{words.metric_name(metric)} with 95 % intervals"
    return svg.picture(WIDTH, bottom + 30, title, parts, "dots")


def _score(row: Dot) -> dict[str, float]:
    return {"low": row.low, "high": row.high}


# ---- curves


def curves(lines: Sequence[Line], title: str, *, percent: bool = False) -> str:
    """Lines over steps with a legend above; nothing where no line has two points."""
    lines = [line for line in lines if line.points]
    if all(len(line.points) < 2 for line in lines):
        return ""
    w, h, left, top, right, bottom = 440, 262, 52, 34, 416, 222
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    first, last = 0.0, max(1.0, *xs)
    low, high, ticks = svg.axis(min(ys), max(ys), bounds=(0.0, 1.0) if percent else (0.0, math.inf))

    def at(point: tuple[float, float]) -> tuple[float, float]:
        x = left + (right - left) * (point[0] - first) / (last - first)
        return x, bottom - (bottom - top) * (point[1] - low) / (high - low)

    parts = []
    for tick in ticks:
        y = at((first, tick))[1]
        parts += [
            svg.line(left, y, right, y, "grid"),
            svg.text(
                left - 8,
                y + 4,
                svg.tick(tick, "accuracy" if percent else "loss", ticks),
                "tick end",
            ),
        ]
    for tick in svg.whole_ticks(first, last):
        x = at((tick, low))[0]
        parts += [
            svg.line(x, bottom, x, bottom + 4, "axis"),
            svg.text(x, bottom + 18, words.count(tick), "tick middle"),
        ]
    parts.append(svg.line(left, bottom, right, bottom, "axis"))
    parts.append(svg.text(right, bottom + 34, "optimiser steps", "tick end"))
    for line in lines:
        parts += _curve(line, [at(point) for point in line.points])
    return svg.picture(w, h, title, parts + _legend(lines, left), "curves")


def _curve(line: Line, at: Points) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    drawn = [f'<polyline class="line {line.kind}" points="{path}"/>'] if len(at) > 1 else []
    if line.marked and len(at) <= 30:
        drawn += [
            f'<circle class="mark {line.kind}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in at
        ]
    return drawn


def _legend(lines: Sequence[Line], left: float) -> list[str]:
    """In one row above the picture, so that no label lies on a curve."""
    parts, x = [], left
    for line in lines:
        if line.name:
            parts.append(svg.line(x, 14, x + 18, 14, f"line {line.kind}"))
            parts.append(svg.text(x + 24, 18, line.name, "legend"))
            x += 24 + words.width(line.name, SMALL) + 22
    return parts


def thinned(points: Points, most: int = 300) -> list[tuple[float, float]]:
    """Means of neighbours, so that a long run's picture stays small."""
    every = math.ceil(len(points) / most) or 1
    groups = [points[start : start + every] for start in range(0, len(points), every)]
    return [
        (group[-1][0], sum(y for _, y in group) / len(group)) if every > 1 else group[0]
        for group in groups
    ]


def smoothed(points: Points) -> list[tuple[float, float]]:
    """A running mean over a fifteenth of the run: losses of small batches jump."""
    half = max(1, len(points) // 30)
    ys = [y for _, y in points]
    means = []
    for place, (x, _) in enumerate(points):
        reach = min(half, place)  # narrow at the steep start, wide at the noisy end
        near = ys[place - reach : place + reach + 1]
        means.append((x, sum(near) / len(near)))
    return means


# ---- confusion


def confusion(labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> str:
    """A heat table with numbers: rows are the truth, columns what was said."""
    letters = SMALL if len(labels) <= 16 else 11.5
    left = 24 + min(230.0, max([60.0, *(words.width(one, letters) for one in labels)]))
    cell = min(84.0, max(24.0, (WIDTH - left - 90) / len(labels)))
    shown = [words.fit(one, letters, left - 24) for one in labels]
    flat = all(words.width(one, letters) < cell - 6 for one in labels)
    reach = max(words.width(one, letters) for one in shown)
    top = 56.0 if flat else 40 + reach * 0.72
    high = min(cell, 44.0)
    parts = [
        svg.text(left - 12, top - 12, "truth ↓", "axisname end"),
        svg.text(left + 2, 16, "said →", "axisname"),
    ]
    for place, (label, short) in enumerate(zip(labels, shown, strict=True)):
        x, y = left + cell * (place + 0.5), top + high * (place + 0.5)
        parts.append(svg.text(left - 12, y + 4, short, "cell end", label, letters))
        if flat:
            parts.append(svg.text(x, top - 12, short, "cell middle", label, letters))
        else:
            turn = f'transform="rotate(-45 {x + 3:.1f} {top - 8:.1f})"'
            parts.append(svg.text(x + 3, top - 8, short, "cell", label, letters, turn))
    for row, numbers in enumerate(matrix):
        parts += _cells(row, numbers, (left, top, cell, high))
    # The last turned label hangs over the right edge of the table.
    over = 12 if flat else reach * 0.72
    w = max(left + cell * len(labels) + over, 420)
    return svg.picture(w, top + high * len(labels) + 8, "confusion matrix", parts, "confusion")


def _cells(row: int, numbers: Sequence[int], box: tuple[float, float, float, float]) -> list[str]:
    left, top, cell, high = box
    total = sum(numbers) or 1
    parts = []
    for column, hits in enumerate(numbers):
        x, y, share = left + cell * column, top + high * row, hits / total
        kind = "right" if row == column else "wrong"
        parts.append(svg.rect(x + 1, y + 1, cell - 2, high - 2, "empty"))
        if hits:
            style = f'fill-opacity="{_shade(share):.2f}"'
            parts.append(svg.rect(x + 1, y + 1, cell - 2, high - 2, kind, style))
            ink = "cell middle strong" if share > 0.5 else "cell middle"
            letters = min(14.0, cell * 0.42 if hits < 1000 else cell * 0.32)
            parts.append(
                svg.text(x + cell / 2, y + high / 2 + letters * 0.36, str(hits), ink, "", letters)
            )
    return parts


def _shade(share: float) -> float:
    """Opacity of a share: even one row in a hundred is seen."""
    return 0.14 + 0.86 * share


def compact_confusion(labels: Sequence[str], matrix: Sequence[Sequence[int]]) -> str:
    """The whole matrix without numbers, for many classes: cells of one shade are one path."""
    side = 440 / len(labels)
    paths: dict[tuple[str, int], list[str]] = {}
    for row, numbers in enumerate(matrix):
        total = sum(numbers) or 1
        for column, hits in enumerate(numbers):
            if hits:
                kind = "right" if row == column else "wrong"
                level = min(6, 1 + int(6 * hits / total))
                paths.setdefault((kind, level), []).append(f"M{column} {row}h1v1h-1z")
    parts = [
        svg.rect(24, 24, 440, 440, "frame"),
        f'<g transform="translate(24 24) scale({side:.4f})">',
    ]
    for (kind, level), drawn in sorted(paths.items()):
        shade = 0.3 + 0.7 * level / 6 if kind == "wrong" else level / 6
        parts.append(f'<path class="{kind}" fill-opacity="{shade:.2f}" d="{"".join(drawn)}"/>')
    parts += [
        "</g>",
        svg.text(24, 16, "said →", "axisname"),
        svg.text(0, 0, "truth →", "axisname", "", None, 'transform="translate(8 24) rotate(90)"'),
    ]
    return svg.picture(472, 472, f"confusion matrix of {len(labels)} classes", parts, "compact")
