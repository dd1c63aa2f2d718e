"""Dialogues: every way they are written becomes one tuple of messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import Any

from fewtune.base.errors import UsageError
from fewtune.data.ledger import Unusable

ROLES = ("system", "user", "assistant", "tool")
#: What other formats call the roles.
NAMES = {
    "human": "user", "user": "user", "prompter": "user", "用户": "user",
    "gpt": "assistant", "assistant": "assistant", "bot": "assistant", "chatgpt": "assistant",
    "model": "assistant", "function_call": "assistant", "助手": "assistant",
    "system": "system", "developer": "system", "系统": "system",
    "observation": "tool", "tool": "tool", "function": "tool", "tool_response": "tool",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Message:
    """One turn.

    Attributes:
        role: one of ROLES.
        content: what is said; empty where the turn is only a call.
        weight: how much it counts in training, where the file says so.
        name: of the tool or speaker.
        tool_calls: what the assistant asks of tools, as the file has it.
        images: paths of the images that belong to the turn.
    """

    role: str
    content: str
    weight: float | None = None
    name: str | None = None
    tool_calls: Any = None
    images: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The turn as files have it, without what it does not say."""
        more = {"weight": self.weight, "name": self.name, "tool_calls": self.tool_calls}
        told = {name: value for name, value in more.items() if value is not None}
        return {"role": self.role, "content": self.content, **told}


def from_instruction(fields: Mapping[str, Any]) -> tuple[Message, ...]:
    """Alpaca: instruction and input are the question, output the answer, history earlier turns."""
    turns = [Message("system", fields["system"])] if fields.get("system") else []
    for pair in fields.get("history") or ():
        if not _is_pair(pair):
            raise Unusable(
                "format-type", f"history holds {_short(pair)} where [question, answer] is"
            )
        turns += [Message("user", str(pair[0])), Message("assistant", str(pair[1]))]
    asked = "\n".join(str(fields[k]) for k in ("instruction", "input") if fields.get(k))
    turns += [Message("user", asked), Message("assistant", str(fields["output"]))]
    return in_order(turns)


def from_turns(fields: Mapping[str, Any]) -> tuple[Message, ...]:
    """ShareGPT's `from` and `value`, OpenAI's `role` and `content`."""
    value = fields["messages"]
    if not isinstance(value, list | tuple) or not value:
        raise Unusable(
            "format-type", f"messages is {_short(value)} where a list of turns is expected"
        )
    turns = [_turn(one, number) for number, one in enumerate(value, 1)]
    if fields.get("system") and turns[0].role != "system":
        turns.insert(0, Message("system", str(fields["system"])))
    return in_order(turns)


def open_question(fields: Mapping[str, Any]) -> tuple[Message, ...]:
    """A question that waits for its answer, with a system text where there is one.

    Raises:
        Unusable: it is empty.
    """
    turns = [Message("system", str(fields["system"]))] if fields.get("system") else []
    asked = "\n".join(str(fields[k]) for k in ("instruction", "input") if fields.get(k))
    if not asked.strip():
        raise Unusable("empty-turn", "the question is empty")
    return (*turns, Message("user", asked))


def open_turns(fields: Mapping[str, Any]) -> tuple[Message, ...]:
    """Turns up to the last one that waits for an answer; an answer that stands there is left out.

    Raises:
        Unusable: nothing waits, or what does is empty.
    """
    value = fields["messages"]
    if not isinstance(value, list | tuple) or not value:
        raise Unusable(
            "format-type", f"messages is {_short(value)} where a list of turns is expected"
        )
    turns = [_turn(one, number) for number, one in enumerate(value, 1)]
    while turns and turns[-1].role == "assistant":
        turns.pop()
    if not turns or turns[-1].role == "system":
        raise Unusable("format-turns", "no turn waits for an answer")
    if not turns[-1].content.strip():
        raise Unusable("empty-turn", f"turn {len(turns)}, which waits for an answer, is empty")
    if fields.get("system") and turns[0].role != "system":
        turns.insert(0, Message("system", str(fields["system"])))
    return tuple(turns)


@contextmanager
def refusing() -> Iterator[None]:
    """What a chat template refuses of a person's prompt, in a sentence.

    Raises:
        UsageError: in place of any Unusable.
    """
    try:
        yield
    except Unusable as refused:
        raise UsageError(f"prompt: {refused.reason}.") from None


