"""What hands do to texts: wrong keys, wrong characters of one sound, blanks, case, punctuation."""

from __future__ import annotations

import re
from random import Random
from typing import ClassVar

from fewtune.augment.base import Context, WordRecipe
from fewtune.data.near import is_chinese

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
#: Common characters that sound alike and are easily chosen wrongly.
SOUNDS = (
    "的地得", "在再", "做作坐", "他她它", "己已", "带代待", "进近", "象像向", "那哪", "以已",
    "声生", "机级", "压呀", "震振阵", "漏露", "油由", "气汽", "温稳", "轴周", "承成程", "泵蹦",
    "阀法", "电店", "停听", "跳调", "断段", "转赚", "热惹", "冷棱", "响想", "坏怀", "裂列", "松送",
    "紧仅", "磨摩", "损笋", "异意易", "障账", "检捡", "修休", "换唤", "更跟", "启起", "动洞",
)  # fmt: skip


def neighbours() -> dict[str, str]:
    """The keys beside each letter on a QWERTY keyboard.

    >>> "".join(sorted(neighbours()["s"])), "".join(sorted(neighbours()["m"]))
    ('adewxz', 'jkn')
    """
    beside: dict[str, str] = {}
    for at, row in enumerate(_ROWS):
        for k, letter in enumerate(row):
            near = [row[j] for j in (k - 1, k + 1) if 0 <= j < len(row)]
            above = _ROWS[at - 1][k : k + 2] if at else ""  # each row begins half a key further
            below = _ROWS[at + 1][max(0, k - 1) : k + 1] if at + 1 < len(_ROWS) else ""
            near += [*above, *below]
            beside[letter] = "".join(near)
    return beside


KEYS = neighbours()
ALIKE = {one: group.replace(one, "") for group in SOUNDS for one in group}
_FULL = "，。；！？：（）"
_HALF = ",.;!?:()"
#: A mark, and none inside a number, a time or a name: `3.5`, `1,000`, `12:30`, `config.ini`.
_MARK = re.compile(r"(?<![A-Za-z0-9])[{0}]|[{0}](?![A-Za-z0-9])".format(re.escape(_FULL + _HALF)))


class Typing(WordRecipe):
    """Slips of the keyboard, and characters of one sound in Chinese."""

    name: ClassVar[str] = "typing"
    scene: ClassVar[str] = "slips of the keyboard, characters of one sound"

    def text(self, text: str, draw: Random, context: Context) -> str:
        """One slip in each chosen word."""
        cut = context.cut(text)
        pieces = list(cut.pieces)
        able = [k for k in cut.free if _slip(pieces[k], Random(0)) != pieces[k]]
        for k in draw.sample(able, min(len(able), self.count(len(cut.free)))):
            pieces[k] = _slip(pieces[k], draw)
        return cut.joined(pieces)


class Aeda(WordRecipe):
    """Punctuation is put between words (AEDA, Karimi et al. 2021, arXiv:2108.13230)."""

    name: ClassVar[str] = "aeda"
    scene: ClassVar[str] = "punctuation is put between words"
    rewrites: ClassVar[bool] = False

    def text(self, text: str, draw: Random, context: Context) -> str:
        """Before a word, in the script's own marks."""
        cut = context.cut(text)
        pieces = list(cut.pieces)
        marks, gap = ("，。；！？：", "") if is_chinese(text) else (",.;!?:", " ")
        for k in draw.sample(cut.free[1:], min(len(cut.free[1:]), self.count(len(cut.free)))):
            pieces[k] = f"{draw.choice(marks)}{gap}{pieces[k]}"
        return cut.joined(pieces)


class Spaces(WordRecipe):
    """A blank too many or too few."""

    name: ClassVar[str] = "spaces"
    scene: ClassVar[str] = "a blank too many or too few"
    rewrites: ClassVar[bool] = False

    def text(self, text: str, draw: Random, context: Context) -> str:
        """Inside a long word, or between two."""
        cut = context.cut(text)
        pieces = list(cut.pieces)
        long = [k for k in cut.free if len(pieces[k]) > 1]
        for k in draw.sample(long, min(len(long), self.count(len(cut.free)))):
            blank = k + 1 < len(pieces) and pieces[k + 1] == " "
            if blank and k + 2 in cut.free and draw.random() < 0.5:
                pieces[k + 1] = ""
            else:
                at = draw.randrange(1, len(pieces[k]))
                pieces[k] = f"{pieces[k][:at]} {pieces[k][at:]}"
        return cut.joined(pieces)


class Case(WordRecipe):
    """Words in capitals or without; in Chinese, full-width punctuation becomes half."""

    name: ClassVar[str] = "case"
    scene: ClassVar[str] = "capitals come and go; half-width marks in Chinese"
    rewrites: ClassVar[bool] = False

    def text(self, text: str, draw: Random, context: Context) -> str:
        """Swap case of chosen words, width of the marks."""
        if is_chinese(text):
            half = _with_marks(text, str.maketrans(_FULL, _HALF))
            return half if half != text else _with_marks(text, str.maketrans(_HALF, _FULL))
        cut = context.cut(text)
        pieces = list(cut.pieces)
        for k in draw.sample(cut.free, self.count(len(cut.free))):
            pieces[k] = pieces[k].lower() if pieces[k] != pieces[k].lower() else pieces[k].upper()
        return cut.joined(pieces)


def _with_marks(text: str, others: dict[int, int]) -> str:
    return _MARK.sub(lambda found: found[0].translate(others), text)


def _slip(word: str, draw: Random) -> str:
    """A key beside the right one, one left out or struck twice; or a character of one sound."""
    alike = [k for k, letter in enumerate(word) if letter in ALIKE]
    if alike:
        at = draw.choice(alike)
        return f"{word[:at]}{draw.choice(ALIKE[word[at]])}{word[at + 1 :]}"
    if len(word) < 3 or not word.isascii() or not word.isalpha():
        return word
    at = draw.randrange(1, len(word))
    letter = word[at]
    beside = draw.choice(KEYS.get(letter.lower(), letter))
    wrong = draw.choice(["", letter * 2, beside.upper() if letter.isupper() else beside])
    return f"{word[:at]}{wrong}{word[at + 1 :]}"
