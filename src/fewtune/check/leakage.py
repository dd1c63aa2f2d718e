"""What a score would owe to the split instead of to learning."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from fewtune.base.errors import shortened
from fewtune.check.finding import Finding, several, share, some
from fewtune.check.look import Look
from fewtune.data.near import plain
from fewtune.data.row import Row

TELLING = 0.5  # share of a class's texts that name their label, from which it is told
LEAST = 5  # rows of a class that must name it
SHORT = 2  # letters; a shorter label is found in too many words


def exact(look: Look) -> Iterator[Finding]:
    """Validation or test rows whose text or image is a training row's."""
    known = {text: row.origin for (part, row), text in _meant(look) if part == "train" and text}
    for part in ("valid", "test"):
        twins = [
            (row, known[text]) for (own, row), text in _meant(look) if own == part and text in known
        ]
        if twins:
            rows, twin = [row for row, _ in twins], twins[0][1]
            yield Finding(
                "leak-exact",
                "error",
                f"{share(len(rows), len(look.parts[part]))} of the {part} rows have the "
                f"{look.noun} of a training row ({rows[0].origin} that of {twin}), so their score "
                "measures memory.",
                f"Drop them from the {part} file, or split the whole anew.",
                tuple(row.origin for row in rows),
                drop=frozenset(row.origin for row in rows),
                beside={row.origin: known for row, known in twins},
            )


def near(look: Look) -> Iterator[Finding]:
    """Validation or test rows that are nearly equal to a training row."""
    found: dict[str, dict[int, int]] = defaultdict(dict)
    for pair in look.near:
        (first, _), (second, _) = look.rows[pair.first], look.rows[pair.second]
        if first == "train" != second and look.meaning[pair.first] != look.meaning[pair.second]:
            found[second].setdefault(pair.second, pair.first)
    for part, twins in found.items():
        rows = [look.rows[k][1] for k in twins]
        twin = look.rows[next(iter(twins.values()))][1]
        yield Finding(
            "leak-near",
            "warning",
            f"{share(len(rows), len(look.parts[part]))} of the {part} rows are nearly equal to a "
            f"training row, such as {rows[0].origin} to {twin.origin}.",
            f"Look at them; where they are the same case, keep them on one side (train or {part}).",
            tuple(row.origin for row in rows),
            beside={look.rows[a][1].origin: look.rows[b][1].origin for a, b in twins.items()},
        )


def group(look: Look) -> Iterator[Finding]:
    """Values of the group column on both sides."""
    if not look.group:
        return
    known = {_group_of(row) for row in look.train} - {None}
    for part in ("valid", "test"):
        rows = [row for row in look.parts.get(part, ()) if _group_of(row) in known]
        if rows:
            shared = sorted({str(row["group"]) for row in rows})
            yield Finding(
                "leak-group",
                "error",
                f"{several(len(shared), 'value')} of {look.group} stand in training and "
                f"{part} rows ({some(shared)}), with {several(len(rows), f'{part} row')}.",
                f"Move each value's rows to one side: a new {look.group} is what the model "
                "will meet.",
                tuple(row.origin for row in rows),
            )


def _group_of(row: Row) -> str | None:
    """As a split compares it: JSON may hold a list there."""
    return None if row.get("group") is None else str(row["group"])


def label_in_text(look: Look) -> Iterator[Finding]:
    """Classes whose texts mostly contain their own label's words, and other classes' do not."""
    texts = [(row, f" {text} ") for (part, row), text in _told(look) if part == "train"]
    found = {label: rows for label in look.labels if (rows := _named_in(label, texts))}
    if not found:
        return
    first = max(found, key=lambda label: len(found[label]))
    of_class = sum(row["label"] == first for row, _ in texts)
    yield Finding(
        "leak-label-in-text",
        "warning",
        f"the texts of {several(len(found), 'class contain', 'classes contain')} the label itself, "
        f"where others do not, so a search for the word answers: {some([*found], 5)}; "
        f"{share(len(found[first]), of_class)} of the texts of {shortened(first)} do.",
        "Make sure that new texts will contain it too; otherwise take it out of the texts.",
        tuple(row.origin for rows in found.values() for row in rows),
    )


def _named_in(label: str, texts: Sequence[tuple[Row, str]]) -> list[Row]:
    """The rows of a class that name it; none where that does not tell the class."""
    word = plain(label)
    if len(word) <= SHORT or word.isdigit():
        return []
    mark = f" {word} " if word.isascii() else word
    own = [row for row, text in texts if mark in text and row["label"] == label]
    if len(own) < LEAST:
        return []
    of_class = sum(row["label"] == label for row, _ in texts)
    others = len(texts) - of_class
    elsewhere = sum(mark in text and row["label"] != label for row, text in texts)
    return own if len(own) >= TELLING * of_class and elsewhere * 10 <= others else []


def _told(look: Look):
    """Rows with their part, and their plain text."""
    return zip(look.rows, look.plain, strict=True)


def _meant(look: Look):
    """Rows with their part, and what their text says."""
    return zip(look.rows, look.meaning, strict=True)