def waiting(value: Any) -> tuple[Message, ...]:
    """What a person asks, as turns: a text, or a list of turns as files have them.

    Raises:
        UsageError: it is neither, or nothing waits for an answer.

    >>> waiting("hot?")
    (Message(role='user', content='hot?', weight=None, name=None, tool_calls=None, images=()),)
    """
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    try:
        if not isinstance(value, list | tuple) or not value:
            raise Unusable("format-type", f"{_short(value)} is neither a text nor a list of turns")
        turns = tuple(
            one if isinstance(one, Message) else _turn(one, number)
            for number, one in enumerate(value, 1)
        )
    except Unusable as unusable:
        raise UsageError(f"prompt: {unusable.reason}.") from None
    if turns[-1].role == "assistant" or not turns[-1].content.strip():
        raise UsageError("prompt: the last turn must ask something and not be empty.")
    return turns


def in_order(turns: Sequence[Message]) -> tuple[Message, ...]:
    """Turns that a model can learn from.

    A system message stands first, a user asks, an assistant answers, tools answer an assistant.

    Raises:
        Unusable: the order is another one, an answer is empty, or there is none.
    """
    before = "start"
    follows = {
        "start": ("system", "user"),
        "system": ("user",),
        "user": ("assistant",),
        "assistant": ("user", "tool"),
        "tool": ("assistant", "tool"),
    }
    for number, turn in enumerate(turns, 1):
        if turn.role not in follows[before] and not _is_call(turns, number):
            after = "the start" if before == "start" else f"a turn of {before}"
            raise Unusable("format-turns", f"turn {number} is of {turn.role} after {after}")
        if turn.role == "assistant" and not turn.content.strip() and not turn.tool_calls:
            raise Unusable("empty-turn", f"turn {number}, of assistant, is empty")
        before = turn.role
    if not any(turn.role == "assistant" for turn in turns):
        raise Unusable("format-turns", "no turn is of assistant, so there is nothing to learn")
    return tuple(turns)


def _is_call(turns: Sequence[Message], number: int) -> bool:
    """An assistant may speak and then call a tool, as two turns."""
    now, last = turns[number - 1], turns[number - 2] if number > 1 else None
    return bool(last and now.role == last.role == "assistant" and now.tool_calls)


def _turn(one: Any, number: int) -> Message:
    if not isinstance(one, Mapping):
        raise Unusable("format-type", f"turn {number} is {_short(one)} where an object is expected")
    said = one.get("role", one.get("from"))
    role = NAMES.get(str(said).strip().casefold())
    if role is None:
        raise Unusable(
            "format-role", f"turn {number} is of {said!r}; one of {', '.join(ROLES)} is expected"
        )
    content, images = _content(one.get("content", one.get("value")), number)
    calls = one.get("tool_calls")
    if str(said).casefold() == "function_call":
        calls = content
    weight = one.get("weight")
    if weight is not None and not _is_weight(weight):
        why = f"the weight of turn {number} is {_short(weight)}, no number from 0 on"
        raise Unusable("format-type", why)
    return Message(role, content, weight, one.get("name"), calls, images)


def _is_weight(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= value < inf


def _content(value: Any, number: int) -> tuple[str, tuple[str, ...]]:
    """A text, or OpenAI's list of parts: texts and images."""
    if value is None or isinstance(value, str):
        return value or "", ()
    if not isinstance(value, list):
        raise Unusable(
            "format-type", f"the content of turn {number} is {_short(value)} where text is expected"
        )
    texts, images = [], []
    for part in value:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind == "text":
            texts.append(str(part.get("text", "")))
        elif kind in ("image", "image_url"):
            found = part.get("image", part.get("image_url"))
            images.append(str(found.get("url") if isinstance(found, Mapping) else found))
            texts.append("<image>")
        else:
            raise Unusable("format-type", f"turn {number} has a part of kind {kind!r}")
    return "".join(texts), tuple(images)


def _is_pair(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2


def _short(value: Any) -> str:
    told = repr(value)
    return told if len(told) <= 40 else f"{told[:40]}…"


def as_text(messages: Iterable[Message]) -> str:
    """All that is said, for comparing rows.

    >>> as_text([Message("user", "hot?"), Message("assistant", "yes")])
    'hot?\\nyes'
    """
    return "\n".join(one.content for one in messages)
