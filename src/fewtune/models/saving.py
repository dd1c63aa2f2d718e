"""What safetensors says when a disk is full, in the words of everybody else."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

_NUMBER = re.compile(r"os error (\d+)")


@contextmanager
def saving() -> Iterator[None]:
    """Turn safetensors' error over a disk into the OSError that it is.

    Raises:
        OSError: with the number that the system gave.
    """
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        if found := _NUMBER.search(str(error)):
            raise OSError(int(found[1]), os.strerror(int(found[1]))) from error
        raise
