"""A contact sheet: each line a picture, and what every recipe made of it."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewtune.augment.images import opened
from fewtune.base.errors import FewtuneError
from fewtune.base.files import write_atomic
from fewtune.data.row import Row
from fewtune.data.splits import natural

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont
    from PIL.Image import Image as Picture

PARENTS = 12  # lines; more are a list, not a picture
CELL = 168  # pixels, width and height of a picture's place
GAP, EDGE, HEAD, CAPTION = 14, 28, 40, 26
UPRIGHT = (400, 500, "normal", "regular", "book", "medium")  # weights, as matplotlib calls them
PAPER, INK, FAINT, EMPTY = "#fbfaf8", "#1f2933", "#7b8794", "#eceae6"
FIRST = "as it was"
NUMBERED = "No font here has all names; classes are numbered in the order of their names."
#: Fonts with Chinese that machines are likely to have, the prettier ones first.
CHINESE = ("Noto Sans CJK SC", "Source Han Sans SC", "Noto Sans SC", "PingFang SC",
           "Microsoft YaHei", "Hiragino Sans GB", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei",
           "SimHei", "Droid Sans Fallback", "Arial Unicode MS", "AR PL UMing CN")  # fmt: skip


def write_sheet(parents: Sequence[Row], made: Iterable[Row], path: Path) -> None:
    """Draw the sheet and write it as PNG.

    Args:
        parents: rows of images; at most PARENTS of them are shown, the classes in turn.
        made: what the recipes made; of several copies the first is shown.
        path: of the sheet.

    Raises:
        FewtuneError: there is nothing to show.
    """
    new: dict[Any, dict[str, Row]] = defaultdict(dict)
    names: dict[str, None] = {}
    for row in made:
        new[row.origin].setdefault(str(row.recipe), row)
        names[str(row.recipe)] = None
    lines = chosen([row for row in parents if row.origin in new])
    if not lines:
        raise FewtuneError(f"sheet: no picture was made, so there is nothing to show in {path}.")
    raw = io.BytesIO()
    _drawn(lines, new, list(names)).save(raw, "PNG", optimize=True)
    write_atomic(path, raw.getvalue())


def chosen(parents: Sequence[Row]) -> list[Row]:
    """At most PARENTS rows, the classes in turn, then together by class."""
    waiting = {label: [row for row in parents if row["label"] == label]
               for label in natural({row["label"] for row in parents})}  # fmt: skip
    counts = dict.fromkeys(waiting, 0)
    while sum(counts.values()) < min(PARENTS, len(parents)):
        for label, rows in waiting.items():
            if counts[label] < len(rows) and sum(counts.values()) < PARENTS:
                counts[label] += 1
    return [row for label, rows in waiting.items() for row in rows[: counts[label]]]


def _drawn(
    lines: Sequence[Row], new: Mapping[Any, Mapping[str, Row]], names: Sequence[str]
) -> Picture:
    """The whole sheet."""
    from PIL import Image, ImageDraw

    font, called = _font(lines)
    columns = [FIRST, *names]
    line = CELL + CAPTION + GAP
    wide = 2 * EDGE + len(columns) * (CELL + GAP) - GAP
    high = 2 * EDGE + HEAD + len(lines) * line - GAP
    numbered = any(label != name for label, name in called.items())
    image = Image.new("RGB", (wide, high + numbered * CAPTION), PAPER)
    pen = ImageDraw.Draw(image)
    large, small = _letters(next(_fonts(), None), 17), _letters(font, 14)
    if numbered:
        pen.text((EDGE, high), NUMBERED, FAINT, small)
    for k, name in enumerate(columns):
        x = EDGE + k * (CELL + GAP)
        pen.text((x + CELL // 2, EDGE), name, INK if k else FAINT, large, anchor="ma")
        for n, parent in enumerate(lines):
            y = EDGE + HEAD + n * line
            shown = parent if k == 0 else new[parent.origin].get(name)
            _put(image, pen, (x, y), shown, small)
            if k == 0:
                told = _short(called[parent["label"]], pen, small)
                pen.text((x + CELL // 2, y + CELL + 5), told, INK, small, anchor="ma")
    return image


def _put(
    image: Picture, pen: ImageDraw.ImageDraw, at: tuple[int, int], row: Row | None, font: Any
) -> None:
    """A picture in the middle of its place, or the place empty where nothing was made."""
    from PIL import ImageOps

    x, y = at
    if row is None:
        pen.rectangle((x, y, x + CELL - 1, y + CELL - 1), EMPTY)
        pen.text((x + CELL // 2, y + CELL // 2), "nothing made", FAINT, font, anchor="mm")
        return
    small = ImageOps.contain(_coloured(row["image"]), (CELL, CELL))
    image.paste(small, (x + (CELL - small.width) // 2, y + (CELL - small.height) // 2))


def _coloured(path: str) -> Picture:
    """A picture with what is transparent white; 16 bits become the upper 8."""
    from PIL import Image

    image = opened(Path(path))
    if image.mode == "I;16":
        import numpy as np

        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("LA", "RGBA"):
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


# ---------------------------------------------------------------------------- letters


def _font(lines: Sequence[Row]) -> tuple[str | None, dict[str, str]]:
    """A font file that has all labels, and what each label is called on the sheet.

    Where no font has them, labels in other letters are numbered.
    """
    labels = natural({row["label"] for row in lines})
    wanted = {letter for label in labels for letter in label if not letter.isspace()}
    for path in _fonts():
        if wanted <= _has(path):
            return path, {label: label for label in labels}
    latin = next(_fonts(), None)
    has = _has(latin) if latin else set(map(chr, range(33, 127)))
    return latin, {
        label: label if set(label.replace(" ", "")) <= has else f"class {k}"
        for k, label in enumerate(labels, 1)
    }


def _fonts() -> Iterator[str]:
    """DejaVu, which matplotlib brings along, then fonts with Chinese."""
    from matplotlib.font_manager import fontManager

    files = {
        font.name: font.fname
        for font in reversed(fontManager.ttflist)  # its own come first, and are to win
        if font.style == font.stretch == "normal" and font.weight in UPRIGHT
    }
    return (files[name] for name in ("DejaVu Sans", *CHINESE) if name in files)


def _has(path: str) -> set[str]:
    from matplotlib.ft2font import FT2Font

    return {chr(code) for code in FT2Font(path).get_charmap()}


def _letters(path: str | None, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.truetype(path, size) if path else ImageFont.load_default(size)


def _short(text: str, pen: ImageDraw.ImageDraw, font: Any) -> str:
    """A caption that fits below its picture."""
    if pen.textlength(text, font) <= CELL:
        return text
    while text and pen.textlength(f"{text}…", font) > CELL:
        text = text[:-1]
    return f"{text}…"
