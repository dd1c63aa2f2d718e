"""Texts as words and what stands between them, English and Chinese alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fewtune.data.near import is_chinese

_PIECES = re.compile(
    r"°[CF]\b|[A-Za-z0-9]+(?:['’._/-][A-Za-z0-9]+)*|[\u3400-\u9fff]+|\s+|[^\w\s]|\w+"
)
_WORD = re.compile(r"\w")
#: Part numbers, codes, quantities: what means something else when a letter changes.
_PROTECTED = re.compile(r"\d|[A-Za-z]+[-_/][A-Za-z0-9]")
_CAPITALS = re.compile(r"[A-Z]{2,}")  # a code, unless the whole text is written so
SHOUTED = 0.8  # share of capitals among the letters, from which a text is written in capitals
SHOUTED_WORDS = 3  # fewer words in capitals may all be codes
#: Without these a text says the opposite.
_NEGATIONS = (
    "no not never without none nothing nobody nowhere nor neither cannot cant wont dont doesnt "
    "didnt isnt arent wasnt werent hasnt havent hadnt couldnt shouldnt wouldnt mustnt neednt aint"
)
NEGATIONS = frozenset(_NEGATIONS.split(" "))
_NEGATED = re.compile(r"n['’]?t$", re.IGNORECASE)
_NEGATED_CHINESE = re.compile(r"[不没無无未]|^[非别勿莫]|[并绝决而]非")
#: 三次, 二号, 第十二台; but 一直 and 统一 are words like others.
_NUMERAL = re.compile(
    r"第?[零〇一二两三四五六七八九十百千万亿半]+"
    r"(?:[次号个台只支根条件套块片张组排层楼级档段路相线孔缸圈周年月日天时分秒点倍度米吨升伏安瓦转]|小时|分钟|毫米|厘米|公里)?"
)
_UNITS = (
    "mm cm km kg mg g t bar mbar psi kPa MPa Pa V mV kV A mA Hz kHz MHz kW MW W rpm Nm N l ml s ms "
    "min h °C °F ℃ K dB ppm 毫米 厘米 公里 公斤 千克 伏 安 瓦 千瓦 兆帕 转 分钟 小时 秒 度"
)
UNITS = frozenset(_UNITS.split())
SHOUTED_UNITS = frozenset(unit.upper() for unit in UNITS if len(unit) > 1)  # not A, as in A PUMP


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
    shouted = is_shouted(text)
    free = [
        k
        for k, word in enumerate(pieces)
        if _WORD.search(word) and not is_fixed(word, protected, shouted)
    ]
    return Pieces(tuple(pieces), tuple(free))


def is_shouted(text: str) -> bool:
    """Whether a text is written in capitals, so that a word in them is no code.

    >>> is_shouted("INTAKE GASKET LEAKING"), is_shouted("ABS ECU CAN 总线故障"), is_shouted("ABS")
    (True, False, False)
    """
    letters = [letter for letter in text if letter.isalpha()]
    many = sum(map(str.isupper, letters)) >= SHOUTED * max(1, len(letters))
    return many and len(_CAPITALS.findall(text)) >= SHOUTED_WORDS


def is_fixed(word: str, protected: Callable[[str], bool], shouted: bool = False) -> bool:
    """Whether a word is a number, code, unit, negation, or one that the user protects.

    `shouted` is whether its text is written in capitals.
    """
    code = _PROTECTED.search(word) or (not shouted and _CAPITALS.fullmatch(word))
    counted = word in UNITS or is_numeral(word) or (shouted and word in SHOUTED_UNITS)
    return bool(code or counted) or is_negation(word) or protected(word)


def is_negation(word: str) -> bool:
    """Whether a word turns what is said into its opposite.

    >>> [word for word in ("NOT", "doesn't", "tent", "没有", "特别", "别") if is_negation(word)]
    ['NOT', "doesn't", '没有', '别']
    """
    if is_chinese(word):
        return bool(_NEGATED_CHINESE.search(word))
    return word.casefold() in NEGATIONS or bool(_NEGATED.search(word) and re.search("['’]", word))


def is_numeral(word: str) -> bool:
    """Whether a Chinese word is a number, alone or with what it counts.

    >>> [word for word in ("三次", "二号", "第十二台", "一直", "统一") if is_numeral(word)]
    ['三次', '二号', '第十二台']
    """
    return bool(_NUMERAL.fullmatch(word))


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
