"""Images by their paths: where they lie, whether they can be opened, which are the same file."""

from __future__ import annotations

import os
import struct
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from fewtune.base.files import at, fingerprint
from fewtune.data.ledger import Unusable
from fewtune.data.row import Row

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
ADDRESS = ("http://", "https://", "data:")
SMALL = 2**16  # bytes; a smaller JPEG is decoded at once, it takes a millisecond
TAIL = 2**10  # bytes at a JPEG's end among which its end mark must be
#: What Pillow raises on files that are broken.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error)


@dataclass(frozen=True)
class Picture:
    """What a file's header says.

    Attributes:
        width, height: in pixels; 0 where the file cannot be read.
        mode: Pillow's, such as `RGB`, or `L` for grey.
        trouble: half a sentence where it cannot be read, else empty.
    """

    width: int = 0
    height: int = 0
    mode: str = ""
    trouble: str = ""


def image_path(value: Any, folder: Path) -> str:
    """A path that opens from anywhere; one in a table is relative to the table's folder.

    Args:
        value: as it stands in the file; an address stays as it is.
        folder: of the table.

    Raises:
        Unusable: it is no text.
    """
    if not isinstance(value, str | Path):
        raise Unusable("format-type", f"an image is {_short(value)} where a path is expected")
    text = str(value).strip()
    if not text or "\0" in text or text.casefold().startswith(ADDRESS):
        return text
    path = (folder / at(text)).absolute()
    if "\\" in text and not os.path.exists(path):  # a table that was written on Windows
        path = (folder / text.replace("\\", "/")).absolute()
    return str(path)


def image_paths(value: Any, folder: Path) -> tuple[str, ...]:
    """One path or a list of them; see `image_path`."""
    if value is None or value == "":
        return ()
    given = value if isinstance(value, list | tuple) else [value]
    return tuple(image_path(one, folder) for one in given)


def images_of(row: Row) -> tuple[str, ...]:
    """All images of a row: its own, its dialogue's, its turns'."""
    own = (row["image"],) if "image" in row.fields else ()
    turns = [path for turn in row.get("messages", ()) for path in turn.images]
    return tuple(dict.fromkeys([*own, *row.get("images", ()), *turns]))


def picture(path: str) -> Picture:
    """What is at a path: the header is read, and the end looked for, without decoding it all.

    A PNG's checksums and a JPEG's end mark tell a file that was cut; other formats have no such
    marks and are decoded.
    """
    from PIL import Image

    if trouble := _no_file(path):
        return Picture(trouble=trouble)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of very large images, which only the size rule tells
            with Image.open(path) as image:
                found = Picture(*image.size, image.mode)
                if image.format == "PNG":
                    image.verify()
                elif image.format != "JPEG" or not _has_end(Path(path)):
                    image.load()
    except Image.DecompressionBombError:
        return Picture(trouble="has more pixels than Pillow opens, as a bomb of zeros would")
    except BROKEN as error:
        return Picture(trouble=_said(error))
    return found


def same_files(paths: Iterable[str]) -> dict[str, str]:
    """A mark for each path, equal for files of the same bytes.

    Only files whose size another one has are read; what is no file is marked by its path.
    """
    sizes = {path: _size(path) for path in paths}
    often = Counter(sizes.values())
    return {
        path: file_mark(path) if often[size] > 1 else _name_mark(path)
        for path, size in sizes.items()
    }


def file_mark(path: str) -> str:
    """A mark of a file's bytes, or of the path where there is no file."""
    size = _size(path)
    if size is None:
        return _name_mark(path)
    return _digest(path, size, Path(path).stat().st_mtime_ns)


def _name_mark(path: str) -> str:
    """Also of names that are no Unicode, as files from other systems may have."""
    return fingerprint(path.encode("utf-8", "surrogatepass"))


@lru_cache(maxsize=2**16)
def _digest(path: str, size: int, changed: int) -> str:
    """Size and time are there so that a file written anew is read anew."""
    return fingerprint(Path(path))


def _size(path: str) -> int | None:
    """Bytes; None where there is no file, or the name is one that no file can have."""
    return os.path.getsize(path) if os.path.isfile(path) else None


def _no_file(path: str) -> str:
    if path.casefold().startswith(ADDRESS):
        return "is an address, and files are read"
    size = _size(path)
    if size is None:
        return "is a folder" if os.path.isdir(path) else "is not there"
    return "" if size else "is empty"


def _has_end(path: Path) -> bool:
    """Whether a large JPEG's end mark is where it should be; a small one is to be decoded."""
    size = path.stat().st_size
    if size <= SMALL:
        return False
    with open(path, "rb") as file:
        file.seek(size - TAIL)
        return b"\xff\xd9" in file.read()


def _said(error: Exception) -> str:
    if "cannot identify" in str(error):
        return "is no image that Pillow reads"
    told = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"cannot be decoded ({told})"


def _short(value: Any) -> str:
    kind = "an object" if isinstance(value, dict) else f"{value!r}"
    return kind if len(kind) <= 40 else f"{kind[:40]}…"
