"""Labels that look like one label spelled in several ways."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cache

from fewtune.base.errors import shortened
from fewtune.check.finding import Finding, several
from fewtune.check.look import Look
from fewtune.data.holdout import labels_of
from fewtune.data.near import is_chinese
from fewtune.data.row import Origin

LEAST = 5  # letters; shorter words differ by one letter on purpose (cat, car)
RARER = 5  # times a typo must be rarer than what it is a typo of
COMMON = 10  # rows from which a spelling is no slip, unless it is RARER than the other
SPOKEN = 2  # texts that hold a word, from which it is a word and no slip
_WORD = re.compile(r"[^\W\d_]+")
_JOINED = re.compile(r"(?<=[^\W\d_]{2})[-_ ]+(?=[^\W\d_]{2})")
_IN_CHINESE = re.compile(r"(?<=[\u4e00-\u9fff]) (?=[\u4e00-\u9fff])")  # says nothing there


def typo(look: Look) -> Iterator[Finding]:
    """Labels that differ in case, blanks, width, a hyphen, or by one letter of a rare one.

    Only case, blanks and width are mended: a sign, a digit, a letter standing alone and a mark
    between digits tell classes apart (`A+` and `A-`, `>50K` and `<=50K`, `1,5` and `15`).
    """
    counts = Counter(label for _, row in look.rows for label in labels_of(row))
    same = _alike(counts, form)
    joined = {k: v for k, v in _alike(counts, _loosely).items() if k not in same}
    slips = {k: v for k, v in _one_letter(counts, look).items() if k not in {**same, **joined}}
    for wrong, right in {**same, **joined, **slips}.items():
        rows = [row.origin for _, row in look.rows if wrong in labels_of(row)]
        safe = wrong in same and look.mends_labels and not _both_common(counts, wrong, right)
        yield Finding(
            "label-typo",
            "warning" if wrong in slips else "error",
            f"label {shortened(wrong)} ({several(counts[wrong], 'row')}) looks like "
            f"{shortened(right)} ({several(counts[right], 'row')}) and is learned as another "
            "class.",
            f"Write {shortened(right)} (--fix does), or rename the two so that they differ in a "
            "word."
            if safe
            else f"Where it is one, write {shortened(right)}; --fix leaves both as they are.",
            tuple(rows),
            mend=_relabelled(rows, right) if safe else {},
        )


def _relabelled(rows: Iterable[Origin], label: str) -> dict[Origin, dict[str, str]]:
    return {origin: {"label": label} for origin in rows}


def _both_common(counts: Counter[str], wrong: str, right: str) -> bool:
    return counts[wrong] >= COMMON and counts[wrong] * RARER > counts[right]


def form(label: str) -> str:
    """A label without case and width, its blanks single, and none inside Chinese.

    >>> form("Ｏil  leak　"), form("A+"), form("10²"), form("漏 油"), form("泵 A")
    ('oil leak', 'a+', '10²', '漏油', '泵 a')
    """
    half = "".join(map(_half_width, label))
    return _IN_CHINESE.sub("", " ".join(half.casefold().split()))


def _half_width(letter: str) -> str:
    wide = unicodedata.decomposition(letter).startswith(("<wide>", "<narrow>"))
    return unicodedata.normalize("NFKC", letter) if wide else letter


def _loosely(label: str) -> str:
    """Also without what joins two words, and a full stop at the end.

    >>> _loosely("Oil_Leak"), _loosely("co-op."), _loosely("pump B"), _loosely("P-1")
    ('oilleak', 'coop', 'pump b', 'p-1')
    """
    return _JOINED.sub("", form(label)).rstrip(".。") or form(label)


def _alike(counts: Counter[str], form_of: Callable[[str], str]) -> dict[str, str]:
    by_form: dict[str, list[str]] = defaultdict(list)
    for label in counts:
        by_form[form_of(label)].append(label)
    merged: dict[str, str] = {}
    for labels in by_form.values():
        best = max(sorted(labels), key=lambda label: counts[label])
        merged |= {label: best for label in labels if label != best}
    return merged


def _one_letter(counts: Counter[str], look: Look) -> dict[str, str]:
    """Rare labels one edit from a common one, where the texts do not know the rare one's word."""
    merged: dict[str, str] = {}
    said: Counter[str] | None = None
    patterns: dict[str, list[str]] = defaultdict(list)
    for label in counts:
        patterns[_pattern(label)].append(label)
    for wrong in counts:
        close = {
            right: word
            for right in patterns[_pattern(wrong)]
            if counts[right] >= RARER * counts[wrong] and (word := _slip(wrong, right))
        }
        if not close:
            continue
        said = _spoken(look) if said is None else said
        close = {right: word for right, word in close.items() if said[word] < SPOKEN}
        if close:
            merged[wrong] = max(close, key=lambda label: counts[label])
    return merged


@cache
def _pattern(label: str) -> str:
    """What a label is beside its words."""
    return _WORD.sub("a", form(label))


@cache
def _words(label: str) -> list[str]:
    return _WORD.findall(form(label))


def _spoken(look: Look) -> Counter[str]:
    """Words -> the texts that hold them."""
    return Counter(word for _, row in look.rows for word in set(_WORD.findall(form(row["text"]))))


def _slip(wrong: str, right: str) -> str | None:
    """The word of a label that is one slip from a word of another, all else being equal.

    >>> _slip("very dificult", "Very difficult"), _slip("P0301 misfire", "P0302 misfire")
    ('dificult', None)
    """
    first, second = _words(wrong), _words(right)
    apart = abs(sum(map(len, first)) - sum(map(len, second)))
    if apart > 1 or _pattern(wrong) != _pattern(right):
        return None
    other = [pair for pair in zip(first, second, strict=True) if pair[0] != pair[1]]
    return other[0][0] if len(other) == 1 and _is_slip(*other[0]) else None


def _is_slip(wrong: str, right: str) -> bool:
    if min(len(wrong), len(right)) < LEAST or wrong[0] != right[0]:
        return False  # fingers slip inside words; another first letter is another word
    if is_chinese(wrong + right):
        # a character more, less or another one is another word (左/右, 正常/不正常)
        return len(right) >= 2 * LEAST and sorted(wrong) == sorted(right) and one_edit(wrong, right)
    return one_edit(wrong, right)


def one_edit(first: str, second: str) -> bool:
    """Whether one letter put in, left out, changed or swapped with its neighbour makes them equal.

    >>> one_edit("difficult", "dificult"), one_edit("form", "from"), one_edit("pump", "lamp")
    (True, True, False)
    """
    short, long = sorted((first, second), key=len)
    if len(long) - len(short) > 1:
        return False
    start = next((k for k, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), None)
    if start is None:
        return len(short) != len(long)
    if len(short) < len(long):
        return short[start:] == long[start + 1 :]
    if short[start + 1 :] == long[start + 1 :]:
        return True
    swapped = long[start + 1 : start + 2] + long[start : start + 1] + long[start + 2 :]
    return short[start:] == swapped
