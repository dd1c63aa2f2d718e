"""The number an answer comes to, for mathematics."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from typing import NamedTuple

MARK = "####"  # gsm8k writes its result behind it
LONGEST = 100  # characters; a model in a loop writes digits without end
_SIGNS = str.maketrans("−－．／⁄％￥", "-" + "-./" + "/%¥")
_WIDE_COMMA = re.compile("(?<=[０-９])，(?=[０-９]{3})")
_VULGAR = re.compile("[¼-¾⅐-⅞]")
_LATEX = re.compile(r"\\[dt]?frac\{(-?\d+)\}\{(\d+)\}")
_NUMBER = re.compile(
    r"""
    (?P<of_hundred>百分之)?
    (?P<minus>(?<![A-Za-z0-9_)\]])-)?
    [$€£¥]?
    (?<![A-Za-z_\d]) (?<!\d[.])          # not inside a word (P0301) or a number
    (?: (?:(?P<whole>\d+)[ ]+)? (?P<above>\d+)/(?P<below>\d+) (?![\d/])
      | (?P<plain> (?:\d{1,3}(?:,\d{3})+(?!\d)|\d+) (?:\.\d+)? (?:[eE][+-]?\d{1,3}(?!\d))?
                 | (?<!\.)\.\d+ )
    )
    (?P<percent>\s?%|\s?per[ ]?cent\b)?
    """,
    re.VERBOSE,
)


class Number(NamedTuple):
    """A number as written: 30 % is 30 with a percent sign."""

    value: Fraction
    percent: bool = False


def last_number(text: str) -> Number | None:
    """The number a text comes to: the one behind `####`, else the last one; None without any.

    Read are thousands separators, decimals, powers (1e5), a minus, fractions (3/4, 1 1/2, ½,
    LaTeX's), percent, currency signs before the number and full-width digits. Digits inside a
    word (P0301) are no number.

    >>> last_number("3 + 4 = 7, so $1,200.50."), last_number("#### -½ of 8")
    (Number(value=Fraction(2401, 2), percent=False), Number(value=Fraction(-1, 2), percent=False))
    """
    before, mark, result = _written(text).rpartition(MARK)
    behind = _numbers(result) if mark else []
    if behind:
        return behind[0]
    every = _numbers(before) or _numbers(result)
    return every[-1] if every else None


def number_match(answer: str, reference: str) -> float | None:
    """1 where an answer comes to the same number as its reference, else 0.

    Exactly the same: 3.50 is 3.5 and 3/4 is 0.75, but 3.33 is not 10/3. Where only one has a
    percent sign, 75 % is both 75 and 0.75. None where the reference holds no number.

    >>> number_match("so it is 1,200.", "#### 1200"), number_match("75%", "0.75")
    (1.0, 1.0)
    """
    expected, found = last_number(reference), last_number(answer)
    if expected is None:
        return None
    return float(found is not None and _same(found, expected))


def _same(one: Number, other: Number) -> bool:
    return one.value == other.value or _of_one(one) == _of_one(other)


def _of_one(number: Number) -> Fraction:
    return number.value / 100 if number.percent else number.value


def _written(text: str) -> str:
    """A text whose numbers are written in one way."""
    plain = _WIDE_COMMA.sub(",", text)
    plain = _VULGAR.sub(lambda m: _apart(m, unicodedata.normalize("NFKC", m[0])), plain)
    plain = plain.translate(_SIGNS)
    return _LATEX.sub(lambda m: _apart(m, f"{m[1]}/{m[2]}"), plain)


def _apart(match: re.Match[str], fraction: str) -> str:
    """A fraction that does not run into the whole number before it."""
    return (" " if match.string[: match.start()][-1:].isdecimal() else "") + fraction


def _numbers(text: str) -> list[Number]:
    read = [_read(match) for match in _NUMBER.finditer(text)]
    return [one for one in read if one is not None]


def _read(match: re.Match[str]) -> Number | None:
    if len(match[0]) > LONGEST or (match["below"] and not int(match["below"])):
        return None
    if match["below"]:
        value = Fraction(int(match["above"]), int(match["below"])) + int(match["whole"] or 0)
    else:
        value = Fraction(match["plain"].replace(",", ""))
    percent = bool(match["percent"] or match["of_hundred"])
    return Number(-value if match["minus"] else value, percent)
