"""Scores of parts of the rows: by class, length, group, and the columns beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fewtune.data.row import Row
from fewtune.evaluate.answers import Likelihood
from fewtune.evaluate.slices import Slice, parts_of, slices, slices_of_losses
from fewtune.evaluate.units import Units, units_of
from fewtune.tasks.labelled import Answered, Labelled

if TYPE_CHECKING:
    from fewtune.models.batches import Marked

GROUP = "group"  # what the column is called where nobody knows its name


def label_slices(
    task: Labelled, rows: Sequence[Row], found: Answered, group: str | None = None
) -> list[Slice]:
    """The share that is right in every part.

    Args:
        found: what was answered to them.
        group: the group column's name.
    """
    truth = [_several(task.expected(row)) for row in rows]
    return said_slices(rows, truth, [_several(one) for one in task.named(found.chosen)], group)


def units_of_rows(rows: Sequence[Row], pieces: Sequence[int] | None = None) -> Units | None:
    """What intervals and tests count where a column says which rows are alike.

    Args:
        pieces: of every piece its row's position, where rows were cut: pieces of one are alike.
    """
    if pieces is None:
        return units_of(_groups(rows))
    return units_of([rows[k].get("group") or ("row", k) for k in pieces])


def group_of(row: Row) -> dict[str, str]:
    """What a written prediction tells of its row's group; nothing where there is none."""
    said = row.get("group")
    return {} if said in (None, "") else {"group": str(said)}


def by_group(rows: Sequence[Row], group: str | None) -> str | None:
    """What is told where rows come in groups; None where they do not.

    Args:
        rows: those that are scored.
        group: the group column's name.
    """
    named = {str(one) for one in _groups(rows)}
    if len(named) == 1 and len(rows) > 1 and not named & {"None", ""}:
        return (
            f"group: all {len(rows):,} rows that are scored are of one {group or GROUP}, "
            f"{named.pop()}; how rows of others would do is unknown, and the intervals do not tell."
        )
    units = units_of_rows(rows)
    if units is None:
        return None
    return (
        f"group: rows of one {group or GROUP} are alike, so intervals and p values of scores, "
        f"gains and comparisons count its {units.count:,} values, not the {len(rows):,} rows; "
        "those of parts of the rows, of calibration and of what is left to a person, and what "
        "a race goes by, count rows."
    )


def said_slices(
    rows: Sequence[Row],
    truth: Sequence[Sequence[str]],
    said: Sequence[Sequence[str]],
    group: str | None = None,
) -> list[Slice]:
    """The share of rows in every part whose labels were all said, and no others.

    Args:
        truth, said: of every row the labels.
        group: the group column's name.
    """
    right = np.array([{*a} == {*b} for a, b in zip(said, truth, strict=True)])
    texts = [str(row["text"]) for row in rows]
    return slices(right, parts_of(truth, texts, _groups(rows), group or GROUP, _beside(rows)))


def answer_slices(
    rows: Sequence[Row], marked: Marked, known: Likelihood | None, group: str | None, seed: int
) -> list[Slice]:
    """The loss a token of reference answers in every part.

    Args:
        rows: as read.
        marked: those of them that are scored, as tokens; a long text is several.
        known: how likely the model finds each of `marked`.
        group: the group column's name.
    """
    if known is None or not len(marked):
        return []
    owners, place = np.unique(np.asarray(marked.rows), return_inverse=True)
    losses, tokens = (
        np.bincount(place, weights=np.asarray(one, dtype=np.float64), minlength=len(owners))
        for one in (known.nll, known.tokens)
    )
    asked = [rows[k] for k in owners]
    texts = [_question(row) for row in asked]
    parts = parts_of([], texts, _groups(asked), group or GROUP, _beside(asked))
    return slices_of_losses(losses, tokens, parts, seed)


def _question(row: Row) -> str:
    """What stands before the answers, or the whole text."""
    if "messages" not in row.fields:
        return str(row.get("text", ""))
    return "\n".join(one.content for one in row["messages"] if one.role != "assistant")


def _groups(rows: Sequence[Row]) -> list[object]:
    return [row.get("group") for row in rows]


def _beside(rows: Sequence[Row]) -> list[dict[str, str]]:
    return [dict(row.beside) for row in rows]


def _several(answer: str | Sequence[str]) -> Sequence[str]:
    return (answer,) if isinstance(answer, str) else answer
