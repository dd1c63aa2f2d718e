"""Recipes that make new training rows. The registry: a new recipe is a class and a line here."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from fewtune.augment.base import Recipe
from fewtune.augment.edits import Delete, Insert, Swap, Synonym
from fewtune.augment.images import Brightness, Contrast, Crop, Flip, Noise, Rotate
from fewtune.augment.slips import Aeda, Case, Spaces, Typing
from fewtune.augment.translated import Backtranslate
from fewtune.augment.turns import DropTurns, JoinTurns, VarySystem
from fewtune.augment.written import Invent, Paraphrase
from fewtune.base.errors import UsageError, one_of
from fewtune.base.options import sentences

RECIPES: dict[str, type[Recipe]] = {
    recipe.name: recipe
    for recipe in (
        Synonym, Insert, Delete, Swap, Typing, Aeda, Spaces, Case, DropTurns, JoinTurns, VarySystem,
        Backtranslate,
        Paraphrase, Invent,
        Brightness, Contrast, Rotate, Flip, Crop, Noise,
    )
}  # fmt: skip


def parse(spelled: str | Sequence[Any]) -> tuple[Recipe, ...]:
    """Recipes as the user writes them.

    Args:
        spelled: `synonym,delete:0.2` (after the colon the first option), or a list of names and of
            `{name: {option: value}}` as YAML has them.

    Raises:
        UsageError: every mistake at once.

    >>> [(one.name, one.strength) for one in parse("delete:0.2,swap")]
    [('delete', 0.2), ('swap', 0.1)]
    """
    items = (
        [one for one in spelled.split(",") if one.strip()] if isinstance(spelled, str) else spelled
    )
    built: list[Recipe] = []
    wrong: list[str] = []
    for item in items:
        try:
            built.append(_one(item))
        except UsageError as error:
            wrong.append(str(error))
    if not items:
        wrong.append(f"augment: at least one of {', '.join(RECIPES)}; got {spelled!r}.")
    if wrong:
        raise UsageError("\n".join(wrong))
    return tuple(built)


def candidates(given: Container[str], kind: str = "text") -> tuple[Recipe, ...]:
    """What `auto` tries: every recipe that can work on such rows, at its default strength.

    Args:
        given: parts of the context that there are (`apply.parts_given`).
        kind: of the rows, `text`, `dialogue` or `image`.
    """
    kinds = {kind} if kind == "image" else {"text", kind}
    return tuple(
        cls()
        for cls in RECIPES.values()
        if cls.kind in kinds and (not cls.needs or any(need in given for need in cls.needs))
    )


def _one(item: Any) -> Recipe:
    if isinstance(item, str):
        name, _, value = item.strip().partition(":")
        options: Any = {_first_option(name): value} if value else {}
    elif isinstance(item, Mapping) and len(item) == 1:
        ((name, options),) = item.items()
        options = options or {}
    else:
        raise UsageError(f"augment: a name, or one name with its options; got {item!r}.")
    if name not in RECIPES:
        raise UsageError(one_of("augment", str(name), RECIPES))
    if not isinstance(options, Mapping):
        raise UsageError(f"augment: {name} takes options by name; got {options!r}.")
    try:
        return RECIPES[name](**options)
    except ValidationError as error:
        told = "; ".join(sentences(error, RECIPES[name]))
        raise UsageError(f"augment: {name}: {told}") from None


def _first_option(name: str) -> str:
    """What a value after the colon sets: mostly the strength."""
    return next(iter(RECIPES[name].model_fields), "strength") if name in RECIPES else "strength"
