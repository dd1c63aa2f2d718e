"""There and back again: texts in the words of two translation models."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import ClassVar

from fewtune.augment.base import Context, Recipe
from fewtune.augment.faithful import faithful
from fewtune.base.errors import UsageError
from fewtune.base.options import option


class Backtranslate(Recipe):
    """Each text by way of another language; one that loses a number or protected word stays."""

    name: ClassVar[str] = "backtranslate"
    scene: ClassVar[str] = "texts by way of another language"
    needs: ClassVar[tuple[str, ...]] = ("translator",)

    sample: bool = option(False, "draw words, so that copies differ, instead of the likeliest ones")

    def text(self, text: str, draw: Random, context: Context) -> str:
        """The text in other words."""
        return self.texts([text], draw, context)[0]

    def texts(self, texts: Sequence[str], draw: Random, context: Context) -> list[str]:
        """All texts in other words.

        Raises:
            UsageError: there are no translation models.
        """
        if context.translator is None:
            raise UsageError("augment: backtranslate needs two translation models; none are given.")
        new = context.translator(texts, self.sample, draw.randrange(2**31))
        return [faithful(one, text, context) for one, text in zip(new, texts, strict=True)]
