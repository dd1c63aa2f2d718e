"""How many rows the classes have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from fewtune.base.errors import shortened
from fewtune.check.finding import Finding, several, share, some
from fewtune.check.look import Look
from fewtune.data.holdout import labels_of
from fewtune.data.row import Origin
from fewtune.data.splits import natural

UNIQUE = 0.8  # distinct labels by labels, from which they are no classes
LEAST = 10  # labels; of fewer nothing can be said


def unique(look: Look) -> Iterator[Finding]:
    """A label column that is an id, a date or a text."""
    if _is_unique(look):
        column = look.columns.get("label", look.columns.get("labels", "label"))
        yield Finding(
            "balance-unique",
            "error",
            f"{len(look.train):,} training rows have {len(look.labels):,} labels, almost each its "
            "own, so there are no classes to learn.",
            f"Is {column!r} an id column? Name the one that holds the label: --label COLUMN.",
            _first_of(look, look.labels[:LEAST]),
            count=len(look.labels),
        )


def _is_unique(look: Look) -> bool:
    counts = _counts(look)
    return counts.total() >= LEAST and len(counts) >= UNIQUE * counts.total()


def single(look: Look) -> Iterator[Finding]:
    """Classes of one row: they can be learned a little and never tested."""
    counts = _counts(look)
    names = [label for label in look.labels if counts[label] == 1]
    if names and not _is_unique(look):
        yield Finding(
            "balance-single",
            "warning",
            f"{several(len(names), 'class has', 'classes have')} one row: {some(names, 5)}.",
            "Add rows, or merge the class with another; it trains and cannot be tested.",
            _rows_of(look, names),
        )


def few(look: Look) -> Iterator[Finding]:
    """Classes with fewer rows than folds and an honest test want."""
    counts = _counts(look)
    least = look.options.few
    names = [label for label in look.labels if 1 < counts[label] < least]
    if names and not _is_unique(look):
        smallest = min(names, key=lambda label: counts[label])
        yield Finding(
            "balance-few",
            "note",
            f"{several(len(names), 'class has', 'classes have')} fewer than {least} rows; "
            f"{shortened(smallest)} has {counts[smallest]}.",
            "Add rows there first: ten more rows of a small class teach more than a hundred of a "
            "large one.",
            _first_of(look, names),
            count=len(names),
        )


def ratio(look: Look) -> Iterator[Finding]:
    """The largest class against the smallest."""
    counts = _counts(look)
    if not counts:
        return
    (most, many), (least, little) = counts.most_common()[0], counts.most_common()[-1]
    if many > look.options.ratio * little:
        yield Finding(
            "balance-ratio",
            "note",
            f"{shortened(most)} has {share(many, len(look.train))} of the rows and "
            f"{shortened(least)} {little:,}, "
            f"{many / little:,.0f} times fewer.",
            "Judge by macro F1, and try --class_weights balanced.",
            _first_of(look, [most, least]),
        )


def unseen(look: Look) -> Iterator[Finding]:
    """Labels of validation or test rows that no training row has."""
    for part in ("valid", "test"):
        known = set(look.labels)
        rows = [row for row in look.parts.get(part, ()) if not known.issuperset(labels_of(row))]
        if rows:
            names = natural({label for row in rows for label in labels_of(row)} - known)
            yield Finding(
                "balance-unseen",
                "error",
                f"{share(len(rows), len(look.parts[part]))} of the {part} rows have labels that no "
                f"training row has: {some(names, 5)}.",
                "Add training rows with these labels, or mend their spelling.",
                tuple(row.origin for row in rows),
            )


def _first_of(look: Look, labels: Sequence[str]) -> tuple[Origin, ...]:
    """One row of each class."""
    first = {label: row.origin for row in reversed(look.train) for label in labels_of(row)}
    return tuple(first[label] for label in labels)


def _counts(look: Look) -> Counter[str]:
    return Counter(label for row in look.train for label in labels_of(row))


def _rows_of(look: Look, labels: Sequence[str]) -> tuple[Origin, ...]:
    wanted = set(labels)
    return tuple(row.origin for row in look.train if wanted.intersection(labels_of(row)))
