"""Systems asked about the same rows: how likely they find the answers, and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from fewtune.data.dialogue import Message, as_text
from fewtune.data.row import Row
from fewtune.evaluate.answers import Answer, Likelihood, Sums, boiled
from fewtune.evaluate.units import Units
from fewtune.methods.voice import Reply, Voice
from fewtune.models.decoding import DecodingOptions
from fewtune.pipeline.parted import units_of_rows
from fewtune.tasks.generate import asked

if TYPE_CHECKING:
    from fewtune.models.batches import Marked


@dataclass
class Heard:
    """What one system said of the test rows.

    Attributes:
        likelihood: of every test row's answers; None where the system has none.
        replies: to the rows that are answered.
    """

    likelihood: Likelihood | None = None
    replies: Sequence[Reply] = ()
    seconds: float = 0.0


@dataclass
class Asked:
    """Rows as they are asked.

    Attributes:
        marked: rows as tokens, those with something to score.
        talks: those that are answered, with their questions and references.
        units: of `marked`: a long text is several, which are alike.
    """

    marked: Marked
    talks: Sequence[Row]
    questions: Sequence[tuple[Message, ...]] = field(default_factory=tuple)
    references: Sequence[str] = field(default_factory=tuple)
    decoding: DecodingOptions = field(default_factory=DecodingOptions)
    units: Units | None = None


def asked_rows(
    rows: Sequence[Row],
    marked: Marked,
    tokenizer: Any,
    decoding: DecodingOptions,
    most: int,
    seed: int,
) -> Asked:
    """Which rows are scored, which are answered, and how long an answer may be.

    Args:
        rows: as read.
        marked: the same as tokens.
        decoding: as asked for; answers end at twice the longest reference at the latest.
        most: rows that are answered; they are drawn by the seed.
    """
    marked = marked.take(np.flatnonzero(marked.learned)) if len(marked) else marked
    talks = [k for k in sorted(set(marked.rows)) if "messages" in rows[k].fields]
    if len(talks) > most:
        draw = np.random.Generator(np.random.PCG64(seed))
        talks = sorted(draw.choice(talks, most, replace=False).tolist())
    pairs = [asked(rows[k]) for k in talks]
    references = [reference for _, reference in pairs]
    longest = max((len(tokenizer(one)["input_ids"]) for one in references), default=0)
    limit = min(decoding.max_new_tokens, 2 * longest + 16)
    return Asked(
        marked,
        [rows[k] for k in talks],
        [question for question, _ in pairs],
        references,
        decoding.model_copy(update={"max_new_tokens": limit}),
        units_of_rows(rows, marked.rows),
    )


def hear(voice: Voice, test: Asked, seed: int) -> Heard:
    """How likely a model finds the rows, and what it answers."""
    begun = perf_counter()
    known = voice.losses(test.marked)
    replies: Sequence[Reply] = ()
    if test.talks:
        tools = [row.get("tools") for row in test.talks]
        replies = voice.answer(test.questions, test.decoding, seed, tools)
    return Heard(Likelihood(*known), replies, perf_counter() - begun)


def few_shot(voice: Voice, train: Sequence[Row], test: Asked, count: int, seed: int) -> Heard:
    """A model with the nearest training rows before each question.

    Raises:
        Unusable: the chat template takes no such dialogue, as it may where it takes a single turn.
    """
    begun = perf_counter()
    pool = [asked(row) for row in train if "messages" in row.fields]
    near = nearest_rows([as_text(q) for q, _ in pool], test.questions, count)
    questions = []
    for question, found in zip(test.questions, near, strict=True):
        head = question[:1] if question[0].role == "system" else ()
        shown: list[Message] = []
        for k in reversed(found):  # the nearest stands directly before the question
            turns, answer = pool[k]
            shown += [one for one in turns if one.role != "system"][-1:]
            shown.append(Message("assistant", answer))
        questions.append((*head, *shown, *question[len(head) :]))
    tools = [row.get("tools") for row in test.talks]
    replies = voice.answer(questions, test.decoding, seed, tools)
    return Heard(replies=replies, seconds=perf_counter() - begun)


def looked_up(train: Sequence[Row], test: Asked) -> list[Reply]:
    """The answer of the training row whose question is nearest: what looking up would give."""
    pool = [asked(row) for row in train if "messages" in row.fields]
    near = nearest_rows([as_text(question) for question, _ in pool], test.questions, 1)
    return [Reply(pool[found[0]][1], 0, True) for found in near]


def nearest_rows(
    known: Sequence[str], questions: Sequence[Sequence[Message]], count: int
) -> list[list[int]]:
    """For each question the nearest known texts by TF-IDF of character n-grams, nearest first."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True)
    index = vectors.fit_transform(known)
    cosine = (vectors.transform([as_text(one) for one in questions]) @ index.T).toarray()
    return np.argsort(-cosine, axis=1, kind="stable")[:, :count].tolist()


def sums_of(test: Asked, heard: Heard, own: Any = None) -> dict[str, Sums]:
    """What the metrics need of a system, by metric."""
    found: dict[str, Sums] = {}
    if heard.likelihood:
        found = boiled(likelihood=heard.likelihood, units=test.units)
    if heard.replies:
        answers = [
            Answer(reply.text, reference, reply.stopped, reply.tokens)
            for reply, reference in zip(heard.replies, test.references, strict=True)
        ]
        found |= boiled(answers, own=own, units=units_of_rows(test.talks))
    return found
