"""A folder of files by class: the sub-folder is the label, the file the text or the image."""

from __future__ import annotations

from pathlib import Path

from fewtune.base.errors import UsageError
from fewtune.data.encodings import MARK, decode
from fewtune.data.images import IMAGES
from fewtune.data.row import Origin
from fewtune.data.sheet import Broken, Record, Sheet, Source

TEXTS = (".txt", ".md")
LONGEST = 2**20  # bytes of a text; what is longer is no example


def is_by_class(folder: Path) -> bool:
    """Whether sub-folders hold texts or images."""
    return any(_files(folder))


def read_folder(folder: Path) -> Sheet:
    """Rows of text and label, or of image (below the folder) and label, in the order of paths.

    An origin is the file's path below the folder, line 1.

    Raises:
        UsageError: texts and images stand together.
    """
    files = sorted(_files(folder))
    kinds = {path.suffix.lower() in IMAGES for path in files}
    if len(kinds) > 1:
        raise UsageError(
            f"{folder} holds texts and images by class; give one kind, or a table of rows."
        )
    if True in kinds:
        rows = [_image(folder, path) for path in files]
        return Sheet(["image", "label"], rows)
    return Sheet(["text", "label"], [_text(folder, path) for path in files])


def _files(folder: Path) -> list[Path]:
    return [
        path
        for path in folder.glob("*/*")
        if path.is_file()
        and path.suffix.lower() in TEXTS + IMAGES
        and not path.parent.name.startswith(".")
    ]


def _origin(folder: Path, path: Path) -> Origin:
    return Origin(path.relative_to(folder).as_posix(), 1)


def _image(folder: Path, path: Path) -> Record:
    values = {"image": path.relative_to(folder).as_posix(), "label": path.parent.name}
    return Record(_origin(folder, path), values)


def _text(folder: Path, path: Path) -> Record | Broken:
    origin = _origin(folder, path)
    if path.stat().st_size > LONGEST:
        return Broken(origin, "format-type", f"a text of more than {LONGEST:,} bytes")
    raw = path.read_bytes()
    text = decode(Source(path, path.name, raw)).text if raw else ""
    if MARK in text:
        return Broken(origin, "format-encoding", "bytes that the file's encoding does not have")
    return Record(origin, {"text": text, "label": path.parent.name})
