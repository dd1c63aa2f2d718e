"""Files that are either whole or absent: temporary name, fsync, rename."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fewtune.base.errors import UsageError, did_you_mean

UNFINISHED = ".unfinished"  # suffix of whatever is still being written


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees the old content or the new one, never a half."""
    raw = content.encode("utf-8") if isinstance(content, str) else content
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(raw)


def write_json(path: Path, value: Any) -> None:
    """Write JSON that a person can read (indented, UTF-8 unescaped), atomically."""
    write_atomic(path, json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it is synced and renamed over `path`.

    Works for a file and for a folder; an existing folder is replaced as a whole. On an error the
    temporary is removed and `path` is what it was.
    """
    temporary = path.with_name(path.name + UNFINISHED)
    _remove(temporary)
    try:
        yield temporary
        _sync_tree(temporary)
        if path.is_dir() and temporary.is_dir():
            _remove(path)
        os.replace(temporary, path)
        _sync(path.parent)
    except BaseException:
        _remove(temporary)
        raise


def at(path: str | Path) -> Path:
    """The path, with the home folder for a `~/` that no shell has replaced (`--output=~/runs`)."""
    return Path(path).expanduser() if str(path).startswith("~/") else Path(path)


def found(path: str | Path, option: str) -> Path:
    """The path of a file that an option names.

    Raises:
        UsageError: there is no such file.
    """
    file = at(path)
    if not file.is_file():
        near = [one.name for one in file.parent.iterdir()] if file.parent.is_dir() else []
        raise UsageError(f"{option}: there is no file {path}.{did_you_mean(file.name, near)}")
    return file


def fingerprint(*parts: str | bytes | Path) -> str:
    """SHA-256 over strings, bytes and the contents of files and folders, as 16 hexadecimal digits.

    >>> fingerprint("a", "b") == fingerprint("ab")
    False
    """
    total = hashlib.sha256()
    for part in parts:
        raw = _content(part) if isinstance(part, Path) else part
        raw = raw.encode("utf-8") if isinstance(raw, str) else raw
        total.update(len(raw).to_bytes(8, "little"))
        total.update(raw)
    return total.hexdigest()[:16]


def _content(path: Path) -> bytes:
    """A file's bytes; of a folder the names and bytes of all files below it."""
    if not path.is_dir():
        return path.read_bytes()
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return b"".join(
        file.relative_to(path).as_posix().encode() + b"\0" + file.read_bytes() for file in files
    )


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync_tree(path: Path) -> None:
    for one in [*path.rglob("*"), path] if path.is_dir() else [path]:
        _sync(one)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
