"""Texts of users and models where a page or a terminal shows them."""

from __future__ import annotations

import re
from typing import TextIO

# What a page cannot hold: control characters, surrogates, and marks that turn the line around.
UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)

RETURN = re.compile("\r(?!\n)")  # without the new line that Windows has after it


def clean(text: str) -> str:
    """Text of users with what no page can hold replaced.

    >>> clean("a" + chr(0) + "b")
    'a�b'
    """
    return UNPRINTABLE.sub("\ufffd", text)


def printable(text: str, stream: TextIO) -> str:
    """Text for a stream: a terminal would obey the sequences in it, a file is given it as it is."""
    if not stream.isatty():
        return text
    return RETURN.sub("\ufffd", clean(text))  # what follows one would hide what stands before it
