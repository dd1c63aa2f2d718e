"""Half-page pictures with two axes of numbers: calibration, what a person should see, learning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fewtune.report import svg, words
from fewtune.report.certainty import Bin, Kept

W, H = 440, 290  # of a picture, in its own units
LEFT, TOP, RIGHT, BOTTOM = 56, 34, 416, 228

Ends = tuple[float, float]
Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Frame:
    """Where numbers stand in a picture: `x` and `y` are the ends of the axes."""

    x: Ends
    y: Ends

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A point in the picture's own units."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return LEFT + (RIGHT - LEFT) * across, BOTTOM - (BOTTOM - TOP) * up

    def path(self, points: Points) -> str:
        """Points as polylines and polygons take them."""
        return svg.path(self.at(x, y) for x, y in points)

    def axes(
        self,
        across: Sequence[tuple[float, str]],
        up: Sequence[float],
        name: str,
        metric: str = "accuracy",
    ) -> str:
        """Grid, ticks and the name of what goes across; up are values of the metric."""
        parts = []
        for tick in up:
            y = self.at(self.x[0], tick)[1]
            label = svg.tick(tick, metric, up)
            parts += [
                svg.line(LEFT, y, RIGHT, y, "grid"),
                svg.text(LEFT - 8, y + 4, label, "tick end"),
            ]
        for tick, label in across:
            x = self.at(tick, self.y[0])[0]
            parts += [
                svg.line(x, BOTTOM, x, BOTTOM + 4, "axis"),
                svg.text(x, BOTTOM + 18, label, "tick middle"),
            ]
        parts.append(svg.line(LEFT, BOTTOM, RIGHT, BOTTOM, "axis"))
        parts.append(svg.text(RIGHT, BOTTOM + 42, name, "tick end"))
        return "".join(parts)


def _percents(ends: Ends, step: float) -> list[tuple[float, str]]:
    first, last = round(ends[0] / step), round(ends[1] / step)
    return [(step * k, f"{100 * step * k:.0f} %") for k in range(first, last + 1)]


def reliability(found: Sequence[Bin], of_labels: bool = False) -> str:
    """The share that is right by how sure the model is; on the dashed line they are the same.

    Args:
        of_labels: each of several labels of a row is told for itself, and belongs to it or not.
    """
    if not found:
        return ""
    frame = Frame((0.0, 1.0), (0.0, 1.0))
    ticks = _percents((0.0, 1.0), 0.2)
    most = max(one.rows for one in found)
    across = "how likely the model finds a label" if of_labels else "how sure the model is"
    up = "labels that belong to their row" if of_labels else "share that is right"
    parts = [frame.axes(ticks, [tick for tick, _ in ticks], across)]
    for one in found:  # how many rows stand behind a dot, as a column at the foot
        x, foot = frame.at(one.sure, 0)
        high = 44 * one.rows / most
        parts.append(svg.rect(x - 7, foot - high, 14, high, "rows"))
    parts.append(f'<polyline class="line ideal" points="{frame.path([(0, 0), (1, 1)])}"/>')
    for one in found:
        x, y = frame.at(one.sure, one.right)
        low, high = frame.at(0, one.low)[1], frame.at(0, one.high)[1]
        parts.append(svg.line(x, low, x, high, "reach thin ours"))
        parts.append(f'<circle class="dot ours" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>')
    parts.append(svg.text(LEFT, 18, f"{up}, with 95 % intervals", "legend"))
    return svg.picture(W, H, "how sure the model is and how often it is right", parts, "chart")


def rejection(found: Sequence[Kept]) -> str:
    """The share of right answers that are left when the least certain go to a person."""
    if not found:
        return ""
    low, high, ticks = svg.axis(min(one.low for one in found), 1.0, (0.0, 1.0))
    frame = Frame((0.0, found[-1].share), (low, min(1.0, high)))
    band = [(one.share, one.high) for one in found]
    band += [(one.share, one.low) for one in reversed(found)]
    line = frame.path([(one.share, one.right) for one in found])
    parts = [
        frame.axes(
            _percents((0.0, found[-1].share), 0.2),
            [tick for tick in ticks if tick <= 1.0 + 1e-9],
            "share of the rows that goes to a person, the least certain first",
        ),
        f'<polygon class="band" points="{frame.path(band)}"/>',
        f'<polyline class="line valid" points="{line}"/>',
        svg.text(LEFT, 18, "share of the rest that is right, with 95 % intervals", "legend"),
    ]
    return svg.picture(W, H, "right answers among those a person need not see", parts, "chart")


@dataclass(frozen=True, slots=True)
class Measured:
    """A score at a number of training rows, with its interval."""

    rows: int
    value: float
    low: float
    high: float


#: What goes up in a learning curve, by metric.
BRIEFLY = {
    "accuracy": "share that is right",
    "micro_f1": "micro F1",
    "loss": "loss in nats a token",
}


def learning(
    found: Sequence[Measured], fitted: Sequence[Measured], metric: str = "accuracy"
) -> str:
    """Measured scores by training rows, and the fitted curve with its band where there is one."""
    every = [*found, *fitted]
    if len(found) < 2:
        return ""
    low, high, ticks = svg.axis(
        min(one.low for one in every),
        max(one.high for one in every),
        (0.0, 1.0 if words.is_share(metric) else math.inf),
    )
    most = max(one.rows for one in every)
    frame = Frame((0.0, most * 1.02), (low, high))
    across = [(tick, words.count(tick)) for tick in svg.whole_ticks(0.0, most)]
    parts = [frame.axes(across, ticks, "training rows", metric)]
    if fitted:
        band: Points = [(one.rows, one.high) for one in fitted]
        band += [(one.rows, one.low) for one in reversed(fitted)]
        line = frame.path([(one.rows, one.value) for one in fitted])
        parts.append(f'<polygon class="band" points="{frame.path(band)}"/>')
        parts.append(f'<polyline class="line ideal" points="{line}"/>')
    for one in found:
        x, y = frame.at(one.rows, one.value)
        ends = frame.at(0, one.low)[1], frame.at(0, one.high)[1]
        parts.append(svg.line(x, ends[0], x, ends[1], "reach thin ours"))
        parts.append(f'<circle class="dot ours" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>')
    said = f"{BRIEFLY[metric]} by training rows" + (", and the fitted curve" if fitted else "")
    parts.append(svg.text(LEFT, 18, said, "legend"))
    return svg.picture(W, H, "learning curve", parts, "chart")
