"""What a disk says when it cannot, in one sentence."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fewtune.base.errors import FewtuneError

FULL = {errno.ENOSPC, errno.EDQUOT}
FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError raised while `path` is written into a sentence.

    Raises:
        FewtuneError: in place of any OSError.
    """
    try:
        yield
    except OSError as error:
        raise FewtuneError(_sentence(path, error)) from error


def _sentence(path: Path, error: OSError) -> str:
    if error.errno in FULL:
        return (
            f"{path}: the disk is full while this was written; free some space and give the same "
            "command again, or choose another place with --output."
        )
    if error.errno in FORBIDDEN:
        return (
            f"{path}: this place may not be written ({error.strerror}); make it writable, or "
            "choose another one with --output."
        )
    if error.errno in {errno.ENOTDIR, errno.EEXIST}:
        return (
            f"{path}: a run needs a folder, and a file stands in its way; choose another --output."
        )
    told = error.strerror or error
    return f"{path}: could not be written ({told}); choose another place with --output."
