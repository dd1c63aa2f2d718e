"""Pictures as another day would take them: lighter, turned, mirrored, cropped, noisier."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import ceil, cos, radians, sin
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from fewtune.augment.base import Context, Recipe
from fewtune.base.errors import FewtuneError, UsageError
from fewtune.base.files import fingerprint
from fewtune.base.options import option
from fewtune.data.images import picture
from fewtune.data.row import Row

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image as Picture

QUALITY = 95  # of a JPEG: what its blocks do is below the gentlest recipe
JPEG = (".jpg", ".jpeg")
MODES = ("L", "LA", "RGB", "RGBA", "I;16")
#: What other modes become.
AS = {"1": "L", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB",
      "LAB": "RGB", "HSV": "RGB", "I;16B": "I;16", "I;16L": "I;16"}  # fmt: skip


class ImageRecipe(Recipe):
    """A recipe of pictures; size, mode and label stay, and the parent's file does."""

    kind: ClassVar[str] = "image"

    def changed(self, image: Picture, draw: Random) -> Picture:
        """A new picture of the same size and mode; the same one where nothing can change."""
        raise NotImplementedError

    def rows(self, rows: Sequence[Row], draw: Random, context: Context) -> Iterator[Row]:
        """A new row for each, its image a new file in the context's folder.

        A picture that cannot be read, or did not change, is its parent's still.

        Raises:
            UsageError: there is no folder.
            FewtuneError: a picture has pixels that are neither grey nor coloured of 8 or 16 bits.
        """
        if context.folder is None:
            raise UsageError(f"augment: {self.name} writes images; name a folder for them.")
        for row in rows:
            made = self._made(row, draw, context.folder)
            yield Row(row.origin, {**row.fields, "image": made}, self.name)

    def _made(self, row: Row, draw: Random, folder: Path) -> str:
        parent = Path(row["image"])
        if picture(str(parent)).trouble:
            return str(parent)
        before = opened(parent)
        after = self.changed(before, draw)
        if after.tobytes() == before.tobytes():
            return str(parent)
        whose = str(row.origin).encode("utf-8", "surrogatepass")  # names of other systems too
        mark = fingerprint(whose, after.tobytes())[:8]
        stem = "".join(one if one.isprintable() else "_" for one in parent.stem[:60])
        kept = parent.suffix.lower() in JPEG and after.mode in ("L", "RGB")
        path = folder.absolute() / f"{stem}-{self.name}-{mark}{'.jpg' if kept else '.png'}"
        folder.mkdir(parents=True, exist_ok=True)
        if kept:
            after.save(path, quality=QUALITY)
        else:
            after.save(path)
        return str(path)


class Brightness(ImageRecipe):
    """The whole picture becomes lighter or darker."""

    name: ClassVar[str] = "brightness"
    scene: ClassVar[str] = "pictures become lighter or darker"
    strength: float = option(
        0.2, "most of its brightness that is added or taken, as a share", ge=0, le=1
    )

    def changed(self, image: Picture, draw: Random) -> Picture:
        """Times 1 + up to the strength, or 1 - it."""
        return _with_light(image, lambda light: light * (1 + _amount(self.strength, draw)))


class Contrast(ImageRecipe):
    """Light and dark move apart, or together."""

    name: ClassVar[str] = "contrast"
    scene: ClassVar[str] = "light and dark move apart or together"
    strength: float = option(
        0.2, "most that light and dark move from their mean, or to it, as a share", ge=0, le=1
    )

    def changed(self, image: Picture, draw: Random) -> Picture:
        """The distance from the picture's own mean grows or shrinks."""
        factor = 1 + _amount(self.strength, draw)
        return _with_light(image, lambda light: light.mean() + (light - light.mean()) * factor)


