"""Word edits: synonyms, insertion, deletion, swap (EDA, Wei and Zou 2019, arXiv:1901.11196)."""

from __future__ import annotations

from random import Random
from typing import ClassVar

from fewtune.augment.base import Context, WordRecipe
from fewtune.augment.words import between

LEAST_WORDS = 3  # a shorter text has no word to spare


class Synonym(WordRecipe):
    """Some words become synonyms of the lexicon."""

    name: ClassVar[str] = "synonym"
    scene: ClassVar[str] = "words become synonyms of --lexicon"
    needs: ClassVar[tuple[str, ...]] = ("lexicon",)

    def text(self, text: str, draw: Random, context: Context) -> str:
        """Replace, keeping a capital at the start."""
        cut = context.cut(text)
        pieces = list(cut.pieces)
        known = [k for k in cut.free if _synonyms(pieces[k], context)]
        for k in draw.sample(known, min(len(known), self.count(len(cut.free)))):
            pieces[k] = _like(draw.choice(_synonyms(pieces[k], context)), pieces[k])
        return cut.joined(pieces)


class Insert(WordRecipe):
    """Synonyms of some words are put in at other places."""

    name: ClassVar[str] = "insert"
    scene: ClassVar[str] = "synonyms of words are put in elsewhere"
    needs: ClassVar[tuple[str, ...]] = ("lexicon",)

    def text(self, text: str, draw: Random, context: Context) -> str:
        """Insert before a word, so that punctuation stays where it is."""
        cut = context.cut(text)
        pieces = list(cut.pieces)
        known = [k for k in cut.free if _synonyms(pieces[k], context)]
        gap = between(text)
        for k in draw.sample(known, min(len(known), self.count(len(cut.free)))):
            word = draw.choice(_synonyms(cut.pieces[k], context))
            at = draw.choice(cut.free)
            pieces[at] = f"{word}{gap}{pieces[at]}"
        return cut.joined(pieces)


class Delete(WordRecipe):
    """Some words are left out."""

    name: ClassVar[str] = "delete"
    scene: ClassVar[str] = "words are left out"

    def text(self, text: str, draw: Random, context: Context) -> str:
        """Delete; half of the words stay at least."""
        cut = context.cut(text)
        if len(cut.free) < LEAST_WORDS:
            return text
        pieces = list(cut.pieces)
        for k in draw.sample(cut.free, min(self.count(len(cut.free)), len(cut.free) // 2)):
            pieces[k] = ""
        return cut.joined(pieces)


class Swap(WordRecipe):
    """Pairs of words change places."""

    name: ClassVar[str] = "swap"
    scene: ClassVar[str] = "pairs of words change places"

    def text(self, text: str, draw: Random, context: Context) -> str:
        """Swap two words at a time."""
        cut = context.cut(text)
        if len(cut.free) < LEAST_WORDS:
            return text
        pieces = list(cut.pieces)
        for _ in range(self.count(len(cut.free))):
            a, b = draw.sample(cut.free, 2)
            pieces[a], pieces[b] = pieces[b], pieces[a]
        return cut.joined(pieces)


def _synonyms(word: str, context: Context) -> tuple[str, ...]:
    return context.lexicon.get(word) or context.lexicon.get(word.lower()) or ()


def _like(word: str, model: str) -> str:
    """A word in the case of another one."""
    if model.isupper() and len(model) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if model[:1].isupper() else word
