"""What a recipe is: a frozen model of its own options that makes new rows from rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Protocol

from fewtune.augment.lexicon import Lexicon
from fewtune.augment.words import Pieces, cut
from fewtune.base.options import Options, option
from fewtune.data.dialogue import Message
from fewtune.data.row import Row


class Proposer(Protocol):
    """A pretrained model asked for other words in a word's place."""

    def __call__(
        self, texts: Sequence[Sequence[str]], at: Sequence[Sequence[int]]
    ) -> list[dict[int, tuple[str, ...]]]:
        """Words that could stand at positions of texts cut into pieces, likeliest first."""
        ...


class Translator(Protocol):
    """Two translation models, one there and one back."""

    def __call__(self, texts: Sequence[str], sample: bool, seed: int) -> list[str]:
        """Every text in other words."""
        ...


class Writer(Protocol):
    """A model that follows instructions, here or behind an endpoint."""

    def __call__(self, prompts: Sequence[str], seed: int) -> list[str | None]:
        """An answer to every prompt; None where the budget is spent or the model failed."""
        ...

    def anew(self) -> Writer:
        """The same model with all its calls before it."""
        ...

    @property
    def spent(self) -> int:
        """Prompts that the model was asked so far; those answered from the cache cost nothing."""
        ...

    @property
    def left(self) -> int:
        """Prompts that it may still be asked."""
        ...


@dataclass(frozen=True)
class Context:
    """What recipes may use beside the rows.

    Attributes:
        lexicon: synonyms by word; empty where none was given.
        protected: words that are never changed, beside numbers, codes and units.
        proposer: other words for words.
        translator: there and back again.
        writer: follows instructions.
        folder: where new images are written.
    """

    lexicon: Lexicon = field(default_factory=dict)
    protected: frozenset[str] = frozenset()
    proposer: Proposer | None = None
    translator: Translator | None = None
    writer: Writer | None = None
    folder: Path | None = None

    def cut(self, text: str) -> Pieces:
        """A text as pieces, with what may be changed."""
        return cut(text, self.protected.__contains__)


class Recipe(Options):
    """A way to make a new text that still has its label.

    Attributes:
        name: the key in the registry.
        scene: one clause on what it changes, for tables.
        kind: `text` recipes also change what users say in dialogues; `dialogue` ones only those,
            `image` ones pictures.
        needs: parts of the context of which it must have one.
        rewrites: False where only blanks, case and marks change.
    """

    name: ClassVar[str]
    scene: ClassVar[str]
    kind: ClassVar[str] = "text"
    needs: ClassVar[tuple[str, ...]] = ()
    rewrites: ClassVar[bool] = True

    def text(self, text: str, draw: Random, context: Context) -> str:
        """A new text; the same one where nothing in it can change."""
        raise NotImplementedError

    def texts(self, texts: Sequence[str], draw: Random, context: Context) -> list[str]:
        """A new text for each; a recipe that asks a model about all of them at once begins here."""
        return [self.text(text, draw, context) for text in texts]

    def rows(self, rows: Sequence[Row], draw: Random, context: Context) -> Iterator[Row]:
        """A new row for each: its origin is its parent's, its recipe this one's name.

        Of a dialogue, what users say is changed; answers are what is learned, and stay.
        """
        new = iter(self.texts([text for row in rows for text in _own_words(row)], draw, context))
        for row in rows:
            if "messages" in row.fields:
                changed: dict[str, Any] = {"messages": _asked(row["messages"], new)}
            else:
                changed = {"text": next(new)}
            yield Row(row.origin, {**row.fields, **changed}, self.name)


class WordRecipe(Recipe):
    """A recipe that changes some words of a text and leaves the others."""

    strength: float = option(0.1, "share of the words that change; one at least", ge=0, le=1)

    def texts(self, texts: Sequence[str], draw: Random, context: Context) -> list[str]:
        """A new text for each; without strength the same ones."""
        return super().texts(texts, draw, context) if self.strength else list(texts)

    def count(self, words: int) -> int:
        """How many of so many words change."""
        return min(words, max(1, round(self.strength * words))) if words else 0


def _own_words(row: Row) -> list[str]:
    """What may change in a row: its text, or what users say."""
    if "messages" in row.fields:
        return [turn.content for turn in row["messages"] if turn.role == "user"]
    return [row["text"]]


def _asked(turns: tuple[Message, ...], new: Iterator[str]) -> tuple[Message, ...]:
    """A dialogue with the next new texts in its users' mouths."""
    return tuple(
        replace(turn, content=next(new)) if turn.role == "user" else turn for turn in turns
    )
