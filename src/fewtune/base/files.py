"""Files that are either whole or absent: temporary name, fsync, rename."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryFile
from typing import Any

from fewtune.base.errors import FewtuneError, UsageError, did_you_mean_file

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
    temporary is removed and `path` is what it was. Every call has a temporary of its own, so that
    of two processes the last has its say; a killed one leaves it behind, and `sweep` removes it
    from a run's folder.
    """
    temporary = _beside(path)
    try:
        yield temporary
        _sync_tree(temporary)
        _put(temporary, path)
        _sync(path.parent)
    except BaseException:
        _remove(temporary)
        raise


def sweep(folder: Path) -> None:
    """Remove what killed processes left half written below a folder that nobody else writes in."""
    for one in [*folder.rglob(f"*{UNFINISHED}")]:
        with suppress(OSError):  # it only takes room
            _remove(one)


def _beside(path: Path) -> Path:
    """A name for what is not finished, short enough for any file system and any letters."""
    return path.with_name(f"{path.name[:50]}.{token_hex(4)}{UNFINISHED}")


def _put(temporary: Path, path: Path) -> None:
    """Rename over `path`; a folder that is there makes way, and comes back where that fails."""
    if not (path.is_dir() and temporary.is_dir()):
        os.replace(temporary, path)
        return
    before = _beside(path)
    os.replace(path, before)
    try:
        os.replace(temporary, path)
    except OSError:
        os.replace(before, path)
        raise
    _remove(before)


def at(path: str | Path) -> Path:
    """The path, with the home folder for a `~/` that no shell has replaced (`--output=~/runs`)."""
    return Path(path).expanduser() if str(path).startswith("~/") else Path(path)


def cache_folder() -> Path:
    """`$FEWTUNE_CACHE`, else `$XDG_CACHE_HOME/fewtune`, usually `~/.cache/fewtune`."""
    if own := os.environ.get("FEWTUNE_CACHE"):
        return Path(own).expanduser()
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "fewtune"


def found(path: str | Path, option: str) -> Path:
    """The path of a file that an option names.

    Raises:
        UsageError: there is no such file.
    """
    file = at(path)
    if file.is_dir():
        raise UsageError(f"{option}: {path} is a folder and a file was expected; name one in it.")
    if not file.is_file():
        near = [one.name for one in file.parent.iterdir()] if file.parent.is_dir() else []
        raise UsageError(f"{option}: there is no file {path}.{did_you_mean_file(file.name, near)}")
    return file


def new_file(
    path: str,
    option: str,
    suffixes: Collection[str] = (),
    inputs: Iterable[str | Path | None] = (),
) -> Path:
    """The path of a file that an option names to be written, before any work is done for it.

    Args:
        path: as the user wrote it.
        option: its name, for sentences.
        suffixes: what the name must end in; anything where there are none.
        inputs: files and folders that are read for it.

    Raises:
        UsageError: the name ends otherwise, its folder is not there or may not be written, or it
            is one of the inputs (or a file in one).
    """
    file = at(path)
    if suffixes and file.suffix not in suffixes:
        raise UsageError(f"{option}: a name ending in {' or '.join(suffixes)}; got {path!r}.")
    if file.is_dir():
        raise UsageError(f"{option}: {path} is a folder and a file was expected; name a file.")
    for given in inputs:
        if given and _is_in(file, at(given)):
            raise UsageError(
                f"{option}: {path} is read for this ({given}) and would be overwritten; name "
                "another file."
            )
    try:
        with TemporaryFile(dir=file.parent):
            return file
    except OSError as error:
        raise UsageError(
            f"{option}: no file can be written in the folder {file.parent} ({error.strerror}); "
            "make the folder, or name another place."
        ) from error


def _is_in(file: Path, given: Path) -> bool:
    """Whether a file is another one by any name, or is there already in a folder."""
    if not file.exists() or not given.exists():
        return False
    if given.is_dir():
        return file.resolve().is_relative_to(given.resolve())
    return file.samefile(given)


def write_new(path: Path, content: str | bytes) -> None:
    """Write the file of `new_file`.

    Raises:
        FewtuneError: the disk says no.
    """
    try:
        write_atomic(path, content)
    except OSError as error:
        raise FewtuneError(
            f"{path} could not be written ({error.strerror}); make room, or name another place."
        ) from error


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
