"""Pieces of SVG pictures: axes, ticks, lines, texts.

Every text is escaped here: a label may hold markup.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from fewtune.base.printable import clean
from fewtune.report import words


def axis(
    low: float, high: float, bounds: tuple[float, float] | None
) -> tuple[float, float, list[float]]:
    """Ends and ticks of an axis around the values, with a little air, inside the bounds."""
    air = (high - low) * 0.06 or abs(high) * 0.05 or 0.01
    low, high = low - air, high + air
    if bounds:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    if high <= low:  # all values on one bound
        low, high = low - 0.05, high + 0.05
    step = _nice((high - low) / 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return first * step, last * step, [place * step for place in range(first, last + 1)]


def _nice(step: float) -> float:
    """1, 2 or 5 times a power of ten, not below `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= step * 0.999)


def whole_ticks(first: float, last: float) -> list[float]:
    """Ticks at whole numbers."""
    step = max(1.0, _nice((last - first) / 5))
    return [step * n for n in range(math.ceil(first / step), math.floor(last / step) + 1)]


def tick(value: float, metric: str, ticks: Sequence[float]) -> str:
    """A tick's number, with no more decimals than the ticks need to differ."""
    scale = 100.0 if words.is_share(metric) else 1.0
    gap = scale * (ticks[1] - ticks[0]) if len(ticks) > 1 else 1.0
    decimals = max(0, -math.floor(math.log10(gap) + 1e-9))
    text = f"{scale * value + 0.0:.{decimals}f}".replace("-", "−")
    return text + (" %" if words.is_share(metric) else "")


def picture(width: float, height: float, title: str, parts: Iterable[str], kind: str) -> str:
    """The parts as one picture with a title for those who hear it."""
    return (
        f'<svg class="{kind}" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'role="img" aria-label="{_safe(title)}">{"".join(parts)}</svg>'
    )


def path(points: Iterable[tuple[float, float]]) -> str:
    """Points as polylines and polygons take them."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line; `kind` is its CSS class."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def rect(x: float, y: float, w: float, h: float, kind: str, more: str = "") -> str:
    """A rectangle from its upper left corner."""
    place = f'x="{x:.1f}" y="{y:.1f}" width="{max(w, 0):.1f}" height="{max(h, 0):.1f}"'
    return f'<rect class="{kind}" {place} {more}/>'


def text(
    x: float,
    y: float,
    text: str,
    kind: str,
    full: str = "",
    size: float | None = None,
    more: str = "",
) -> str:
    """A text; where it was cut, the whole of it appears under the pointer."""
    title = f"<title>{_safe(full)}</title>" if full and full != text else ""
    lang = f' lang="{found}"' if (found := words.language(text)) else ""
    style = f' style="font-size:{size:.1f}px"' if size else ""
    place = f'x="{x:.1f}" y="{y:.1f}"'
    return f'<text class="{kind}" {place}{lang}{style} {more}>{title}{_safe(text)}</text>'


def _safe(text: str) -> str:
    return escape(clean(text))
