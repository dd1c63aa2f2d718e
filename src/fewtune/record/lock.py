"""One process at a time in a run folder."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from fewtune.base.errors import FewtuneError

try:
    import fcntl
except ImportError:  # Windows has no flock
    fcntl = None  # type: ignore[assignment]

# Network file systems mounted without locks: a run there is better unguarded than refused.
NO_LOCKS_HERE = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}


class Lock:
    """The kernel's lock on a file; it goes when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._handle is not None

    def take(self) -> None:
        """Take the lock, or say in a sentence who has it. Taking it twice is no harm."""
        if self.held:
            return
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._flock(handle)
        except BaseException:
            os.close(handle)
            raise
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        self._handle = handle

    def give(self) -> None:
        """Let the lock go. The file stays: removing it would let two processes in."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _flock(self, handle: int) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 20).decode("ascii", "replace").strip() or "unknown"
            raise FewtuneError(
                f"{self.path.parent}: another process (number {holder}) is working on this run; "
                "wait until it ends, or choose another --output."
            ) from None
        except OSError as error:
            if error.errno not in NO_LOCKS_HERE:
                raise
