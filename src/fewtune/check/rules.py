"""The registry of rules. A new one costs a function and an entry here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from fewtune.check import (
    balance,
    duplicates,
    images,
    leakage,
    learned,
    lengths,
    noise,
    private,
    reading,
    shift,
    spelling,
    template,
)
from fewtune.check.finding import Finding, Severity
from fewtune.check.look import Look
from fewtune.tasks.classify import Classify

Needs = Literal["rows", "tokenizer", "features"]
Kind = Literal["rows", "text", "plain text", "label", "dialogue", "image"]
Check = Callable[[Look], Iterable[Finding]]


@dataclass(frozen=True)
class Rule:
    """A thing that goes wrong with training data.

    Attributes:
        code: stable; the part before the first hyphen is its family.
        severity: the worst it tells.
        title: what is wrong, half a sentence.
        why: why it matters.
        look: finds it.
        needs: `rows` alone, a model's `tokenizer`, or its `features` too.
        speaks_of: `rows` of any kind, `text`, `plain text` (no dialogue), rows with one `label`
            each, `dialogue`, or rows with an `image`.
    """

    code: str
    severity: Severity
    title: str
    why: str
    look: Check
    needs: Needs = "rows"
    speaks_of: Kind = "rows"

    def applies(self, look: Look) -> bool:
        """Whether the rows are of the kind that the rule speaks of."""
        if self.speaks_of == "dialogue":
            return look.shape.written
        if self.speaks_of == "image":
            return bool(look.images) or look.shape.task == "image"
        if self.speaks_of == "plain text":
            return not (look.shape.written or look.shape.pictured)
        if self.speaks_of == "label":
            return look.shape.task == Classify.name
        return self.speaks_of == "rows" or not look.shape.pictured

    @property
    def family(self) -> str:
        """`duplicate` of `duplicate-near`."""
        return self.code.partition("-")[0]


def _reading(
    code: str,
    title: str,
    why: str,
    severity: Severity = "warning",
    speaks_of: Kind = "rows",
) -> Rule:
    return Rule(code, severity, title, why, reading.told(code), speaks_of=speaks_of)


_PRIVATE_WHY = (
    "Small models repeat rare strings of their training rows word by word. What nobody outside may "
    "see should not be learned; masked, the sentence teaches the same."
)

RULES: tuple[Rule, ...] = (
    _reading(
        "format-encoding",
        "bytes that the file's encoding does not have",
        "The row was written by another program than the rest, or cut in the middle of a letter. "
        "Guessing would put wrong letters into the text.",
    ),
    _reading(
        "format-ragged",
        "more or fewer cells than the header",
        "A delimiter or line break inside a cell shifts everything after it, and a label would be "
        "read from the middle of a text.",
    ),
    _reading(
        "format-quotes",
        "quotes that are not closed",
        "Everything up to the next quote would become one cell, and many rows one row.",
    ),
    _reading(
        "format-header",
        "the header once more among the rows",
        "Joined files keep each one's header; learned as a row it makes a class of its own.",
    ),
    _reading(
        "format-json",
        "a line that is no JSON object",
        "A broken line says nothing; the others are read.",
    ),
    _reading(
        "format-type",
        "a list or an object where one value is expected",
        "Written out as text, brackets and quotes would be learned.",
    ),
    _reading("empty-text", "no text", "Nothing can be learned from an empty text."),
    Rule(
        "empty-label",
        "warning",
        "no label, or a word for none (nan, N/A, 无)",
        "A row without a label cannot teach; it can serve --unlabelled, or be labelled. A word for "
        "nothing, which programs write into empty cells, would be learned as a class.",
        reading.no_label,
    ),
    _reading(
        "empty-turn",
        "a dialogue without turns, or with an empty answer",
        "A model would learn to answer with nothing.",
        speaks_of="dialogue",
    ),
    _reading(
        "format-role",
        "a turn of a role that is not known",
        "Whether a turn is asked or learned depends on who speaks. Guessing would train the model "
        "to write questions.",
        speaks_of="dialogue",
    ),
    _reading(
        "format-turns",
        "turns in an order that cannot be learned",
        "Templates write a system message first, and then questions and answers by turns; without "
        "an answer there is nothing to learn.",
        speaks_of="dialogue",
    ),
    _reading(
        "format-spaces",
        "blanks round a label",
        "A label with a blank at its end is another label; the blank is left out while reading.",
        "note",
    ),
    _reading(
        "format-control",
        "control characters",
        "Nobody sees them, and a tokenizer makes tokens of them; they are left out while reading.",
        "note",
    ),
    Rule(
        "format-image",
        "error",
        "an image that is not there, is none, or was cut",
        "Such a row would stop training in its middle. Missing files are mostly paths that moved; "
        "a file that ends early is grey from there on.",
        images.broken,
        speaks_of="image",
    ),
    Rule(
        "format-image-size",
        "note",
        "images unlike the others in size, shape or colour",
        "All are brought to one size before a model sees them. What came from another camera is "
        "told by its blur or its colours, not by what it shows.",
        images.unlike,
        speaks_of="image",
    ),
    Rule(
        "truncated-characters",
        "warning",
        "a text longer than --max_characters",
        "A text of a megabyte is rarely one example; it is cut so that it cannot stop the rest.",
        reading.cut,
    ),
    Rule(
        "duplicate-exact",
        "warning",
        "the same text (or image) and label twice",
        "A repeated row counts twice in the loss, and on both sides of a split it inflates scores.",
        duplicates.exact,
    ),
    Rule(
        "duplicate-normal",
        "warning",
        "the same text but for case, width, punctuation or blanks",
        "To a model these are the same row; to a split they are not, unless somebody looks.",
        duplicates.normal,
        speaks_of="text",
    ),
    Rule(
        "duplicate-near",
        "note",
        "texts that share almost all their letters",
        "Forms filled in with other numbers look like many rows and teach like one. fewtune keeps "
        "equal texts on one side of its splits; near ones are for you to judge.",
        duplicates.near,
        speaks_of="text",
    ),
    Rule(
        "label-conflict",
        "error",
        "one text (or image) with different labels",
        "At best one of them can be right on new rows, and the other teaches the opposite. Scores "
        "have a ceiling below 100 % for a reason nobody sees.",
        duplicates.conflict,
    ),
    Rule(
        "label-typo",
        "error",
        "labels that look like one label misspelt",
        "A misspelt label is a class of its own: its rows are missing from the right class, and "
        "count as errors there.",
        spelling.typo,
    ),
    Rule(
        "leak-exact",
        "error",
        "the same text (or image) in training and test",
        "The model has seen the answer. The score rises by what it remembers, and falls again in "
        "use.",
        leakage.exact,
    ),
    Rule(
        "leak-near",
        "warning",
        "nearly the same text in training and test",
        "Two reports of one event differ by a word. A model that learned one answers the other "
        "from memory.",
        leakage.near,
        speaks_of="text",
    ),
    Rule(
        "leak-group",
        "error",
        "one machine, person or document on both sides (--group)",
        "What is special to a group is learned and then tested; on a new group it does not help.",
        leakage.group,
    ),
    Rule(
        "leak-label-in-text",
        "warning",
        "texts that contain their own label",
        "A search for the word would do; and where new texts lack it, the model has learned "
        "nothing else.",
        leakage.label_in_text,
        speaks_of="label",
    ),
    Rule(
        "balance-unique",
        "error",
        "a label of its own for almost every row",
        "Numbers of cases, dates and whole sentences make no classes: there is no second row to "
        "learn them from, or to test them on.",
        balance.unique,
    ),
    Rule(
        "balance-single",
        "warning",
        "a class of one row",
        "It cannot be both learned and tested, so no score says anything about it.",
        balance.single,
    ),
    Rule(
        "balance-few",
        "note",
        "a class with few rows",
        "With five folds a class needs a handful of rows to be in each; below that its scores are "
        "chance.",
        balance.few,
    ),
    Rule(
        "balance-ratio",
        "note",
        "one class many times larger than another",
        "Always answering the large class already looks good in accuracy.",
        balance.ratio,
    ),
    Rule(
        "balance-unseen",
        "error",
        "labels in validation or test rows that training lacks",
        "A model cannot answer a class it never saw; each such row is a certain error.",
        balance.unseen,
    ),
    Rule(
        "length-outlier",
        "note",
        "texts many times longer than the usual",
        "Joined rows and pasted mails hide several cases under one label.",
        lengths.outlier,
        speaks_of="text",
    ),
    *(
        Rule(
            secret.code,
            secret.severity,  # type: ignore[arg-type]
            f"texts that hold {'an' if secret.what[0] in 'aei' else 'a'} {secret.what}",
            _PRIVATE_WHY,
            private.rule_of(secret),
            speaks_of="text",
        )
        for secret in private.SECRETS
    ),
    Rule(
        "truncated-text",
        "warning",
        "texts with more tokens than the model reads",
        "What stands after the limit is not read, in training and in use. Reports often end with "
        "what was found.",
        lengths.truncated,
        "tokenizer",
        speaks_of="plain text",
    ),
    Rule(
        "unknown-tokens",
        "error",
        "texts that the tokenizer does not know",
        "Unknown letters all become one token. A Chinese text on an English tokenizer is a row of "
        "question marks to the model.",
        lengths.unknown,
        "tokenizer",
        speaks_of="text",
    ),
    Rule(
        "template-special-tokens",
        "warning",
        "a chat template's own marks inside what is said",
        "The template writes these marks between turns. In a text they end the turn early, and a "
        "user who can type them can speak as the assistant.",
        template.special_tokens,
        speaks_of="dialogue",
    ),
    Rule(
        "template-mixed",
        "warning",
        "rows written out by different templates",
        "A model learns the marks it sees; of two kinds it learns to mix them.",
        template.mixed,
        speaks_of="dialogue",
    ),
    Rule(
        "template-spaces",
        "warning",
        "answers that begin or end with blanks",
        "The first token of an answer changes with a blank before it, and a blank at the end "
        "stands where the model should learn to stop.",
        template.spaces,
        speaks_of="dialogue",
    ),
    Rule(
        "template-missing",
        "warning",
        "a model without a chat template",
        "Turns must be written out in some way, in training and in use the same. A base model does "
        "not say which.",
        template.missing,
        "tokenizer",
        speaks_of="dialogue",
    ),
    Rule(
        "template-role",
        "error",
        "turns that the model's template leaves out or refuses",
        "Several templates drop a system message without a word. The model then learns answers to "
        "questions it was not shown.",
        template.role,
        "tokenizer",
        speaks_of="dialogue",
    ),
    Rule(
        "template-stop",
        "error",
        "a template without an end mark after answers",
        "What is not trained is not learned: such a model talks on until it is cut off.",
        template.stop,
        "tokenizer",
        speaks_of="dialogue",
    ),
    Rule(
        "template-refused",
        "error",
        "dialogues that the chat template cannot write out",
        "Such a row cannot be learned; training sets it aside.",
        learned.refused,
        "tokenizer",
        speaks_of="dialogue",
    ),
    Rule(
        "template-untrained",
        "error",
        "dialogues of which no token is learned",
        "They cost time and teach nothing; often the weights or the roles are not what was meant.",
        learned.untrained,
        "tokenizer",
        speaks_of="dialogue",
    ),
    Rule(
        "truncated-answer",
        "error",
        "answers that are cut at their end",
        "The stop token is cut with it: from such rows a model learns to talk on.",
        learned.cut_answer,
        "tokenizer",
        speaks_of="dialogue",
    ),
    Rule(
        "truncated-prompt",
        "warning",
        "dialogues whose beginning or middle is left out",
        "The answer may rest on what the model was not shown.",
        learned.cut_prompt,
        "tokenizer",
        speaks_of="dialogue",
    ),
    Rule(
        "label-noise",
        "note",
        "labels that all other rows contradict",
        "One wrong label of ten costs more than a method gains. The list is where to look first, "
        "not a verdict.",
        noise.noise,
        "features",
        speaks_of="label",
    ),
    Rule(
        "shift-train-test",
        "warning",
        "training and test rows that can be told apart",
        "Then the test says how the model does on other data than it learned from, which may be "
        "what you want to know or a mistake in the split.",
        shift.train_test,
        "features",
        speaks_of="text",
    ),
    Rule(
        "shift-source",
        "note",
        "a source whose rows differ from the others' (--source)",
        "A model tested on the sources it learned from promises too much for a new one.",
        shift.by_source,
        "features",
        speaks_of="text",
    ),
)


def families() -> list[str]:
    """The families in the registry's order."""
    return list(dict.fromkeys(rule.family for rule in RULES))
