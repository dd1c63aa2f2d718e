"""Dialogues as the model will learn them: what the template and the room leave of them."""

from __future__ import annotations

from collections.abc import Iterator

from fewtune.check.finding import Finding, share
from fewtune.check.look import Look


def cut_answer(look: Look) -> Iterator[Finding]:
    """Answers that end where the room ends, so that stopping is not learned from them."""
    encoding = look.encoding
    rows = [k for k, cut in enumerate(encoding.cuts if encoding else ()) if cut == "answer"]
    if rows:
        yield Finding(
            "truncated-answer",
            "error",
            f"{share(len(rows), len(look.rows))} of the dialogues have an answer that does not fit "
            f"into {look.room:,} tokens; its end is cut, and the stop token with it.",
            "Shorten the answers, part them into several turns, or raise --max_length where the "
            "model allows it.",
            tuple(look.rows[k][1].origin for k in rows),
        )


def cut_prompt(look: Look) -> Iterator[Finding]:
    """Prompts that lose their oldest turns or their middle."""
    encoding = look.encoding
    cuts = encoding.cuts if encoding else ()
    rows = [k for k, cut in enumerate(cuts) if cut in ("turns", "prompt")]
    if rows:
        turns = sum(cuts[k] == "turns" for k in rows)
        yield Finding(
            "truncated-prompt",
            "warning",
            f"{share(len(rows), len(look.rows))} of the dialogues do not fit into "
            f"{look.room:,} tokens: {turns:,} lose their oldest turns, {len(rows) - turns:,} the "
            "middle of the prompt; the answers stay whole.",
            "Shorten what is asked, or raise --max_length where the model allows it.",
            tuple(look.rows[k][1].origin for k in rows),
        )


def untrained(look: Look) -> Iterator[Finding]:
    """Dialogues of which no token is learned."""
    encoding = look.encoding
    rows = encoding.unlearned if encoding else []
    if rows:
        yield Finding(
            "template-untrained",
            "error",
            f"of {share(len(rows), len(look.rows))} of the dialogues no token is learned: their "
            "answers have weight 0, or the template leaves them out.",
            "Give at least one answer a weight above 0, or leave the rows out.",
            tuple(look.rows[k][1].origin for k in rows),
        )


def refused(look: Look) -> Iterator[Finding]:
    """Dialogues that the template cannot write out."""
    encoding = look.encoding
    if encoding and encoding.refused:
        first = next(iter(encoding.refused.values()))
        yield Finding(
            "template-refused",
            "error",
            f"{share(len(encoding.refused), len(look.rows))} of the dialogues cannot be written "
            f"out by the model's chat template; the first: {first}.",
            "Mend the rows, or choose another template (--chat-template plain).",
            tuple(look.rows[k][1].origin for k in encoding.refused),
        )
