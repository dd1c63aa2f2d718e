"""Word edits: synonyms, insertion, deletion, swap (EDA, Wei and Zou 2019, arXiv:1901.11196)."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import ClassVar

from fewtune.augment.base import Context, Proposer, WordRecipe
from fewtune.augment.words import Pieces, between

LEAST_WORDS = 3  # a shorter text has no word to spare

Offers = dict[int, tuple[str, ...]]


class ChosenWords(WordRecipe):
    """A recipe of words from the lexicon; without one, from the model that proposes words."""

    needs: ClassVar[tuple[str, ...]] = ("lexicon", "proposer")

    def text(self, text: str, draw: Random, context: Context) -> str:
        """A new text."""
        return self.texts([text], draw, context)[0]

    def texts(self, texts: Sequence[str], draw: Random, context: Context) -> list[str]:
        """A new text for each; the model is asked about all of them at once."""
        if not self.strength:
            return list(texts)
        cuts = [context.cut(text) for text in texts]
        if context.lexicon or context.proposer is None:
            return [self.looked_up(cut, draw, context) for cut in cuts]
        asked = [self.places(cut, draw) for cut in cuts]
        offers = self.ask(context.proposer, cuts, asked)
        return [
            self.proposed(cut, {k: words for k, words in own.items() if words}, draw)
            for cut, own in zip(cuts, offers, strict=True)
        ]

    def places(self, cut: Pieces, draw: Random) -> list[int]:
        """Words to ask about: twice as many as change, as there is not an answer for each."""
        return draw.sample(cut.free, min(len(cut.free), 2 * self.count(len(cut.free)) + 2))

    def looked_up(self, cut: Pieces, draw: Random, context: Context) -> str:
        """A new text with words of the lexicon."""
        raise NotImplementedError

    def ask(
        self, proposer: Proposer, cuts: Sequence[Pieces], asked: Sequence[Sequence[int]]
    ) -> list[Offers]:
        """The model's words for places in each text."""
        raise NotImplementedError

    def proposed(self, cut: Pieces, offers: Offers, draw: Random) -> str:
        """A new text with words of the model."""
        raise NotImplementedError

    def drawn(self, cut: Pieces, able: Sequence[int], draw: Random) -> list[int]:
        """Which of the able words change."""
        return draw.sample(able, min(len(able), self.count(len(cut.free))))


class Synonym(ChosenWords):
    """Some words become others of like meaning."""

    name: ClassVar[str] = "synonym"
    scene: ClassVar[str] = "words become synonyms of --lexicon or of --augment_model"

    def looked_up(self, cut: Pieces, draw: Random, context: Context) -> str:
        """Replace by synonyms."""
        return self.proposed(cut, _synonyms(cut, context), draw)

    def ask(
        self, proposer: Proposer, cuts: Sequence[Pieces], asked: Sequence[Sequence[int]]
    ) -> list[Offers]:
        """What else could stand there."""
        return proposer([cut.pieces for cut in cuts], asked)

    def proposed(self, cut: Pieces, offers: Offers, draw: Random) -> str:
        """Replace, keeping a capital at the start."""
        pieces = list(cut.pieces)
        for k in self.drawn(cut, list(offers), draw):
            pieces[k] = _like(draw.choice(offers[k]), pieces[k])
        return cut.joined(pieces)


class Insert(ChosenWords):
    """Words are put in between; those of a lexicon are synonyms of words elsewhere in the text."""

    name: ClassVar[str] = "insert"
    scene: ClassVar[str] = "words of --lexicon or of --augment_model are put in between"

    def looked_up(self, cut: Pieces, draw: Random, context: Context) -> str:
        """Insert before a word, so that punctuation stays where it is."""
        synonyms = _synonyms(cut, context)
        pieces = list(cut.pieces)
        gap = between(cut.joined())
        for k in self.drawn(cut, list(synonyms), draw):
            word = draw.choice(synonyms[k])
            at = draw.choice(cut.free)
            pieces[at] = f"{word}{gap}{pieces[at]}"
        return cut.joined(pieces)

    def ask(
        self, proposer: Proposer, cuts: Sequence[Pieces], asked: Sequence[Sequence[int]]
    ) -> list[Offers]:
        """What could stand before each of the words; the place is an empty piece."""
        texts = [
            [*cut.pieces[:k], "", between(cut.joined()), *cut.pieces[k:]]
            for cut, own in zip(cuts, asked, strict=True)
            for k in own
        ]
        at = [k for own in asked for k in own]
        answers = proposer(texts, [[k] for k in at])
        words = iter([answer.get(k, ()) for k, answer in zip(at, answers, strict=True)])
        return [{k: next(words) for k in own} for own in asked]

    def proposed(self, cut: Pieces, offers: Offers, draw: Random) -> str:
        """Insert where it was asked for."""
        pieces = list(cut.pieces)
        gap = between(cut.joined())
        for k in self.drawn(cut, list(offers), draw):
            pieces[k] = f"{draw.choice(offers[k])}{gap}{pieces[k]}"
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


def _synonyms(cut: Pieces, context: Context) -> Offers:
    """Words of a text that the lexicon knows, with their synonyms."""
    lexicon = context.lexicon
    words = {k: cut.pieces[k] for k in cut.free}
    found = {k: lexicon.get(word) or lexicon.get(word.lower()) for k, word in words.items()}
    return {k: synonyms for k, synonyms in found.items() if synonyms}


def _like(word: str, model: str) -> str:
    """A word in the case of another one."""
    if model.isupper() and len(model) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if model[:1].isupper() else word
