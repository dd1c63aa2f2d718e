"""Generation: answers to prompts, turns of dialogues, or plain text continued."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from fewtune.data.dialogue import Message
from fewtune.data.row import Row
from fewtune.data.shapes import DIALOGUE, Shape
from fewtune.tasks.base import Task

if TYPE_CHECKING:
    from fewtune.models.batches import Marked

TrainOn = Literal["answers", "last", "all"]
Cut = Literal["", "turns", "prompt", "answer"]

LONGEST = 2048  # tokens kept of a row where nothing else is asked for
LEAST_PROMPT = 0.25  # of the room, that an answer longer than the room leaves to its prompt


@dataclass(frozen=True)
class Encoding:
    """Rows as tokens, and what became of each.

    Attributes:
        rows: what is learned.
        cuts: of each data row what had to be left out: nothing, oldest turns, the middle of the
            prompt, or the end of the answer.
        unlearned: data rows without a single learned token.
        refused: data row -> why the chat template cannot write it.
    """

    rows: Marked
    cuts: list[Cut]
    unlearned: list[int]
    refused: dict[int, str]


@dataclass(frozen=True)
class Generate(Task):
    """Write what comes next.

    Attributes:
        train_on: `answers`: every turn of the assistant with its stop token; `last`: only the last
            one; `all`: every token.
    """

    train_on: TrainOn = "answers"

    name: ClassVar[str] = "generate"
    primary: ClassVar[str] = "loss"
    writes: ClassVar[bool] = True
    shape: ClassVar[Shape] = DIALOGUE
    holds: ClassVar[str] = "dialogues or questions with answers"
    shown: ClassVar[tuple[str, ...]] = (
        "loss", "token_accuracy", "exact_match", "number_match", "rougeL", "rougeL_characters",
        "chrf", "stops",
    )  # fmt: skip
    hub: ClassVar[str] = "text-generation"
    usage: ClassVar[str] = "chat {}"
    sections: ClassVar[tuple[str, ...]] = ("generate", "decoding")

    def encode(self, rows: Sequence[Row], tokenizer: Any, max_length: int) -> Encoding:
        """Tokens of rows, and how much each counts.

        A dialogue that is too long loses its oldest turns, then the middle of its prompt, and only
        where the answer alone is too long the answer's end. A plain text becomes as many rows as it
        needs.

        Args:
            rows: with `messages`, or with `text`.
            tokenizer: with a chat template.
            max_length: most tokens of a row.
        """
        from fewtune.data.ledger import Unusable
        from fewtune.models.batches import Marked

        ids, weights, owners = [], [], []
        cuts: list[Cut] = []
        unlearned: list[int] = []
        refused: dict[int, str] = {}
        for number, row in enumerate(rows):
            try:
                made, cut = self._row(row, tokenizer, max_length)
            except Unusable as reason:
                refused[number] = reason.reason
                made, cut = [], ""
            cuts.append(cut)
            if made and not any(weight[1:].any() for _, weight in made):
                unlearned.append(number)
            for one, weight in made:
                ids.append(one)
                weights.append(weight)
                owners.append(number)
        marked = Marked(ids, _pad(tokenizer), (), weights, owners)
        return Encoding(marked, cuts, unlearned, refused)

    def prompt(
        self, turns: Sequence[Message], tokenizer: Any, room: int, tools: Any = None
    ) -> np.ndarray:
        """Tokens of a dialogue that waits for an answer, (tokens,); shortened as in training.

        Raises:
            Unusable: the chat template refuses the dialogue.
        """
        from fewtune.models.chat import rendered

        while True:
            text = rendered(tokenizer, turns, tools, to_answer=True)
            known = _to_last_answer(tokenizer, turns, tools)
            if not text.startswith(head := "".join(known)):
                known, head = [], ""
            ids = [one for piece in [*known, text[len(head) :]] for one in _ids(tokenizer, piece)]
            shorter = _without_oldest(turns)
            if len(ids) <= room or shorter is None:
                return np.array(_middle_out(ids, room) or [_pad(tokenizer)], dtype=np.int64)
            turns = shorter

    def _row(
        self, row: Row, tokenizer: Any, limit: int
    ) -> tuple[list[tuple[np.ndarray, np.ndarray]], Cut]:
        if "messages" not in row.fields:
            return _chunks(row["text"], tokenizer, limit), ""
        turns, tools = row["messages"], row.get("tools")
        cut: Cut = ""
        parts = self._parts(turns, tokenizer, tools)
        while sum(len(ids) for ids, _ in parts) > limit:
            shorter = _without_oldest(turns)
            if shorter is None:
                parts, cut = _shortened(parts, limit)
                break
            turns, cut = shorter, "turns"
            parts = self._parts(turns, tokenizer, tools)
        ids = np.array([one for part, _ in parts for one in part], dtype=np.int64)
        weights = np.concatenate([np.full(len(part), weight) for part, weight in parts])
        return [(ids, weights.astype(np.float32))], cut

    def _parts(
        self, turns: Sequence[Message], tokenizer: Any, tools: Any
    ) -> list[tuple[list[int], float]]:
        """Token ids of every piece with its weight."""
        from fewtune.models.chat import pieces

        found = pieces(tokenizer, turns, tools, last_only=self.train_on == "last")
        learned = [k for k, piece in enumerate(found) if piece.weight]
        found = found[: learned[-1] + 1] if learned else found  # what stands behind teaches nothing
        if self.train_on == "all":
            return [(_ids(tokenizer, piece.text), 1.0) for piece in found]
        return [(_ids(tokenizer, piece.text), piece.weight) for piece in found]


def asked(row: Row) -> tuple[tuple[Message, ...], str]:
    """What a row asks last, and the reference answer.

    >>> from fewtune.data.row import Origin
    >>> turns = (Message("user", "hot?"), Message("assistant", "yes"))
    >>> asked(Row(Origin("a", 1), {"messages": turns}))[1]
    'yes'
    """
    turns = row["messages"]
    last = max(k for k, turn in enumerate(turns) if turn.role == "assistant")
    return tuple(turns[:last]), turns[last].content


def _ids(tokenizer: Any, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"] if text else []


def _to_last_answer(tokenizer: Any, turns: Sequence[Message], tools: Any) -> list[str]:
    """A dialogue up to the end of its last answer, in the pieces that training cuts it into.

    What the template writes behind that answer is left out: in training it is one piece with the
    question that follows, and some tokenizers cut the two otherwise than the one.
    """
    from fewtune.models.chat import pieces

    last = max((k for k, turn in enumerate(turns) if turn.role == "assistant"), default=-1)
    # with all weights alike, so that an answer can be told from what is only read
    said = [replace(turn, weight=None) for turn in turns[: last + 1]]
    found = pieces(tokenizer, said, tools) if said else []
    return [piece.text for piece in (found if found and found[-1].weight else found[:-1])]


def _pad(tokenizer: Any) -> int:
    """A token to pad with; the mask hides it, so any will do."""
    return tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0


def _chunks(text: str, tokenizer: Any, limit: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """A plain text and its end token, in rows of at most `limit` tokens, all learned."""
    ids = tokenizer(text, verbose=False)["input_ids"]
    if tokenizer.eos_token_id is not None and ids[-1:] != [tokenizer.eos_token_id]:
        ids = [*ids, tokenizer.eos_token_id]
    cut = [np.array(ids[at : at + limit], dtype=np.int64) for at in range(0, len(ids), limit)]
    return [(one, np.ones(len(one), dtype=np.float32)) for one in cut if len(one) > 1]


def _without_oldest(turns: Sequence[Message]) -> tuple[Message, ...] | None:
    """Without the oldest question and all that answers it; None where only one is left."""
    first = next(k for k, turn in enumerate(turns) if turn.role != "system")
    later = [k for k, turn in enumerate(turns) if turn.role == "user" and k > first]
    if not later:
        return None
    return (*turns[:first], *turns[later[0] :])


def _middle_out(ids: list[int], room: int) -> list[int]:
    """Tokens without their middle: how a prompt begins and what it ends with say most."""
    if len(ids) <= room:
        return ids
    tail = (room + 1) // 2
    return ids[: room - tail] + ids[len(ids) - tail :]


def _shortened(
    parts: Sequence[tuple[list[int], float]], limit: int
) -> tuple[list[tuple[list[int], float]], Cut]:
    """One question and its answer in the room there is: the prompt gives way first."""
    last = max((k for k, (_, weight) in enumerate(parts) if weight), default=len(parts) - 1)
    answer, weight = parts[last]
    prompt = [one for part, _ in parts[:last] for one in part]
    least = min(len(prompt), max(1, int(LEAST_PROMPT * limit)))
    if len(answer) + least <= limit:
        return [(_middle_out(prompt, limit - len(answer)), 0.0), (answer, weight)], "prompt"
    return [(_middle_out(prompt, least), 0.0), (answer[: limit - least], weight)], "answer"
