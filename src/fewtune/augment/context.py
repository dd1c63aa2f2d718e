"""What the user's options give to recipes: lists of words, and models to ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fewtune.augment.base import Context, Proposer, Recipe, Translator, Writer
from fewtune.augment.lexicon import decoded, read_lexicon
from fewtune.augment.options import AugmentOptions
from fewtune.base.errors import UsageError
from fewtune.base.files import found
from fewtune.models.options import ModelOptions
from fewtune.models.source import is_causal

#: What a recipe may need of the context -> how the user gives it.
WAYS = {
    "lexicon": "--lexicon FILE (WordNet's dict folder, 同义词词林, or two columns)",
    "proposer": "--augment_model ENCODER",
    "translator": "--translators THERE,BACK (two translation models)",
    "writer": "--augment_model CAUSAL-MODEL or --augment_endpoint URL",
}


def parts_given(options: AugmentOptions) -> set[str]:
    """The parts of the context that the user's options give."""
    given = {
        "lexicon": options.lexicon,
        "translator": options.translators,
        "writer": options.augment_endpoint,
    }
    parts = {part for part, value in given.items() if value}
    if options.augment_model:
        parts.add("writer" if is_causal(ModelOptions(model=options.augment_model)) else "proposer")
    return parts


def context_of(options: AugmentOptions, recipes: Sequence[Recipe]) -> Context:
    """What the recipes may use; nothing is loaded before a recipe asks for it.

    Raises:
        UsageError: a recipe needs what is not given; a file is not there.
    """
    given = parts_given(options)
    lacking = [one for one in recipes if one.needs and not given.intersection(one.needs)]
    if lacking:
        raise UsageError("\n".join(_lacks(one) for one in lacking))
    needed = {need for one in recipes for need in one.needs} & given
    return Context(
        read_lexicon(options.lexicon) if options.lexicon else {},
        _protected(options),
        **{part: BUILDERS[part](options) for part in BUILDERS if part in needed},
    )


def _lacks(recipe: Recipe) -> str:
    """The sentence for a recipe that cannot work yet."""
    return f"augment: {recipe.name} needs {', or '.join(WAYS[need] for need in recipe.needs)}."


def _protected(options: AugmentOptions) -> frozenset[str]:
    if not options.protect:
        return frozenset()
    text = decoded(found(options.protect, "protect").read_bytes(), "protect", options.protect)
    return frozenset(line.strip() for line in text.splitlines() if line.strip())


def _proposer(options: AugmentOptions) -> Proposer:
    from fewtune.models.proposer import Proposer

    return Proposer(options.augment_model or "")


def _translator(options: AugmentOptions) -> Translator:
    from fewtune.models.translator import Translator

    return Translator(options.translators or "")


def _writer(options: AugmentOptions) -> Writer:
    from fewtune.models.writer import endpoint_writer, local_writer

    if options.augment_endpoint:
        return endpoint_writer(options.augment_endpoint, options.augment_calls)
    return local_writer(options.augment_model or "", options.augment_calls)


BUILDERS: dict[str, Callable[[AugmentOptions], Any]] = {
    "proposer": _proposer,
    "translator": _translator,
    "writer": _writer,
}
