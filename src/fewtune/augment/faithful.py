"""Whether a text in other words still holds what must not be lost."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from fewtune.augment.base import Context
from fewtune.augment.words import SHOUTED_UNITS, UNITS, is_negation, is_numeral, is_shouted
from fewtune.data.near import is_chinese


def faithful(new: str, text: str, context: Context) -> str:
    """The new text where every number, code, unit and protected word of the old one is in it.

    Otherwise, or where the new one is empty, the old one.
    """
    return new if new and all(_holds(new, word) for word in _fixed(text, context)) else text


def _fixed(text: str, context: Context) -> Iterator[str]:
    """What a text must keep. A unit is one behind a number: `A pump` has no ampere."""
    cut, shouted = context.cut(text), is_shouted(text)
    before = ""
    for k, piece in enumerate(cut.pieces):
        if not any(letter.isalnum() for letter in piece):
            continue
        is_unit = piece in UNITS and piece not in context.protected
        small = shouted and piece in SHOUTED_UNITS  # a model that answers writes rpm for RPM
        if (
            k not in cut.free
            and not (small or _in_other_words(piece, context))
            and (not is_unit or any(letter.isdigit() for letter in before))
        ):
            yield piece
        before = piece


def _in_other_words(piece: str, context: Context) -> bool:
    """A negation may be said in another one's words: `does not` as `doesn't`; 三次 as 3次."""
    return (is_negation(piece) or is_numeral(piece)) and piece not in context.protected


def _holds(text: str, word: str) -> bool:
    """Whether a word is in a text as such: 5 is not in 15, nor in 5.2; ℃ is °C."""
    text, word = (unicodedata.normalize("NFKC", one) for one in (text, word))
    if is_chinese(word):
        return word in text
    begin = r"(?<![A-Za-z0-9])(?<!\d[.,])" if word[0].isalnum() else ""  # 85°C
    return bool(re.search(rf"{begin}{re.escape(word)}(?![A-Za-z0-9])(?![.,]\d)", text))
