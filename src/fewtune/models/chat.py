"""Dialogues written out by a chat template, in pieces that are learned and pieces that are not.

The template is the tokenizer's own; a base model without one gets a built-in one, which is saved
with the model, so that every program writes dialogues out alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fewtune.base.errors import FewtuneError, UsageError, one_of
from fewtune.data.dialogue import Message
from fewtune.data.ledger import Unusable

OWN = "own"
_BEGIN = "{{ bos_token if bos_token and add_bos }}"
_CHATML = """{%- set add_bos = ADD_BOS -%}BEGIN
{%- for message in messages -%}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] }}
{%- if message['role'] == 'assistant' -%}{{ STOP }}{%- else -%}{{ '<|im_end|>' }}{%- endif -%}
{{ '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"""
_PLAIN = """{%- set add_bos = ADD_BOS -%}BEGIN
{%- for message in messages -%}
{%- if message['role'] == 'assistant' -%}
{{ 'Assistant:\\n' + message['content'] + eos_token + '\\n\\n' }}
{%- elif message['role'] == 'user' -%}{{ 'User:\\n' + message['content'] + '\\n\\n' }}
{%- elif message['role'] == 'tool' -%}{{ 'Tool:\\n' + message['content'] + '\\n\\n' }}
{%- else -%}{{ message['content'] + '\\n\\n' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ 'Assistant:\\n' }}{%- endif -%}"""
_BARE = """{%- set add_bos = ADD_BOS -%}BEGIN
{%- for message in messages -%}
{{ message['content'] }}
{%- if message['role'] == 'assistant' -%}{{ eos_token }}{%- endif -%}{{ '\\n' }}
{%- endfor -%}"""
#: `plain` names the speakers in words, `chatml` by marks, `bare` not at all.
TEMPLATES = {"plain": _PLAIN, "chatml": _CHATML, "bare": _BARE}


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a dialogue as the template writes it.

    Attributes:
        text: as written.
        weight: how much its tokens count in training; 0 for what is only read.
    """

    text: str
    weight: float


def set_template(tokenizer: Any, asked: str | None) -> str:
    """Give a tokenizer the template that will write dialogues out.

    Args:
        asked: a key of TEMPLATES, or None for the tokenizer's own, else `plain`.

    Returns:
        `own`, or a key of TEMPLATES.

    Raises:
        UsageError: there is no template of that name.
        FewtuneError: the tokenizer has no end token, so no answer could end.
    """
    if asked is not None and asked not in TEMPLATES:
        raise UsageError(one_of("chat_template", asked, TEMPLATES))
    if asked is None and tokenizer.chat_template:
        return OWN
    if tokenizer.eos_token is None:
        raise FewtuneError(
            "the model's tokenizer has no end token, so no answer could be learned to end; name "
            "one as eos_token in its tokenizer_config.json."
        )
    name = asked or "plain"
    ids = tokenizer("a")["input_ids"]
    begins = tokenizer.bos_token_id is not None and ids[:1] == [tokenizer.bos_token_id]
    knows_end = tokenizer.convert_tokens_to_ids("<|im_end|>") not in (None, tokenizer.unk_token_id)
    stop = "'<|im_end|>'" if knows_end else "eos_token"
    text = TEMPLATES[name].replace("BEGIN", _BEGIN).replace("STOP", stop)
    tokenizer.chat_template = text.replace("ADD_BOS", str(begins).lower())
    return name


def rendered(
    tokenizer: Any, turns: Sequence[Message], tools: Any = None, to_answer: bool = False
) -> str:
    """A dialogue as the template writes it.

    Args:
        turns: at least one.
        tools: what the assistant may call, as the file has it.
        to_answer: also write what an answer begins with.

    Raises:
        Unusable: the template refuses it.
    """
    from jinja2 import TemplateError

    try:
        return str(
            tokenizer.apply_chat_template(
                [_plain(turn) for turn in turns],
                tools=_parsed("tools", tools),
                tokenize=False,
                add_generation_prompt=to_answer,
            )
        )
    # templates refuse what they do not know by raising whatever they like
    except (TemplateError, ValueError, TypeError, KeyError, IndexError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise Unusable("template-role", f"the chat template refuses it: {why[:120]}") from error


def pieces(
    tokenizer: Any, turns: Sequence[Message], tools: Any = None, last_only: bool = False
) -> list[Piece]:
    """What a dialogue is learned from: answers with their stop token, and what stands between.

    Args:
        last_only: only the last answer is learned.

    Raises:
        Unusable: the template refuses the dialogue, or leaves an answer or a call out.
    """
    whole = rendered(tokenizer, turns, tools)
    answers = [k for k, turn in enumerate(turns) if turn.role == "assistant"]
    found: list[Piece] = []
    done = 0
    for k in answers:
        start, end = _span(tokenizer, turns, k, tools, whole, done)
        learned = not last_only or k == answers[-1]
        weight = 1.0 if turns[k].weight is None else float(turns[k].weight or 0.0)
        found.append(Piece(whole[done:start], 0.0))
        found.append(Piece(whole[start:end], weight if learned else 0.0))
        done = end
    found.append(Piece(whole[done:], 0.0))
    return [piece for piece in found if piece.text]


def stop_ids(tokenizer: Any, also: Iterable[int] = ()) -> list[int]:
    """Tokens at which an answer ends: the end token, and what the template writes after one."""
    found = {one for one in (tokenizer.eos_token_id, *also) if one is not None}
    turns = [Message("user", "a"), Message("assistant", "b")]
    try:
        answer = pieces(tokenizer, turns)[1].text
    except (Unusable, IndexError):
        return sorted(found)
    last = tokenizer(answer, add_special_tokens=False)["input_ids"][-1:]
    return sorted(found.union(one for one in last if one in tokenizer.all_special_ids))


def _span(
    tokenizer: Any, turns: Sequence[Message], k: int, tools: Any, whole: str, done: int
) -> tuple[int, int]:
    """Where the answer of turn `k` stands in the whole text, its stop token included."""
    before = rendered(tokenizer, turns[:k], tools, to_answer=True) if k else ""
    after = rendered(tokenizer, turns[: k + 1], tools)
    content = turns[k].content.strip()
    if k and len(before) >= done and whole.startswith(before):
        start = len(before)
    else:  # the template writes a finished answer otherwise than one that is asked for
        start = whole.find(content, done) if content else -1
    if start < 0 or content not in whole[start:]:
        raise Unusable("template-turn", f"the chat template does not write turn {k + 1} as it is")
    if whole.startswith(after):
        end = max(start, _without_tail(whole, start, len(after), tokenizer))
    else:
        end = whole.find(content, start) + len(content)
        marks = (one for one in tokenizer.all_special_tokens if whole.startswith(one, end))
        end += len(next(marks, ""))
    beside = whole[start:end].replace(content, "", 1)
    for name in _called(turns[k]):
        if name not in beside:  # it would be learned that the answer is to call nothing
            where = f"turn {k + 1} calls `{name}`, which the chat template does not write"
            raise Unusable("template-turn", f"{where}; use one that knows tools")
    return start, end


def _called(turn: Message) -> list[str]:
    """Names of the tools that a turn calls, as far as it tells them."""
    inside = [one.get("function", one) for one in _calls(turn) if isinstance(one, Mapping)]
    names = [one.get("name") for one in inside if isinstance(one, Mapping)]
    return [one for one in names if isinstance(one, str)]


def _without_tail(whole: str, start: int, end: int, tokenizer: Any) -> int:
    """The end without the line break behind the stop token, which nobody has to say."""
    said = whole[start:end].rstrip()
    if any(said.endswith(token) for token in tokenizer.all_special_tokens):
        return start + len(said)
    return end


def _parsed(name: str, value: Any) -> Any:
    """Tools and calls as templates know them: lists of objects; files often hold a text of JSON.

    Args:
        name: of the field.

    Raises:
        Unusable: the text is no JSON.
    """
    if not isinstance(value, str):
        return value or None
    try:
        return (json.loads(value) if value.strip() else None) or None
    except json.JSONDecodeError as error:
        raise Unusable("format-type", f"{name} is no JSON (at letter {error.pos})") from error


def _plain(turn: Message) -> Mapping[str, Any]:
    """A turn as templates know it."""
    told: dict[str, Any] = {"role": turn.role, "content": turn.content}
    if turn.name:
        told["name"] = turn.name
    if calls := _calls(turn):
        told["tool_calls"] = calls
    return told


def _calls(turn: Message) -> list[Any]:
    """What a turn calls beside what it says; ShareGPT's turns of calls say them."""
    if turn.tool_calls == turn.content:
        return []
    found = _parsed("tool_calls", turn.tool_calls) or []
    return list(found) if isinstance(found, list | tuple) else [found]
