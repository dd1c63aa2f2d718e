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


class Held(FewtuneError):
    """Another process has the lock."""


class Lock:
    """The kernel's lock on a file; it goes when the process ends, however it ends.

    Attributes:
        alone: the kernel keeps other processes out; False where it has no locks.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None
        self.alone = False

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._handle is not None

    def take(self) -> None:
        """Take the lock, or say in a sentence who has it. Taking it twice is no harm."""
        if self.held:
            return
        handle = self._opened()
        try:
            self.alone = self._flock(handle)
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

    def _opened(self) -> int:
        """The file; a link is refused, for what it leads to would be written over."""
        follow_none = getattr(os, "O_NOFOLLOW", 0)  # Windows has none
        try:
            return os.open(self.path, os.O_RDWR | os.O_CREAT | follow_none, 0o644)
        except OSError as error:
            if error.errno != errno.ELOOP or not self.path.is_symlink():
                raise
            raise FewtuneError(
                f"{self.path}: this is a link, and a run's lock is a file of its own; remove it, "
                "or choose another --output."
            ) from None

    def _flock(self, handle: int) -> bool:
        if fcntl is None:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            holder = os.read(handle, 20).decode("ascii", "replace").strip() or "unknown"
            raise Held(
                f"{self.path.parent}: another process (number {holder}) is working on this run; "
                "wait until it ends, or choose another --output."
            ) from None
        except OSError as error:
            if error.errno not in NO_LOCKS_HERE:
                raise
            return False
