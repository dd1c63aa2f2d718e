"""Apply recipes to training rows, and let nothing through that would mislead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from fewtune.augment.base import Context, Recipe
from fewtune.augment.recipes import RECIPES
from fewtune.base.errors import UsageError
from fewtune.data.dialogue import as_text
from fewtune.data.images import file_mark, picture
from fewtune.data.near import THRESHOLD, near_duplicates, plain
from fewtune.data.row import Row

NOTHING = "nothing could change"


@dataclass(frozen=True)
class Augmented:
    """What the recipes made.

    Attributes:
        rows: new rows, each with its parent's origin and its recipe.
        dropped: how many were dropped, by reason.
        idle: a sentence on each recipe that made no row.
    """

    rows: tuple[Row, ...]
    dropped: dict[str, int]
    idle: tuple[str, ...] = ()


def augment(
    rows: Sequence[Row],
    recipes: Sequence[Recipe],
    context: Context,
    seed: int = 0,
    copies: int = 1,
    avoid: Sequence[Row] = (),
) -> Augmented:
    """Make new rows from training rows.

    Args:
        rows: the parents, training rows only.
        copies: new rows of each recipe for a parent.
        avoid: rows of validation or test: what equals or nearly equals one is dropped.

    Raises:
        UsageError: a recipe of other rows than these.

    Returns:
        The new rows in the order of recipes, copies and parents; what a recipe makes depends on the
        seed and the rows, not on the recipes beside it.
    """
    refuse_kind(rows, recipes)
    known = {plain(said(row)) for row in rows}
    held = {plain(said(row)) for row in avoid}
    dropped: Counter[str] = Counter()
    made: list[Row] = []
    idle: list[str] = []
    for recipe in recipes:
        before, refused = len(made), Counter[str]()
        for copy in range(copies):
            draw = Random(f"{seed} {recipe.name} {copy}")
            for parent, new in zip(rows, recipe.rows(rows, draw, context), strict=True):
                reason = _refused(new, parent, known, held, recipe.rewrites)
                if reason:
                    refused[reason] += 1
                    continue
                known.add(_key(new, recipe.rewrites))
                made.append(new)
        dropped += refused
        if len(made) == before and refused:
            idle.append(_idle(recipe, context, refused))
    kept, near = _apart(made, avoid)
    dropped["nearly a validation or test row"] += near
    return Augmented(
        tuple(kept), {reason: count for reason, count in dropped.items() if count}, tuple(idle)
    )


def _idle(recipe: Recipe, context: Context, refused: Counter[str]) -> str:
    """Why a recipe made nothing."""
    (reason, count), *_ = refused.most_common()
    told = f"{recipe.name} made no row: {reason} ({count:,} of {refused.total():,} tried)"
    if reason != NOTHING:
        return f"{told}."
    if "lexicon" in recipe.needs and context.lexicon:
        return f"{told}; no word of these rows is one of --lexicon (is it of another language?)."
    if recipe.kind != "text":
        return f"{told}; {recipe.scene}, and these rows have nothing of the kind."
    return (
        f"{told}; numbers, codes, units, negations and --protect words stay, and so does a text of "
        "very few words."
    )


def refuse_kind(rows: Sequence[Row], recipes: Sequence[Recipe]) -> None:
    """A recipe of dialogues has nothing to change in a text, nor one of texts in an image.

    Raises:
        UsageError: there is such a recipe among them.
    """
    for kind in {kind_of(row): None for row in rows}:
        for other in ("text", "dialogue", "image"):
            wrong = [one.name for one in recipes if one.kind == other and other not in ABLE[kind]]
            if wrong:
                raise UsageError(
                    f"augment: {', '.join(wrong)} {'change' if len(wrong) > 1 else 'changes'} "
                    f"{other}s, and these rows are {kind}s; choose of "
                    f"{', '.join(name for name, one in RECIPES.items() if one.kind in ABLE[kind])}."
                )


#: What rows are -> the kinds of recipes that can change them.
ABLE = {"text": ("text",), "dialogue": ("text", "dialogue"), "image": ("image",)}


def kind_of(row: Row) -> str:
    """A row's kind: `text`, `dialogue` or `image`."""
    return "dialogue" if "messages" in row.fields else "image" if "image" in row.fields else "text"


def said(row: Row) -> str:
    """All that a row says; of an image a mark of its bytes."""
    if "messages" in row.fields:
        return as_text(row["messages"])
    return file_mark(row["image"]) if "image" in row.fields else str(row["text"])


def _key(row: Row, rewrites: bool) -> str:
    """What makes two new rows the same: the words, or for blanks and marks the very letters."""
    return plain(said(row)) if rewrites else said(row)


def _refused(new: Row, parent: Row, known: set[str], held: set[str], rewrites: bool) -> str | None:
    if said(new) == said(parent):
        unread = "image" in parent.fields and picture(parent["image"]).trouble
        return "an image that cannot be read" if unread else NOTHING
    if not plain(said(new)):
        return "no words left"
    if plain(said(new)) in held:
        return "a validation or test row"
    return "the same as another row" if _key(new, rewrites) in known else None


def _apart(made: Sequence[Row], avoid: Sequence[Row]) -> tuple[list[Row], int]:
    """Without rows that are nearly equal to one to avoid, where their parents are not."""
    if not made or not avoid or "image" in made[0].fields:  # marks of images are never alike
        return list(made), 0
    texts = [said(row) for row in (*avoid, *made)]
    pairs = near_duplicates(texts, THRESHOLD)
    close = {second - len(avoid) for first, second, _ in pairs if first < len(avoid) <= second}
    return [row for k, row in enumerate(made) if k not in close], len(close)
