"""A folder of files by class: the sub-folder is the label, the file the text or the image."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from fewtune.base.errors import UsageError
from fewtune.data.encodings import MARK, decode
from fewtune.data.images import IMAGES
from fewtune.data.row import Origin
from fewtune.data.sheet import Broken, Record, Sheet, Source

TEXTS = (".txt", ".md")
DEPTH = 2  # parts of a path below the folder: the class, and the file
LONGEST = 2**20  # bytes of a text; what is longer is no example


def is_by_class(folder: Path) -> bool:
    """Whether sub-folders hold texts or images."""
    return any(_files(folder))


def read_folder(folder: Path, name: str) -> Sheet:
    """Rows of text and label, or of image (below the folder) and label, in the order of paths.

    An origin is the folder's name and the file's path below it, line 1; files that are neither, or
    lie deeper, are told in a note.

    Args:
        name: of the folder, which tells its rows from those of another one.

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
        images = [_image(folder, path, name) for path in files]
        return Sheet(["image", "label"], images, notes=_unread(folder, files, name))
    texts = [_text(folder, path, name) for path in files]
    return Sheet(["text", "label"], texts, notes=_unread(folder, files, name))


def _files(folder: Path) -> list[Path]:
    return [
        path
        for path in folder.glob("*/*")
        if path.is_file()
        and path.suffix.lower() in TEXTS + IMAGES
        and not path.parent.name.startswith(".")
    ]


def _unread(folder: Path, read: list[Path], name: str) -> list[str]:
    """A note on the files of classes that are not among those read."""
    inside = {path for path in folder.glob("*/**/*") if path.is_file()}
    parts = [path.relative_to(folder).parts for path in sorted(inside.difference(read))]
    left = [one for one in parts if not any(part.startswith(".") for part in one)]
    if not left:
        return []
    deeper = sum(len(one) > DEPTH for one in left)
    kinds = Counter(Path(one[-1]).suffix or "no suffix" for one in left if len(one) == DEPTH)
    told = [f"{count:,} of {suffix}" for suffix, count in kinds.most_common()]
    told += [f"{deeper:,} in folders below a class"] if deeper else []
    return [
        f"{name}: {len(left):,} {'file is' if len(left) == 1 else 'files are'} not read "
        f"({', '.join(told)}); a row is a {' or '.join(TEXTS)} file, or an image, in a class's "
        "folder"
    ]


def _origin(folder: Path, path: Path, name: str) -> Origin:
    return Origin(f"{name}/{path.relative_to(folder).as_posix()}", 1)


def _image(folder: Path, path: Path, name: str) -> Record:
    values = {"image": path.relative_to(folder).as_posix(), "label": path.parent.name}
    return Record(_origin(folder, path, name), values)


def _text(folder: Path, path: Path, name: str) -> Record | Broken:
    origin = _origin(folder, path, name)
    if path.stat().st_size > LONGEST:
        return Broken(origin, "format-type", f"a text of more than {LONGEST:,} bytes")
    raw = path.read_bytes()
    text = decode(Source(path, path.name, raw)).text if raw else ""
    if MARK in text:
        return Broken(origin, "format-encoding", "bytes that the file's encoding does not have")
    return Record(origin, {"text": text, "label": path.parent.name})
