"""One answer beside its reference: as words, as characters, the same or not, how much it repeats.

Texts are compared folded: full width made half (NFKC), no case. Words are runs of letters and
digits, as the ROUGE of the field has them; runs of Chinese are cut by jieba. Where a text goes by
characters, only Chinese does: `P0301` stays one piece among them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

#: Han, kana and hangul, each a word or a syllable; as `fewtune.data.near`, and the rarer Han.
_CHINESE = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff"
_CHINESE_ONE = re.compile(f"[{_CHINESE}]")
_RUN = re.compile(f"[{_CHINESE}]+|[^\\W_{_CHINESE}]+")
_CHARACTER = re.compile(f"[{_CHINESE}]|[^\\W_{_CHINESE}]+")
_PIECE = re.compile(f"[{_CHINESE}]|[^\\W_{_CHINESE}]+|[^\\w\\s]|_")
_NO_GAP = re.compile(f"(?<=[{_CHINESE}]) (?=[{_CHINESE}])")
_KEPT = frozenset("-%‰#@&/\\")  # punctuation that means something at the end of a text: -5, 30 %
GRAM = 4  # pieces of a sequence that is counted as repeated


def folded(text: str) -> str:
    """A text without case and full width.

    >>> folded("Ｐump  ＯＫ")
    'pump  ok'
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def words(text: str) -> list[str]:
    """The words of a text, folded; Chinese is cut by jieba.

    >>> words("The pump's P0301 failed!")
    ['the', 'pump', 's', 'p0301', 'failed']
    """
    found: list[str] = []
    for run in _RUN.findall(folded(text)):
        found += _cut(run) if _CHINESE_ONE.match(run) else [run]
    return found


def _cut(run: str) -> Sequence[str]:
    import logging

    import jieba

    jieba.setLogLevel(logging.WARNING)
    return jieba.lcut(run)


def characters(text: str) -> list[str]:
    """The Chinese characters of a text one by one, folded; other words stay whole.

    >>> characters("P0301 故障。")
    ['p0301', '故', '障']
    """
    return _CHARACTER.findall(folded(text))


def plain_answer(text: str) -> str:
    """What two answers share that are the same to a reader.

    Folded, white space single (none between Chinese characters), no punctuation around it; a sign,
    a percent sign and the like stay, for `-5` is not `5`. A text of nothing else is left as it is.

    >>> plain_answer(' **Yes**.\\n'), plain_answer("“泵 漏油。”"), plain_answer("(-5 %)")
    ('yes', '泵漏油', '-5 %')
    """
    line = _NO_GAP.sub("", " ".join(folded(text).split()))
    inner = [k for k, one in enumerate(line) if not _is_outer(one)]
    return line[inner[0] : inner[-1] + 1] if inner else line


def _is_outer(one: str) -> bool:
    marks = unicodedata.category(one)[0] in "PZ" or one == "`"
    return marks and one not in _KEPT


def exact_match(answer: str, reference: str) -> float:
    """1 where two texts are the same to a reader (`plain_answer`), else 0.

    >>> exact_match("Replace the bearing.", "replace  the bearing"), exact_match("yes", "no")
    (1.0, 0.0)
    """
    return float(plain_answer(answer) == plain_answer(reference))


def repetition(answer: str) -> float:
    """The share of an answer's sequences of four that it had already, 0..1.

    They are sequences of words and marks, of characters in Chinese. 0 for an answer of fewer than
    five; a model that has fallen into a loop comes near 1.

    >>> repetition("a b c d a b c d a b c d"), repetition("one two three four five")
    (0.5555555555555556, 0.0)
    """
    pieces = _PIECE.findall(folded(answer))
    grams = [tuple(pieces[k : k + GRAM]) for k in range(len(pieces) - GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
