"""Dialogues beside the chat template that will write them out for the model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from fewtune.check.finding import Finding, several, share, some
from fewtune.check.look import Look
from fewtune.data.dialogue import ROLES, Message
from fewtune.data.row import Row

#: Marks of templates, by family; in a text they end or begin a turn that nobody took.
MARKS = {
    "ChatML": ("<|im_start|>", "<|im_end|>"),
    "Llama 2": ("[INST]", "[/INST]", "<<SYS>>"),
    "Llama 3": ("<|start_header_id|>", "<|eot_id|>"),
    "Alpaca": ("### Instruction:", "### Response:", "### Input:"),
    "Vicuna": ("USER:", "ASSISTANT:"),
    "Zephyr": ("<|user|>", "<|assistant|>"),
    "GPT-2": ("<|endoftext|>",),
    "Gemma": ("<start_of_turn>", "<end_of_turn>"),
}
Hit = TypeVar("Hit")
_PROBE = "qzxj"  # letters that no template writes by itself


def special_tokens(look: Look) -> Iterator[Finding]:
    """Turns that hold a template's own marks."""
    every = [mark for marks in MARKS.values() for mark in marks]
    if look.model is not None:
        every += [token for token in look.tokenizer.all_special_tokens if len(token) > 2]
    marks = re.compile("|".join(map(re.escape, sorted(set(every), key=len, reverse=True))))
    hits = [(row, found) for row, _, found in _turns(look, marks.search)]
    if hits:
        seen = Counter(found[0] for _, found in hits)
        rows = tuple(dict.fromkeys(row.origin for row, _ in hits))
        yield Finding(
            "template-special-tokens",
            "warning",
            f"{share(len(rows), len(look.rows))} of the dialogues hold a template's own marks in "
            f"what is said: {some([mark for mark, _ in seen.most_common()])}.",
            "Take them out: the template writes them, and here they would end a turn early.",
            rows,
        )


def mixed(look: Look) -> Iterator[Finding]:
    """Answers that were written out by a template already, more than one kind of them."""
    families: dict[str, list[Row]] = {}
    for family, marks in MARKS.items():
        pattern = re.compile("|".join(map(re.escape, marks)))
        rows = list({row.origin: row for row, _, _ in _turns(look, pattern.search)}.values())
        if rows:
            families[family] = rows
    if len(families) > 1:
        told = ", ".join(f"{name} ({several(len(rows), 'row')})" for name, rows in families.items())
        every = [row.origin for rows in families.values() for row in rows]
        yield Finding(
            "template-mixed",
            "warning",
            f"the rows hold marks of {len(families)} templates: {told}.",
            "Give plain turns, and let one template write all of them.",
            tuple(dict.fromkeys(every)),
        )


def spaces(look: Look) -> Iterator[Finding]:
    """Answers that begin or end with blanks."""
    hits = [
        row.origin
        for row, turn, _ in _turns(look, lambda text: text != text.strip())
        if turn.role == "assistant"
    ]
    if hits:
        rows = tuple(dict.fromkeys(hits))
        yield Finding(
            "template-spaces",
            "warning",
            f"{share(len(rows), len(look.rows))} of the dialogues have an answer that begins or "
            "ends with blanks, and the model learns to write them.",
            "Strip the answers.",
            rows,
        )


def missing(look: Look) -> Iterator[Finding]:
    """A model without a chat template."""
    if not _dialogues(look) or look.tokenizer.chat_template:
        return
    yield Finding(
        "template-missing",
        "warning",
        f"{look.model.model if look.model else ''} has no chat template, so how turns are written "
        "out is not decided.",
        "Choose the chat or instruct version of the model, or give `fewtune train` a template: "
        "--chat-template plain or chatml.",
        count=len(_dialogues(look)),
    )


def role(look: Look) -> Iterator[Finding]:
    """Turns that the template leaves out or refuses."""
    if not _dialogues(look) or not look.tokenizer.chat_template:
        return
    for name in ROLES:
        rows = [row for row in _dialogues(look) if any(m.role == name for m in row["messages"])]
        if rows and not _written(look, name):
            yield Finding(
                "template-role",
                "error",
                f"the model's template does not write turns of {name}, which "
                f"{share(len(rows), len(look.rows))} of the dialogues have.",
                "Put what they say into a turn of user, or choose another model."
                if name in ("system", "tool")
                else "Choose another model.",
                tuple(row.origin for row in rows),
            )


def stop(look: Look) -> Iterator[Finding]:
    """A template that writes no mark after an answer: the model never learns to stop."""
    if not _dialogues(look) or not look.tokenizer.chat_template:
        return
    text = _rendered(look, [Message("user", "a"), Message("assistant", _PROBE)])
    if text is None:
        return
    after = text.rpartition(_PROBE)[2]
    special = look.tokenizer.all_special_tokens
    if not any(token in after for token in special):
        yield Finding(
            "template-stop",
            "error",
            "the model's template writes no end mark after an answer, so that stopping cannot be "
            "learned.",
            f"Add {look.tokenizer.eos_token!r} after the assistant's turn in the template.",
            count=len(_dialogues(look)),
        )


def _dialogues(look: Look) -> Sequence[Row]:
    return [row for _, row in look.rows if "messages" in row.fields]


def _turns(look: Look, hit: Callable[[str], Hit | None]) -> Iterator[tuple[Row, Message, Hit]]:
    """Every turn whose text the function finds something in."""
    for row in _dialogues(look):
        for turn in row["messages"]:
            if found := hit(turn.content):
                yield row, turn, found


def _written(look: Look, name: str) -> bool:
    """Whether the template writes what a turn of a role says."""
    usual = {
        "system": [Message("system", _PROBE), Message("user", "a"), Message("assistant", "b")],
        "user": [Message("user", _PROBE), Message("assistant", "b")],
        "assistant": [Message("user", "a"), Message("assistant", _PROBE)],
        "tool": [
            Message("user", "a"),
            Message("assistant", "b"),
            Message("tool", _PROBE, name="f"),
            Message("assistant", "c"),
        ],
    }
    text = _rendered(look, usual[name])
    return text is not None and _PROBE in text


def _rendered(look: Look, turns: Sequence[Message]) -> str | None:
    """The dialogue as the template writes it; None where it refuses."""
    from jinja2 import TemplateError

    said = [{"role": one.role, "content": one.content} for one in turns]
    try:
        return str(look.tokenizer.apply_chat_template(said, tokenize=False))
    except (TemplateError, ValueError, TypeError, KeyError):
        return None  # templates refuse roles by raising whatever they like
