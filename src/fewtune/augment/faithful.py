"""Whether a text in other words still holds what must not be lost."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fewtune.augment.base import Context
from fewtune.augment.words import UNITS, is_negation
from fewtune.data.near import is_chinese


def faithful(new: str, text: str, context: Context) -> str:
    """The new text where every number, code, unit and protected word of the old one is in it.

    Otherwise, or where the new one is empty, the old one.
    """
    return new if new and all(_holds(new, word) for word in _fixed(text, context)) else text


def _fixed(text: str, context: Context) -> Iterator[str]:
    """What a text must keep. A unit is one behind a number: `A pump` has no ampere."""
    cut = context.cut(text)
    before = ""
    for k, piece in enumerate(cut.pieces):
        if not any(letter.isalnum() for letter in piece):
            continue
        is_unit = piece in UNITS and piece not in context.protected
        if (
            k not in cut.free
            and not _in_other_words(piece, context)
            and (not is_unit or any(letter.isdigit() for letter in before))
        ):
            yield piece
        before = piece


def _in_other_words(piece: str, context: Context) -> bool:
    """A negation may be said in another one's words: `does not` as `doesn't`."""
    return is_negation(piece) and piece not in context.protected


def _holds(text: str, word: str) -> bool:
    """Whether a word is in a text as such: 5 is not in 15, nor in 5.2."""
    if is_chinese(word):
        return word in text
    alone = rf"(?<![A-Za-z0-9])(?<!\d[.,]){re.escape(word)}(?![A-Za-z0-9])(?![.,]\d)"
    return bool(re.search(alone, text))
