"""The same thing said twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence

from fewtune.check.finding import Finding, several, share, some
from fewtune.check.look import Look
from fewtune.data.holdout import labels_of
from fewtune.data.near import Pair, groups_of
from fewtune.data.row import Origin, Row


def exact(look: Look) -> Iterator[Finding]:
    """Rows whose text and label are those of an earlier training row, letter by letter; or image
    and label, byte by byte."""
    extra = _exactly(look)
    if extra:
        yield Finding(
            "duplicate-exact",
            "warning",
            f"{share(len(extra), len(look.train))} of the training rows repeat an earlier row, "
            "which counts it twice.",
            f"Drop the repeats{_fix(look)}, unless their number means something.",
            tuple(extra),
            drop=frozenset(extra),
            beside=extra,
        )


def normal(look: Look) -> Iterator[Finding]:
    """Rows equal to an earlier one but for case, width, blanks, and punctuation that says nothing;
    `-5` and `+5`, or two emoji, do."""
    meant = dict(zip((row.origin for _, row in look.rows), look.meaning, strict=True))
    same = _repeats(look.train, lambda row: (meant[row.origin], labels_of(row)))
    exactly = _exactly(look)
    extra = {row: first for row, first in same.items() if row not in exactly and meant[row]}
    if extra:
        yield Finding(
            "duplicate-normal",
            "warning",
            f"{share(len(extra), len(look.train))} of the training rows repeat an earlier row but "
            "for case, width, punctuation or blanks.",
            f"Drop the repeats{_fix(look)}, unless the difference means something.",
            tuple(extra),
            drop=frozenset(extra),
            beside=extra,
        )


def near(look: Look) -> Iterator[Finding]:
    """Training rows that share almost all their letter sequences and have the same label."""
    pairs = [
        pair
        for pair in look.near
        if pair.second < len(look.train)
        and look.meaning[pair.first] != look.meaning[pair.second]
        and labels_of(look.train[pair.first]) == labels_of(look.train[pair.second])
    ]
    if not pairs:
        return
    groups = Counter(groups_of(len(look.train), pairs))
    rows = sum(size for size in groups.values() if size > 1)
    twins = _by_likeness(look, pairs)
    first = max(pairs, key=lambda pair: (pair.similarity, -pair.first))
    yield Finding(
        "duplicate-near",
        "note",
        f"{share(rows, len(look.train))} of the training rows are nearly equal to another one; "
        f"the likest share {first.similarity:.0%} of their letter sequences: "
        f"{look.train[first.first].origin} and {look.train[first.second].origin}.",
        "Keep them on one side of every split; drop some where one form fills a class.",
        tuple(twins),
        count=rows,
        beside=twins,
    )


def conflict(look: Look) -> Iterator[Finding]:
    """The same text with different labels: at best one of them can be learned."""
    by_text: dict[str, list[Row]] = defaultdict(list)
    for (part, row), text in zip(look.rows, look.meaning, strict=True):
        if part == "train" and text:
            by_text[text].append(row)
    found = [rows for rows in by_text.values() if len({_said(row) for row in rows}) > 1]
    if not found:
        return
    rows = [row for group in found for row in group]
    labels = sorted({_said(row) for row in found[0]})
    yield Finding(
        "label-conflict",
        "error",
        f"{several(len(found), f'{look.noun} has', f'{look.noun}s have')} more than one label "
        f"({several(len(rows), 'row')}); {found[0][0].origin} and {found[0][1].origin} say "
        f"{some(labels)} of the same {look.noun}.",
        "Decide for one label each; where both are right, the classes overlap and need a rule.",
        tuple(row.origin for row in rows),
    )


def _exactly(look: Look) -> dict[Origin, Origin]:
    """Training rows that repeat an earlier one, and that one."""
    content = dict(zip((row.origin for _, row in look.rows), look.content, strict=True))
    return _repeats(look.train, lambda row: (content[row.origin], labels_of(row)))


def _fix(look: Look) -> str:
    return " (--fix does)" if look.fixable else ""


def _said(row: Row) -> str:
    return ", ".join(sorted(labels_of(row)))


def _by_likeness(look: Look, pairs: Sequence[Pair]) -> dict[Origin, Origin]:
    """Every row of a pair and the one it is likest to, the likest pairs first."""
    twins: dict[Origin, Origin] = {}
    for pair in sorted(pairs, key=lambda pair: -pair.similarity):
        first, second = (look.rows[k][1].origin for k in (pair.first, pair.second))
        twins.setdefault(first, second)
        twins.setdefault(second, first)
    return twins


def _repeats(rows: Sequence[Row], key: Callable[[Row], Hashable]) -> dict[Origin, Origin]:
    """Rows whose key an earlier row had, and that row."""
    seen: dict[Hashable, Origin] = {}
    extra: dict[Origin, Origin] = {}
    for row in rows:
        first = seen.setdefault(key(row), row.origin)
        if first != row.origin:
            extra[row.origin] = first
    return extra
