"""The whole words of a tokenizer, and places in texts for which some are wanted."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fewtune.models.opposites import are_opposites

CHINESE = "CJK"
#: What a token begins with that begins a word: sentencepiece's mark, and the byte-level blank.
STARTS = ("▁", "Ġ")


def script(word: str) -> str | None:
    """The one script of a word's letters as Unicode names it; None for several and for others.

    >>> script("pump"), script("水泵"), script("насос"), script("A泵"), script("P1")
    ('LATIN', 'CJK', 'CYRILLIC', None, None)
    """
    if not word.isalpha():
        return None
    names = {unicodedata.name(letter, "").partition(" ")[0] for letter in word}
    return names.pop() if len(names) == 1 else None


def are_forms(one: str, other: str) -> bool:
    """Whether two words of letters look like forms of one: all but the endings is the same.

    >>> are_forms("leaks", "leaking"), are_forms("Pump", "pumps"), are_forms("leak", "drip")
    (True, True, False)
    """
    least = max(3, min(len(one), len(other)) - 1)
    return one.casefold()[:least] == other.casefold()[:least]


@dataclass(frozen=True)
class Place:
    """A position in a text cut into pieces.

    Attributes:
        pieces: joined they give the text.
        at: whose place is meant; where that piece is empty, no word stands there yet.
    """

    pieces: Sequence[str]
    at: int

    @property
    def word(self) -> str:
        """What stands there."""
        return self.pieces[self.at]

    def beside(self) -> list[str]:
        """The nearest words of letters on the left and on the right."""
        left = (piece for piece in reversed(self.pieces[: self.at]) if piece.isalpha())
        right = (piece for piece in self.pieces[self.at + 1 :] if piece.isalpha())
        return [word for side in (left, right) if (word := next(side, ""))]

    def script(self) -> str | None:
        """The script that a word in this place is of."""
        scripts = map(script, [self.word] if self.word else self.beside())
        return next(filter(None, scripts), None)

    def offer(self, words: Iterable[str], most: int) -> tuple[str, ...]:
        """The first words that are not there already, each in one case only, and no opposites."""
        there = {one.casefold() for one in (self.word, *self.beside())}
        new: dict[str, str] = {}
        for word in words:
            if word.casefold() not in there and not are_opposites(word, self.word):
                new.setdefault(word.casefold(), word)
        return tuple(new.values())[:most]


class Vocabulary:
    """A tokenizer's tokens that are whole words: no special ones, continuations or marks.

    Attributes:
        words: token id -> word.
        scripts: script -> ids of its words, in their order.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        tokens: list[str] = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
        self._start = next((mark for mark in STARTS if _share(tokens, mark) > 0.1), "")
        special = set(tokenizer.all_special_ids)
        self.words: dict[int, str] = {}
        self.scripts: dict[str, list[int]] = {}
        for number, token in enumerate(tokens):
            word = token.removeprefix(self._start)
            kind = script(word)
            whole = token.startswith(self._start) or kind == CHINESE
            # one letter is a word in Chinese only
            if number not in special and kind and whole and (len(word) > 1 or kind == CHINESE):
                self.words[number] = word
                self.scripts.setdefault(kind, []).append(number)

    def ids(self, word: str) -> list[int]:
        """Tokens of a word as it stands behind a blank; empty where one of them is unknown."""
        behind = f" {word}" if self._start == "Ġ" else word
        ids: list[int] = self.tokenizer(behind, add_special_tokens=False)["input_ids"]
        return [] if self.tokenizer.unk_token_id in ids else ids

    def characters(self) -> dict[str, int]:
        """Chinese words of one character, with their ids."""
        own = self.scripts.get(CHINESE, [])
        return {self.words[k]: k for k in own if len(self.words[k]) == 1}


def _share(tokens: Sequence[str], mark: str) -> float:
    """How many tokens begin with a mark, 0..1."""
    return sum(token.startswith(mark) for token in tokens) / max(1, len(tokens))
