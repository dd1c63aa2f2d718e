"""A prompt: an instruction, demonstrations, a question; and what an answer to it says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fewtune.data.dialogue import Message
from fewtune.data.row import Row
from fewtune.evaluate.overlap import mostly_chinese
from fewtune.evaluate.texts import folded, plain_answer
from fewtune.tasks.generate import asked

How = Literal["none", "nearest", "diverse"]


@dataclass(frozen=True)
class Wording:
    """The words around what the rows say, in one language.

    Attributes:
        labels, text, label: heads of the list of labels, of a text and of its label.
        question, answer: heads of a question and of its answer.
        classify, generate: the instruction where nobody gives one.
        propose: what a model is asked that is to write one.
        instruction: where that is to stand.
    """

    labels: str
    text: str
    label: str
    question: str
    answer: str
    classify: str
    generate: str
    propose: str
    instruction: str


ENGLISH = Wording(
    labels="Labels:",
    text="Text: ",
    label="Label: ",
    question="Question: ",
    answer="Answer: ",
    classify="Which of the labels fits the text? Answer with the label alone.",
    generate="Answer the question.",
    propose="Below are examples of a task. Write an instruction of one to three sentences from "
    "which somebody who sees no examples can do the task as they do. Answer with the instruction "
    "alone, on one line.",
    instruction="Instruction: ",
)
CHINESE = Wording(
    labels="标签：",
    text="文本：",
    label="答案：",
    question="问题：",
    answer="回答：",
    classify="下面的文本属于哪个标签？只回答标签。",
    generate="请回答问题。",
    propose="下面是一项任务的几个例子。请写一条指令，一到三句话，让没有看过例子的人也能照样完成任务。"
    "只回答指令本身，写成一行。",
    instruction="指令：",
)


@dataclass(frozen=True)
class Example:
    """A training row as a prompt shows it."""

    asked: str
    answer: str


@dataclass(frozen=True)
class Prompt:
    """What is put around a question.

    Attributes:
        instruction: what the model is told to do.
        how: which demonstrations are shown: `none`, those `nearest` to the question, or the same
            `diverse` ones to every question.
        shown: how many.
        labels: those to choose among; none where the answer is a text.
        chinese: the language of the words around.
    """

    instruction: str
    how: How = "none"
    shown: int = 0
    labels: tuple[str, ...] = ()
    chinese: bool = False

    @property
    def name(self) -> str:
        """How it is called in a table."""
        plural = "s" if self.shown != 1 else ""
        told = f"{self.shown} {self.how} demonstration{plural}" if self.shown else "none shown"
        line = " ".join(self.instruction.split())
        return f"{told}: {line if len(line) <= 60 else line[:59] + '…'}"

    @property
    def wording(self) -> Wording:
        """The words around."""
        return CHINESE if self.chinese else ENGLISH

    def write(self, question: str, demonstrations: Sequence[Example] = ()) -> str:
        """The text that is sent.

        >>> print(Prompt("Which?", labels=("hot", "cold")).write("ice", [Example("fire", "hot")]))
        Which?
        <BLANKLINE>
        Labels:
        - hot
        - cold
        <BLANKLINE>
        Text: fire
        Label: hot
        <BLANKLINE>
        Text: ice
        Label:
        """
        pairs = [(one.asked, one.answer) for one in demonstrations]
        return "\n\n".join([*self._head(), *self._pairs([*pairs, (question, "")])])

    def propose(self, demonstrations: Sequence[Example]) -> str:
        """The text that asks a model for an instruction."""
        words = self.wording
        pairs = [(one.asked, one.answer) for one in demonstrations]
        return "\n\n".join(
            [words.propose, *self._choices(), *self._pairs(pairs), words.instruction.strip()]
        )

    def read(self, answer: str | None) -> str | None:
        """What an answer says: a label, or the text; None where it says nothing that counts."""
        if not answer:
            return None
        return label_in(answer, self.labels) if self.labels else answer

    def _head(self) -> list[str]:
        return [one for one in (self.instruction, *self._choices()) if one]

    def _choices(self) -> list[str]:
        if not self.labels:
            return []
        return ["\n".join([self.wording.labels, *(f"- {label}" for label in self.labels)])]

    def _pairs(self, pairs: Sequence[tuple[str, str]]) -> list[str]:
        words = self.wording
        heads = (words.text, words.label) if self.labels else (words.question, words.answer)
        return [f"{heads[0]}{asked}\n{heads[1]}{answer}".rstrip() for asked, answer in pairs]


def first_prompt(labels: Sequence[str], examples: Sequence[Example]) -> Prompt:
    """The prompt of somebody who knows nothing of the task, in the rows' language."""
    chinese = mostly_chinese([one.asked for one in examples])
    words = CHINESE if chinese else ENGLISH
    return Prompt(words.classify if labels else words.generate, "none", 0, tuple(labels), chinese)


def label_in(answer: str, labels: Sequence[str]) -> str | None:
    """The label that an answer names, or None.

    It is the whole answer or its first line, as a reader compares; else the only label that occurs
    in it. A label inside a longer one does not occur; nor does one inside a longer Latin word.

    >>> labels = ["spam", "not spam", "好评"]
    >>> [label_in(one, labels) for one in ("Spam.", "it is not spam!", "spammer", "属于好评类")]
    ['spam', 'not spam', None, '好评']
    """
    said = answer.strip()
    if said in labels:
        return said
    known: dict[str, list[str]] = {}
    for label in labels:
        known.setdefault(plain_answer(label), []).append(label)
    for part in (said, said.partition("\n")[0]):
        if len(found := known.get(plain_answer(part), [])) == 1:
            return found[0]
    longest = sorted(filter(None, known), key=len, reverse=True)
    either = "|".join(map(re.escape, longest))
    line = " ".join(folded(said).split())
    occurs = {*re.findall(f"(?<![a-z0-9])(?:{either})(?![a-z0-9])", line)} if either else set()
    named = known[occurs.pop()] if len(occurs) == 1 else []
    return named[0] if len(named) == 1 else None


def example_of(row: Row) -> Example:
    """A row with `text` and `label`, or with `messages`, as a prompt shows it."""
    if "messages" in row.fields:
        question, answer = asked(row)
        return Example(question_of(question), answer)
    return Example(row["text"], row["label"])


def question_of(turns: Sequence[Message]) -> str:
    """What a dialogue asks, as one text: who says what, where more than one has spoken.

    >>> question_of([Message("user", "hot?")])
    'hot?'
    >>> print(question_of([Message("assistant", "hot?"), Message("user", "yes")]))
    assistant: hot?
    user: yes
    """
    said = [one for one in turns if one.role != "system"]
    told = [one.content for one in turns if one.role == "system"]
    if len(said) == 1:
        return "\n".join([*told, said[0].content])
    return "\n".join([*told, *(f"{one.role}: {one.content}" for one in said)])


def as_json(prompt: Prompt) -> dict[str, Any]:
    """All but the labels, which the artefact has already."""
    return {
        "instruction": prompt.instruction,
        "how": prompt.how,
        "shown": prompt.shown,
        "chinese": prompt.chinese,
    }
