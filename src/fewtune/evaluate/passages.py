"""General texts to measure forgetting by: what a model read well before training, it still should.

Sixty passages and twelve prompts in English and as many in Chinese. They were written for fewtune,
by a language model and by no template, and copied from nowhere; each has its own subject, from the
kitchen to the courts, and none is about a user's task. Many subjects stand in both languages,
retold. They are measured with and never trained on.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Literal

from fewtune.base.errors import UsageError

Language = Literal["en", "zh", "both"]
_FILES = {"en": ("en",), "zh": ("zh",), "both": ("en", "zh")}


def passages(language: Language = "both") -> list[str]:
    """Prose on many subjects.

    Args:
        language: `en` for 60 to 120 words each, `zh` for 100 to 200 characters each, or `both`.

    Returns:
        The texts, in the files' order; English first.

    Raises:
        UsageError: there is no such language.

    >>> len(passages("en")), len(passages("both"))
    (60, 120)
    """
    return [text for name in _names(language) for text in _texts(f"{name}.jsonl")]


def prompts(language: Language = "both") -> list[str]:
    """Short everyday requests, for looking at answers before and after.

    Arguments and errors as in `passages`.

    >>> prompts("en")[0]
    'Name three animals that sleep through the winter.'
    """
    return [text for name in _names(language) for text in _texts(f"{name}_prompts.jsonl")]


def _names(language: str) -> tuple[str, ...]:
    if language not in _FILES:
        raise UsageError(
            f"language: the general passages are in {', '.join(_FILES)}; got {language!r}."
        )
    return _FILES[language]


def _texts(name: str) -> list[str]:
    file = files("fewtune").joinpath("evaluate", "general", name)
    # not splitlines(): it would also cut at line marks inside a text
    lines = file.read_text(encoding="utf-8").rstrip("\n").split("\n")
    return [json.loads(line)["text"] for line in lines]
