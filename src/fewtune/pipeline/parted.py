"""Scores of parts of the rows: by class, length, group, and the columns beside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fewtune.base.events import Event, tell
from fewtune.data.row import Row
from fewtune.evaluate.answers import Likelihood
from fewtune.evaluate.intervals import wilson
from fewtune.evaluate.slices import Slice, parts_of, share_by_groups, slices, slices_of_losses
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


def by_group(
    task: Labelled, rows: Sequence[Row], found: Answered, group: str | None
) -> Iterator[Event]:
    """A note where rows come in groups: the interval that takes these for the units."""
    if group is None or not rows:
        return
    truth = [_several(task.expected(row)) for row in rows]
    right = _right(truth, [_several(one) for one in task.named(found.chosen)])
    told = share_by_groups(right, _groups(rows))
    if told is None:
        return
    low, high = wilson(told["value"], len(rows))
    yield tell(
        "warned",
        message=f"group: {100 * told['value']:.1f} % of {len(rows):,} rows are right, "
        f"{100 * low:.1f} to {100 * high:.1f} where every row counts for itself, and "
        f"{100 * told['low']:.1f} to {100 * told['high']:.1f} where the {told['groups']:,} values "
        f"of {group} do, as they should where rows of one are alike; the other intervals and p "
        "values count rows.",
    )


def _right(truth: Sequence[Sequence[str]], said: Sequence[Sequence[str]]) -> np.ndarray:
    return np.array([{*a} == {*b} for a, b in zip(said, truth, strict=True)])


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
    right = _right(truth, said)
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
