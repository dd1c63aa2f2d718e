"""A masked language model asked what stands behind its mask."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fewtune.models.batches import Encoded, by_length
from fewtune.models.vocabulary import CHINESE, Place, Vocabulary

TOP = 10  # words for a place
SPARE = 5  # looked at beyond these, for the word itself and those beside it go
LEAST = 0.01  # probability below which a token is a guess
FIRST = 4  # first characters tried for a Chinese word of several; each is then filled greedily
MOST_CHARACTERS = 4  # of such a word
NEW_WORD = 2  # characters of a Chinese word where none stood: most words have two
WINDOW = 128  # tokens around a mask; a word rarely depends on what stands further away
CHARACTERS = "characters"  # the choice for a mask that is one of several


@dataclass(frozen=True, slots=True)
class Filling:
    """A row of tokens on its way to a word.

    Attributes:
        place: number of the place it is for.
        ids: tokens, masks among them.
        masks: positions still masked, the next one first.
        choice: which tokens may stand there: a script, or CHARACTERS.
        word: what was filled in.
        probability: of that, 0..1.
    """

    place: int
    ids: np.ndarray
    masks: tuple[int, ...]
    choice: str
    word: str = ""
    probability: float = 1.0

    def width(self) -> int:
        """How many tokens to go on with."""
        if self.choice != CHARACTERS:
            return TOP + SPARE
        return 1 if self.word else FIRST

    def filled(self, token: int, word: str, probability: float) -> Filling:
        """With the next mask filled."""
        ids = self.ids.copy()
        ids[self.masks[0]] = token
        word, probability = self.word + word, self.probability * probability
        return Filling(self.place, ids, self.masks[1:], self.choice, word, probability)


class Masked:
    """The likeliest whole words in context; Chinese ones character by character."""

    def __init__(self, model: Any, vocabulary: Vocabulary, positions: int) -> None:
        """
        Args:
            model: with its head, on its device.
            vocabulary: of the same model; its tokenizer has a mask.
            positions: the longest row that the model has positions for.
        """
        self._model = model
        self._vocabulary = vocabulary
        self._tokenizer = vocabulary.tokenizer
        self._ends: list[int] = self._tokenizer("")["input_ids"]  # start and end mark, or neither
        self._room = min(WINDOW, positions) - len(self._ends)
        choices = vocabulary.scripts | {CHARACTERS: sorted(vocabulary.characters().values())}
        self._choices = {
            name: torch.tensor(ids, device=model.device, dtype=torch.long)
            for name, ids in choices.items()
        }

    def words(self, places: Sequence[Place]) -> list[tuple[str, ...]]:
        """For each place the words that could stand there, likeliest first."""
        done: list[list[Filling]] = [[] for _ in places]
        rows = self._masked(places)
        while rows:
            left: list[Filling] = []
            for row in self._filled(rows):
                (left if row.masks else done[row.place]).append(row)
            rows = left
        return [place.offer(_words(found), TOP) for place, found in zip(places, done, strict=True)]

    def _masked(self, places: Sequence[Place]) -> list[Filling]:
        """A row for each place that can be asked."""
        kinds = [place.script() for place in places]
        counts = [self._count(p, kind) for p, kind in zip(places, kinds, strict=True)]
        asked = [k for k, count in enumerate(counts) if count]
        before = self._tokens(["".join(_left(places[k])).rstrip() for k in asked])
        after = self._tokens(["".join(_right(places[k])) for k in asked])
        rows = []
        for k, left, right in zip(asked, before, after, strict=True):
            count, kind = counts[k], kinds[k] or ""
            room = self._room - count
            left = left[max(0, len(left) - max(room // 2, room - len(right))) :]
            masks = [self._tokenizer.mask_token_id] * count
            ids = [*self._ends[:1], *left, *masks, *right[: room - len(left)], *self._ends[1:]]
            first = len(self._ends[:1]) + len(left)
            choice = kind if count == 1 else CHARACTERS
            at = tuple(range(first, first + count))
            rows.append(Filling(k, np.array(ids, dtype=np.int64), at, choice))
        return rows

    def _count(self, place: Place, kind: str | None) -> int:
        """Masks for a place; 0 where it cannot be asked."""
        if kind not in self._vocabulary.scripts:
            return 0
        if kind != CHINESE:
            return 1
        own = self._vocabulary.scripts[CHINESE]
        if not place.word:
            return 1 if any(len(self._vocabulary.words[k]) > 1 for k in own) else NEW_WORD
        size = len(place.word)
        if len(self._vocabulary.ids(place.word)) != size:
            return 1
        return size if size <= MOST_CHARACTERS else 0

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        return self._tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []

    def _filled(self, rows: Sequence[Filling]) -> Iterator[Filling]:
        """Each row with its next mask filled, in the ways worth going on with."""
        encoded = Encoded([row.ids for row in rows], self._tokenizer.pad_token_id)
        for chosen in by_length(encoded.lengths, 64):
            ids, mask = encoded.batch(chosen)
            at = torch.tensor([rows[k].masks[0] for k in chosen])
            for k, chances in zip(chosen, self._chances(ids, mask, at), strict=True):
                allowed = self._choices[rows[k].choice]
                best = chances[allowed].topk(min(rows[k].width(), len(allowed)))
                tokens = allowed[best.indices].tolist()
                for token, chance in zip(tokens, best.values.tolist(), strict=True):
                    if chance >= LEAST:
                        yield rows[k].filled(token, self._vocabulary.words[token], chance)

    @torch.inference_mode()
    def _chances(self, ids: Tensor, mask: Tensor, at: Tensor) -> Tensor:
        """Probabilities (rows, tokens of the vocabulary) of what stands `at` (rows,)."""
        device = self._model.device

        def only_at(_module: Any, _inputs: Any, output: Any) -> Any:
            # the head is as dear as some blocks, and one position of a row is read
            states = output.last_hidden_state  # (rows, tokens, width)
            rows = torch.arange(len(states), device=device)
            output.last_hidden_state = states[rows, at.to(device)].unsqueeze(1)
            return output

        hook = self._model.base_model.register_forward_hook(only_at)
        try:
            out = self._model(input_ids=ids.to(device), attention_mask=mask.to(device))
        finally:
            hook.remove()
        return out.logits[:, 0].float().softmax(-1)


def _left(place: Place) -> Sequence[str]:
    """Pieces before it; a piece is a token at least, blanks left aside."""
    return place.pieces[max(0, place.at - 2 * WINDOW) : place.at]


def _right(place: Place) -> Sequence[str]:
    return place.pieces[place.at + 1 : place.at + 1 + 2 * WINDOW]


def _words(found: Sequence[Filling]) -> list[str]:
    """Likeliest first; what was put together from characters must be a word that jieba knows."""
    ordered = sorted(found, key=lambda row: -row.probability)
    return [row.word for row in ordered if row.choice != CHARACTERS or _is_known(row.word)]


def _is_known(word: str) -> bool:
    import jieba

    jieba.setLogLevel(logging.WARNING)
    jieba.initialize()
    return bool(jieba.dt.FREQ.get(word))
