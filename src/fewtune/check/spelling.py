"""Labels that look like one label spelled in several ways."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from fewtune.check.finding import Finding, several
from fewtune.check.look import Look
from fewtune.data.holdout import labels_of
from fewtune.data.row import Origin

LEAST = 5  # letters; shorter labels differ by one letter on purpose (cat, car)
RARER = 5  # times a typo must be rarer than what it is a typo of
_DIGITS = re.compile(r"\d+")
_BETWEEN = re.compile(r"[\W_]+")


def typo(look: Look) -> Iterator[Finding]:
    """Labels that differ in case, blanks, width, punctuation, or by one letter of a rare one."""
    counts = Counter(label for _, row in look.rows for label in labels_of(row))
    merged = {**_same_form(counts), **_one_letter(counts)}
    for wrong, right in merged.items():
        rows = [row.origin for _, row in look.rows if wrong in labels_of(row)]
        yield Finding(
            "label-typo",
            "error",
            f"label {wrong!r} ({several(counts[wrong], 'row')}) looks like {right!r} "
            f"({several(counts[right], 'row')}) and is learned as another class.",
            f"Write {right!r} (--fix does), or rename the two so that they differ in a word.",
            tuple(rows),
            mend=_relabelled(rows, right),
        )


def _relabelled(rows: Iterable[Origin], label: str) -> dict[Origin, dict[str, str]]:
    return {origin: {"label": label} for origin in rows}


def form(label: str) -> str:
    """A label without case, width, blanks and punctuation.

    >>> form("Ｏil－Leak "), form("oil leak")
    ('oilleak', 'oilleak')
    """
    return _BETWEEN.sub("", unicodedata.normalize("NFKC", label).casefold())


def _same_form(counts: Counter[str]) -> dict[str, str]:
    by_form: dict[str, list[str]] = defaultdict(list)
    for label in counts:
        if form(label):  # "+" and "-" have none, and are not the same
            by_form[form(label)].append(label)
    merged: dict[str, str] = {}
    for labels in by_form.values():
        best = max(sorted(labels), key=lambda label: counts[label])
        merged |= {label: best for label in labels if label != best}
    return merged


def _one_letter(counts: Counter[str]) -> dict[str, str]:
    """Rare labels one edit from a common one; not where only digits differ (P0301, P0302)."""
    merged: dict[str, str] = {}
    for wrong in counts:
        close = [
            right
            for right in counts
            if counts[right] >= RARER * counts[wrong] and _is_typo(form(wrong), form(right))
        ]
        if close:
            merged[wrong] = max(close, key=lambda label: counts[label])
    return merged


def _is_typo(wrong: str, right: str) -> bool:
    if wrong == right or min(len(wrong), len(right)) < LEAST:
        return False
    if not wrong.isascii() and len(right) < 2 * LEAST:
        return False  # one character of five is a word in Chinese: 左轴承, 右轴承
    if _DIGITS.findall(wrong) != _DIGITS.findall(right):
        return False
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
