"""Dialogues: turns joined, early ones dropped, the system message said in other words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import ClassVar

from fewtune.augment.base import Context, Recipe
from fewtune.base.options import option
from fewtune.data.dialogue import Message
from fewtune.data.near import is_chinese
from fewtune.data.row import Row

Turns = tuple[Message, ...]


class DialogueRecipe(Recipe):
    """A recipe of whole dialogues; roles stay in an order that a model can learn."""

    kind: ClassVar[str] = "dialogue"

    def turns(self, turns: Turns, draw: Random) -> Turns:
        """New turns; the same ones where nothing can change."""
        raise NotImplementedError

    def rows(self, rows: Sequence[Row], draw: Random, context: Context) -> Iterator[Row]:
        """A new row for each."""
        for row in rows:
            changed = {"messages": self.turns(row["messages"], draw)}
            yield Row(row.origin, {**row.fields, **changed}, self.name)


class DropTurns(DialogueRecipe):
    """Early questions with their answers are left out; the last pair always stays."""

    name: ClassVar[str] = "drop_turns"
    scene: ClassVar[str] = "dialogues without their early turns"

    def turns(self, turns: Turns, draw: Random) -> Turns:
        """Cut before a question that is not the first."""
        begins = [k for k, turn in enumerate(turns) if turn.role == "user"][1:]
        if not begins:
            return turns
        head = turns[:1] if turns[0].role == "system" else ()
        return (*head, *turns[draw.choice(begins) :])


class JoinTurns(DialogueRecipe):
    """Two questions are asked at once, and answered at once."""

    name: ClassVar[str] = "join_turns"
    scene: ClassVar[str] = "two questions asked at once, and answered at once"

    def turns(self, turns: Turns, draw: Random) -> Turns:
        """Join two plain pairs that stand side by side; turns with tools are left as they are."""
        starts = [
            k
            for k in range(len(turns) - 3)
            if [turn.role for turn in turns[k : k + 4]] == ["user", "assistant"] * 2
            and not any(turn.tool_calls or turn.images for turn in turns[k : k + 4])
        ]
        if not starts:
            return turns
        at = draw.choice(starts)
        asked, answered, again, then = turns[at : at + 4]
        weight = None if answered.weight == then.weight is None else then.weight
        pair = (
            replace(asked, content=f"{asked.content}\n{again.content}"),
            replace(then, content=f"{answered.content}\n\n{then.content}", weight=weight),
        )
        return (*turns[:at], *pair, *turns[at + 4 :])


class VarySystem(DialogueRecipe):
    """What stands before a request in a system message is said in another way."""

    name: ClassVar[str] = "vary_system"
    scene: ClassVar[str] = "system messages begin in other words"
    english: tuple[str, ...] = option(
        ("Please note: ", "Your role: ", "In this conversation: ", "Keep to this: "),
        "what an English system message may begin with",
    )
    chinese: tuple[str, ...] = option(
        ("请注意：", "你的角色：", "在本次对话中：", "请遵守："), "the same in Chinese"
    )

    def turns(self, turns: Turns, draw: Random) -> Turns:
        """Put one of the beginnings before it, in its language."""
        if turns[0].role != "system" or not turns[0].content.strip():
            return turns
        said = turns[0].content
        begin = draw.choice(self.chinese if is_chinese(said) else self.english)
        return (replace(turns[0], content=f"{begin}{said}"), *turns[1:])
