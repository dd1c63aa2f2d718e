"""Near duplicates: texts that share almost all their letter sequences.

Exact set-similarity join by prefix filtering (Bayardo et al. 2007, doi:10.1145/1242572.1242591):
two sets of like size whose Jaccard similarity reaches t share one of their rarest shingles, so only
pairs that do are compared. Nothing is estimated, and the same files give the same pairs everywhere;
only where more than CROWD texts share a rare shingle (a form), a text is compared with the last of
them.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from math import ceil, floor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[Any]

THRESHOLD = 0.8  # one word of ten changed; below it, texts of one form begin to look alike
ROUNDING = 1e-9  # 0.7 * 10 is a little more than 7
CROWD = 200  # rows that share a rare shingle: a form letter, whose every pair would be told
_CHINESE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_NO_GAP = re.compile("(?<=[\u3040-\u30ff\u3400-\u9fff]) (?=[\u3040-\u30ff\u3400-\u9fff])")
_NO_LETTER = re.compile(r"[\W_]+")
_ONE_MARK = re.compile(r"[^\w\s]|_")
_ROUND_MARKS = re.compile(r" ?([^\w\s]) ?")
_MINUS = {0x2212: "-", 0x2013: "-"}


class Pair(NamedTuple):
    """Two positions, the earlier first, and the Jaccard similarity of their shingles, 0..1."""

    first: int
    second: int
    similarity: float


def plain(text: str) -> str:
    """A text for comparison: full width made half, no case, no punctuation, single blanks; none in
    Chinese, where they part no words.

    >>> plain("Ｐump  FAILED!"), plain("泵，漏油。")
    ('pump failed', '泵漏油')
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _NO_GAP.sub("", _NO_LETTER.sub(" ", folded).strip())


def meaning(text: str) -> str:
    """A plain text that keeps the marks which say something: signs, emoji, `C#`, marks beside
    digits. Texts that differ in one of them are not the same text.

    >>> meaning("电压 －5V。"), meaning("C++, C#!"), meaning("1,5 bar? 5%")
    ('电压-5v', 'c++c#', '1,5 bar 5%')
    """
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_MINUS)
    words = " ".join(_ONE_MARK.sub(_if_it_says_something, folded).split())
    return _NO_GAP.sub("", _ROUND_MARKS.sub(r"\1", words))


def _if_it_says_something(found: re.Match[str]) -> str:
    mark, text, at = found[0], found.string, found.start()
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if unicodedata.category(mark) in ("Sm", "So", "Sc") and mark not in "|~":
        return mark
    beside = after.isdigit() and (before.isdigit() or mark in "-~.")
    after_one = (mark in "%‰" and before.isdigit()) or (mark == "#" and before.isalpha())
    return mark if beside or after_one else " "


def is_chinese(text: str) -> bool:
    """Whether most letters are Chinese, Japanese or Korean, which carry a word or syllable each."""
    return len(_CHINESE.findall(text)) * 2 > len(text)


def shingles(text: str) -> frozenset[str]:
    """Sequences of letters of a plain text: three letters, two where the script is Chinese."""
    width = 2 if is_chinese(text) else 3
    if len(text) <= width:
        return frozenset([text]) if text else frozenset()
    return frozenset(text[k : k + width] for k in range(len(text) - width + 1))


def without_shared_lines(texts: Sequence[str]) -> list[str]:
    """Texts without the lines that half of them share, such as one instruction over every row.

    Such lines say nothing about a row, and would make all rows look alike. A text of nothing else
    keeps them.

    >>> rows = [f"Name the fault.\\n{part}" for part in ("pump", "lamp", "door", "fuse")]
    >>> without_shared_lines(rows)
    ['pump', 'lamp', 'door', 'fuse']
    """
    lines = [text.splitlines() for text in texts]
    seen = Counter(line for some in lines if len(some) > 1 for line in set(some))
    shared = {line for line, count in seen.items() if count > 2 and 2 * count >= len(texts)}
    if not shared:
        return list(texts)
    own = ["\n".join(line for line in some if line not in shared) for some in lines]
    return [one or text for one, text in zip(own, texts, strict=True)]


def near_duplicates(texts: Sequence[str], threshold: float = THRESHOLD) -> list[Pair]:
    """Pairs of texts that are nearly equal, equal ones among them, in the order of the texts.

    Args:
        texts: as read.
        threshold: least Jaccard similarity, 0..1.

    >>> near_duplicates(["pump DE bearing is hot", "Pump DE bearing is hot.", "lamp is dark"])
    [Pair(first=0, second=1, similarity=1.0)]
    """
    sets = [shingles(plain(text)) for text in without_shared_lines(texts)]
    ordered = _rarest_first(sets)
    sizes = np.array([len(own) for own in ordered], dtype=np.int64)
    index: dict[int, list[int]] = defaultdict(list)
    shared_with = _Shared(ordered)
    pairs: list[Pair] = []
    for k, own in enumerate(ordered):
        head = own[: _prefix(len(own), threshold)].tolist()
        others = _candidates(head, len(own), index, sizes, threshold)
        if len(others):
            shared = shared_with(own, others)
            alike = shared / (len(own) + sizes[others] - shared)
            near = alike >= threshold
            both = zip(others[near].tolist(), alike[near].tolist(), strict=True)
            pairs.extend(Pair(other, k, similarity) for other, similarity in both)
        for one in head:
            index[one].append(k)
    return sorted(pairs)


def groups_of(count: int, pairs: Sequence[Pair]) -> list[int]:
    """A number for each of `count` rows; rows joined by pairs, directly or not, share one.

    >>> groups_of(4, [Pair(0, 2, 1.0)])
    [0, 1, 0, 3]
    """
    parent = list(range(count))

    def root(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    for first, second, _ in pairs:
        a, b = sorted((root(first), root(second)))
        parent[b] = a
    return [root(k) for k in range(count)]


def _prefix(size: int, threshold: float) -> int:
    """How many of the rarest shingles two sets that reach the threshold must have one of."""
    return size - ceil(threshold * size - ROUNDING) + 1 if size else 0


def _rarest_first(sets: Sequence[frozenset[str]]) -> list[Ints]:
    """Every set as the numbers of its shingles, which count from the rarest of all."""
    rare = Counter(one for found in sets for one in found)
    number = {one: k for k, one in enumerate(sorted(rare, key=lambda one: (rare[one], one)))}
    return [np.array(sorted(map(number.__getitem__, found)), dtype=np.intp) for found in sets]


def _candidates(
    head: list[int], size: int, index: dict[int, list[int]], sizes: Ints, threshold: float
) -> Ints:
    """Earlier texts of like size that have one of a text's rarest shingles among their own."""
    found = set().union(*(index[one][-CROWD:] for one in head))
    others = np.fromiter(found, dtype=np.int64, count=len(found))
    least, most = ceil(threshold * size - ROUNDING), floor(size / threshold + ROUNDING)
    return others[(least <= sizes[others]) & (sizes[others] <= most)]


class _Shared:
    """How many shingles a text shares with each of some others, all of them at once."""

    def __init__(self, ordered: Sequence[Ints]) -> None:
        self._ordered = ordered
        self._is_own = np.zeros(1 + max((int(own[-1]) for own in ordered if len(own)), default=0))

    def __call__(self, own: Ints, others: Ints) -> Ints:
        rows = [self._ordered[other] for other in others.tolist()]
        starts = np.cumsum([0, *map(len, rows[:-1])])
        self._is_own[own] = 1
        shared = np.add.reduceat(self._is_own.take(np.concatenate(rows)), starts)
        self._is_own[own] = 0
        return shared
