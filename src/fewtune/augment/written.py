"""Texts that a model writes: a row in other words, and a new row of a class."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from random import Random
from typing import ClassVar

from fewtune.augment.base import Context, Recipe
from fewtune.augment.faithful import faithful
from fewtune.base.errors import UsageError
from fewtune.data.near import is_chinese
from fewtune.data.row import Row

EXAMPLES = 5  # of the class, shown for a new one

PARAPHRASE = """\
Say this text in other words. Keep its meaning, its language and its tone, and every number, code \
and name as it is. Answer with the new text alone, on one line.

Text: {text}
In other words:"""
PARAPHRASE_CHINESE = """\
请把下面的文本换一种说法。意思和语气不变，数字、代码和名称原样保留。只输出改写后的文本，写成一行。

原文：{text}
改写："""
INVENT = """\
Texts of the class "{label}":
{examples}

Write one more text of this class, in the same language and manner, about another case. Answer \
with the new text alone, on one line.

New text:"""
INVENT_CHINESE = """\
类别“{label}”的文本：
{examples}

请再写一条属于这一类的文本，语言和风格相同，内容不同。只输出新文本，写成一行。

新文本："""

_NUMBERING = re.compile(r"^(?:\(?\d{1,2}[.)]\s+|\d{1,2}、\s*|[-*•]\s+)")
_PREFIX = re.compile(
    r"^(?:(?:the )?(?:paraphrased?|rewritten|rephrased|new)(?: (?:text|sentence|example|version))?|"
    r"in other words|改写(?:后的文本|后|结果)?|换一种说法|新文本|新的文本)\s*[:：]\s*",
    re.IGNORECASE,
)
_QUOTES = ('""', "''", "“”", "‘’", "「」", "『』", "«»", "``", "****")


class Paraphrase(Recipe):
    """Each text is said in other words; one that loses a number, code or protected word stays."""

    name: ClassVar[str] = "paraphrase"
    scene: ClassVar[str] = "texts in other words, written by a model"
    needs: ClassVar[tuple[str, ...]] = ("writer",)

    def text(self, text: str, draw: Random, context: Context) -> str:
        """The text in other words."""
        return self.texts([text], draw, context)[0]

    def texts(self, texts: Sequence[str], draw: Random, context: Context) -> list[str]:
        """All texts in other words; one without letters is not asked about."""
        asked = [text for text in texts if context.cut(text).free]
        prompts = [_in_prompt(text, PARAPHRASE, PARAPHRASE_CHINESE) for text in asked]
        found = dict(zip(asked, _answers(prompts, draw, context), strict=True))
        return [faithful(found.get(text, ""), text, context) for text in texts]


class Invent(Recipe):
    """A new text of the parent's class, from some others of it; rows without one label stay."""

    name: ClassVar[str] = "invent"
    scene: ClassVar[str] = "new texts of a class, written by a model"
    needs: ClassVar[tuple[str, ...]] = ("writer",)

    def text(self, text: str, draw: Random, context: Context) -> str:
        """The same one: a text alone has no class."""
        return text

    def rows(self, rows: Sequence[Row], draw: Random, context: Context) -> Iterator[Row]:
        """A new row for each."""
        classes: dict[str, list[Row]] = defaultdict(list)
        for row in filter(_has_class, rows):
            classes[row["label"]].append(row)
        prompts = [_for_class(row, classes[row["label"]], draw) for row in filter(_has_class, rows)]
        new = iter(_answers(prompts, draw, context))
        for row in rows:
            text = next(new) if _has_class(row) else ""
            yield Row(row.origin, {**row.fields, "text": text} if text else row.fields, self.name)


def clean(answer: str) -> str:
    """The text in an answer: its first line, without what models put round it.

    >>> clean('1. Paraphrase: "The pump is hot."\\n2. It runs hot.'), clean("改写：“水泵过热”")
    ('The pump is hot.', '水泵过热')
    """
    lines = [line.strip() for line in answer.splitlines() if line.strip()]
    # `Here is a paraphrase:` announces the line behind it
    text = next((line for line in lines if line[-1] not in ":："), "")
    bare = None
    while text != bare:
        bare = text
        text = _unquoted(_PREFIX.sub("", _NUMBERING.sub("", text, count=1), count=1)).strip()
    return text


def _unquoted(text: str) -> str:
    """Without marks round all of it; in `"on" and "off"` the first one belongs to a word."""
    for marks in _QUOTES:
        begin, end = marks[: len(marks) // 2], marks[len(marks) // 2 :]
        inner = text.removeprefix(begin).removesuffix(end)
        if f"{begin}{inner}{end}" == text and begin not in inner and end not in inner:
            return inner
    return text


def _answers(prompts: Sequence[str], draw: Random, context: Context) -> list[str]:
    """Clean answers, empty where there is none."""
    if context.writer is None:
        raise UsageError("augment: paraphrase and invent need a model that writes; none is given.")
    seed = draw.randrange(2**31)
    return [clean(answer or "") for answer in context.writer(prompts, seed)]


def _in_prompt(text: str, english: str, chinese: str) -> str:
    return (chinese if is_chinese(text) else english).format(text=" ".join(text.split()))


def _for_class(row: Row, members: Sequence[Row], draw: Random) -> str:
    """The prompt for a new row: other examples of the class, or the row where it stands alone."""
    drawn = draw.sample(members, min(EXAMPLES + 1, len(members)))
    shown = [one for one in drawn if one is not row][:EXAMPLES] or [row]
    examples = "\n".join(f"- {' '.join(one['text'].split())}" for one in shown)
    prompt = INVENT_CHINESE if is_chinese(row["text"]) else INVENT
    return prompt.format(label=row["label"], examples=examples)


def _has_class(row: Row) -> bool:
    return "text" in row.fields and isinstance(row.get("label"), str)