class Rotate(ImageRecipe):
    """The picture is turned a little; what comes in at the corners mirrors what is beside it."""

    name: ClassVar[str] = "rotate"
    scene: ClassVar[str] = "pictures are turned a little"
    degrees: float = option(10.0, "most by which it is turned, either way", ge=0, le=45)

    def changed(self, image: Picture, draw: Random) -> Picture:
        """Turned round its middle, with its edges mirrored so that no corner is black."""
        import numpy as np
        from PIL import Image

        angle = _amount(self.degrees, draw)
        if not angle:
            return image
        wide, high = image.size
        s, c = abs(sin(radians(angle))), cos(radians(angle))
        x, y = (ceil(max(0.0, one)) + 2 for one in (
            (wide * (c - 1) + high * s) / 2, (high * (c - 1) + wide * s) / 2
        ))  # fmt: skip
        cells = np.asarray(image)
        edges = ((y, y), (x, x), (0, 0))[: cells.ndim]
        padded = Image.fromarray(np.pad(cells, edges, mode="symmetric"))
        turned = padded.rotate(angle, Image.Resampling.BICUBIC)
        return turned.crop((x, y, x + wide, y + high))


class Flip(ImageRecipe):
    """Left and right change places; not for pictures with writing, or where sides matter."""

    name: ClassVar[str] = "flip"
    scene: ClassVar[str] = "left and right change places"
    share: float = option(1.0, "share of the pictures that are mirrored", ge=0, le=1)

    def changed(self, image: Picture, draw: Random) -> Picture:
        """Mirrored, or for 1 - share of the pictures as it is."""
        from PIL import Image

        mirrored = draw.random() < self.share
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else image


class Crop(ImageRecipe):
    """A little is cut away at the edges, and the rest enlarged to the old size."""

    name: ClassVar[str] = "crop"
    scene: ClassVar[str] = "edges are cut away and the rest enlarged"
    share: float = option(0.1, "most of width and height that is cut away", ge=0, le=0.5)

    def changed(self, image: Picture, draw: Random) -> Picture:
        """A part of the same shape, somewhere in the picture."""
        from PIL import Image

        kept = 1 - abs(_amount(self.share, draw))
        left, top = draw.random(), draw.random()
        wide, high = image.size
        x, y = (1 - kept) * wide * left, (1 - kept) * high * top
        if kept == 1:
            return image
        box = (x, y, x + kept * wide, y + kept * high)
        return image.resize(image.size, Image.Resampling.BICUBIC, box=box)


class Noise(ImageRecipe):
    """Every pixel becomes a little lighter or darker for itself, as on a dim day."""

    name: ClassVar[str] = "noise"
    scene: ClassVar[str] = "pixels become lighter or darker, each for itself"
    strength: float = option(0.03, "standard deviation of the noise, where white is 1", ge=0, le=1)

    def changed(self, image: Picture, draw: Random) -> Picture:
        """Gaussian noise, of light alone: what is grey in three colours stays grey."""
        import numpy as np

        shape = (image.height, image.width) + (1,) * (len(image.getbands()) > 1)
        grain = np.random.default_rng(draw.getrandbits(64)).normal(0, self.strength, shape)
        return _with_light(image, lambda light: light + grain)


def opened(path: Path) -> Picture:
    """A picture as a person sees it, upright, grey or coloured.

    Raises:
        FewtuneError: its pixels are of another kind.
    """
    from PIL import Image, ImageOps

    with Image.open(path) as file:
        image = ImageOps.exif_transpose(file)
    mode = AS.get(image.mode, image.mode)
    if mode == "P":
        mode = "RGBA" if "transparency" in image.info else "RGB"
    if mode not in MODES:
        raise FewtuneError(
            f"{path} has pixels of mode {mode}, and grey or coloured ones of 8 or 16 bits were "
            "expected; save it as PNG or JPEG."
        )
    return image if image.mode == mode else image.convert(mode)


def _amount(most: float, draw: Random) -> float:
    """Between half of the most and the most, up or down: never so little that nothing changes."""
    return draw.choice((-1, 1)) * draw.uniform(most / 2, most)


def _with_light(image: Picture, change: Callable[[np.ndarray], np.ndarray]) -> Picture:
    """The picture with its light, 0..1 by (high, wide) and colour, changed; alpha stays."""
    import numpy as np
    from PIL import Image

    cells = np.asarray(image)
    white = np.iinfo(cells.dtype).max
    colours = {"LA": 1, "RGBA": 3}.get(image.mode)
    light = cells if colours is None else cells[..., :colours]
    new: Any = np.rint(np.clip(change(light / white), 0, 1) * white).astype(cells.dtype)
    if colours is not None:
        new = np.concatenate([new, cells[..., colours:]], axis=-1)
    return Image.fromarray(new)
