"""Texts as words and what stands between them, English and Chinese alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fewtune.data.near import is_chinese

_PIECES = re.compile(r"[A-Za-z0-9]+(?:['’._/-][A-Za-z0-9]+)*|[\u3400-\u9fff]+|\s+|[^\w\s]|\w+")
_WORD = re.compile(r"\w")
#: Part numbers, codes, quantities: what means something else when a letter changes.
_PROTECTED = re.compile(r"\d|^[A-Z]{2,}$|[A-Za-z]+[-_/][A-Za-z0-9]")
_UNITS = (
    "mm cm km kg mg g t bar mbar psi kPa MPa Pa V mV kV A mA Hz kHz MHz kW MW W rpm Nm N l ml s ms "
    "min h °C ℃ K dB ppm 毫米 厘米 公里 公斤 千克 伏 安 瓦 千瓦 兆帕 转 分钟 小时 秒 度"
)
UNITS = frozenset(_UNITS.split())


@dataclass(frozen=True)
class Pieces:
    """A text cut so that joining the pieces gives it back.

    Attributes:
        pieces: words, blanks and punctuation in their order.
        free: positions of words that may be changed.
    """

    pieces: tuple[str, ...]
    free: tuple[int, ...]

    def joined(self, pieces: Iterable[str] | None = None) -> str:
        """The text; of other pieces, without the blanks that a missing word leaves."""
        text = "".join(self.pieces if pieces is None else pieces)
        return re.sub(r"[ \t]{2,}", " ", text).strip() if pieces is not None else text


def cut(text: str, protected: Callable[[str], bool]) -> Pieces:
    """Cut a text into words and the rest.

    Args:
        text: as read.
        protected: whether a word must stay as it is.

    >>> cut("pump P0301 hot", lambda word: False).free
    (0, 4)
    """
    pieces = [word for piece in _PIECES.findall(text) for word in _words(piece)]
    free = [
        k for k, word in enumerate(pieces) if _WORD.search(word) and not is_fixed(word, protected)
    ]
    return Pieces(tuple(pieces), tuple(free))


def is_fixed(word: str, protected: Callable[[str], bool]) -> bool:
    """Whether a word is a number, code, unit, or one that the user protects."""
    return bool(_PROTECTED.search(word)) or word in UNITS or protected(word)


def between(text: str) -> str:
    """What stands between two words of a text: a blank, or nothing in Chinese."""
    return "" if is_chinese(text) else " "


def _words(piece: str) -> Sequence[str]:
    if not is_chinese(piece):
        return [piece]
    import logging

    import jieba

    jieba.setLogLevel(logging.WARNING)
    return jieba.lcut(piece)
