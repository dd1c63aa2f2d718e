"""A language model that answers dialogues: what evaluation, `predict` and `chat` speak with."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fewtune.data.dialogue import Message
from fewtune.data.row import Row
from fewtune.models.decoding import DecodingOptions
from fewtune.tasks.generate import Encoding, Generate

if TYPE_CHECKING:
    from fewtune.models.batches import Marked
    from fewtune.models.causal import CausalModel
    from fewtune.models.device import Machine
    from fewtune.models.speaking import Said, Speaker

Turns = Sequence[Message]
_HALF = "\ufffd"  # what half a letter of several bytes is decoded to


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as text; `stopped` where the model ended it itself.

    Attributes:
        refused: why there is none, in a sentence; of models that are asked through a prompt.
    """

    text: str
    tokens: int
    stopped: bool
    refused: str = ""

    def as_json(self) -> dict[str, Any]:
        """`prediction`, `stopped`, `tokens`; or None and why."""
        if self.refused:
            return {"prediction": None, "stopped": False, "tokens": 0, "refused": self.refused}
        return {"prediction": self.text, "stopped": self.stopped, "tokens": self.tokens}


@dataclass(frozen=True)
class Voice:
    """A model, its tokenizer with a chat template, and the machine.

    Attributes:
        max_length: most tokens of a row that is scored.
    """

    model: CausalModel
    tokenizer: Any
    machine: Machine
    max_length: int
    task: Generate = field(default_factory=Generate)

    def encode(self, rows: Sequence[Row]) -> Encoding:
        """Rows as tokens, as in training."""
        return self.task.encode(rows, self.tokenizer, self.max_length)

    def losses(self, rows: Marked) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `answer_losses`."""
        from fewtune.models.speaking import answer_losses

        return answer_losses(self.model, rows, self.machine)

    def look_at(self, turns: Turns, tools: Any = None) -> None:
        """Whether a dialogue can be written out.

        Raises:
            Unusable: the chat template refuses it.
        """
        self.task.prompt(turns, self.tokenizer, self.model.positions, tools)

    def answer(
        self,
        dialogues: Sequence[Turns],
        decoding: DecodingOptions,
        seed: int = 0,
        tools: Sequence[Any] | None = None,
    ) -> list[Reply]:
        """The next turn of every dialogue, greedy or sampled.

        Args:
            dialogues: each ends with what waits for an answer.
            tools: of each dialogue, what the assistant may call.

        Raises:
            Unusable: the chat template refuses a dialogue.
        """
        return in_order(self.replies(dialogues, decoding, seed, tools))

    def replies(
        self,
        dialogues: Sequence[Turns],
        decoding: DecodingOptions,
        seed: int = 0,
        tools: Sequence[Any] | None = None,
        known: Collection[int] = (),
    ) -> Iterator[dict[int, Reply]]:
        """The same as they come, a batch at a time, by the dialogues' numbers.

        Args:
            known: numbers that are answered already; whatever they were answered, the others'
                answers are the same as beside them.
        """
        each = tools or [None] * len(dialogues)
        prompts = [
            self._prompt(turns, decoding, one) for turns, one in zip(dialogues, each, strict=True)
        ]
        for said in self._speaker().batches(prompts, decoding, seed, known):
            yield {number: self._reply(one, decoding) for number, one in said.items()}

    def stream(self, turns: Turns, decoding: DecodingOptions, seed: int = 0) -> Iterator[str]:
        """The next turn, piece by piece as it is written."""
        ids: list[int] = []
        told = ""
        for token in self._speaker().stream(self._prompt(turns, decoding, None), decoding, seed):
            ids.append(token)
            text = settled(self.tokenizer.decode(ids, skip_special_tokens=True), decoding)
            if not text.endswith(_HALF) and len(text) > len(told):
                yield text[len(told) :]
                told = text
        whole = before_stop(self.tokenizer.decode(ids, skip_special_tokens=True), decoding)
        if len(whole) > len(told):
            yield whole[len(told) :]  # half a letter, or half a stop text, as the model left it

    def _prompt(self, turns: Turns, decoding: DecodingOptions, tools: Any) -> np.ndarray:
        positions = self.model.positions - self.model.taken_positions
        room = max(positions - decoding.max_new_tokens, positions // 2)
        return self.task.prompt(turns, self.tokenizer, room, tools)

    def _speaker(self) -> Speaker:
        from fewtune.models.speaking import speaker_of

        return speaker_of(self.model, self.tokenizer, self.machine)

    def _reply(self, said: Said, decoding: DecodingOptions) -> Reply:
        text = self.tokenizer.decode(said.ids, skip_special_tokens=True)
        return Reply(before_stop(text, decoding).strip(), len(said.ids), said.stopped)


def in_order(batches: Iterable[dict[int, Reply]]) -> list[Reply]:
    """Replies that came by number, as a list."""
    found: dict[int, Reply] = {}
    for one in batches:
        found |= one
    return [found[number] for number in sorted(found)]


def before_stop(text: str, decoding: DecodingOptions) -> str:
    """What stands before the first of the texts at which an answer ends."""
    ends = [at for stop in decoding.stops if (at := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text


def settled(text: str, decoding: DecodingOptions) -> str:
    """What will stand in an answer whatever the model says next.

    >>> settled("no.\\nUs", DecodingOptions(stop="User:"))
    'no.\\n'
    """
    text = before_stop(text, decoding)
    begun = (n for stop in decoding.stops for n in range(1, len(stop)) if text.endswith(stop[:n]))
    return text[: len(text) - max(begun, default=0)]
