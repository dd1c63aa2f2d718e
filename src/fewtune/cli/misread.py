"""What is wrong with a command line that could not be read, all at once."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import zip_longest
from typing import get_args

SEVERAL = {"--vary"}  # flags that may be given more than once
OWN = {"--help", "--version"}


def mistakes(words: Sequence[str], parameters: Sequence[inspect.Parameter]) -> list[str]:
    """A sentence for every flag that is unknown, stands alone or stands twice.

    Args:
        words: behind the command's name.
        parameters: that the command takes.
    """
    flags = {f"--{one.name}": one for one in parameters if one.kind is one.KEYWORD_ONLY}
    known = {*flags, *OWN, *(f"--no-{flag[2:]}" for flag, one in flags.items() if _is_switch(one))}
    told = Counter(word.partition("=")[0] for word in words if word.startswith("--"))
    unknown = [flag for flag in told if flag not in known]
    twice = [flag for flag, count in told.items() if count > 1 and flag in {*flags} - SEVERAL]
    return [
        *(f"{flag}: there is no such option.{_meant(flag, known)}" for flag in unknown),
        *([f"{', '.join(twice)}: given more than once; give it once."] if twice else []),
        *_alone(words, {flag for flag, one in flags.items() if not _is_switch(one)}, known),
    ]


def _alone(words: Sequence[str], valued: set[str], known: set[str]) -> Iterator[str]:
    """Flags without the value that belongs to them."""
    for word, behind in zip_longest(words, words[1:]):
        if word not in valued:
            continue
        if behind is None or behind.partition("=")[0] in known:
            yield f"{word}: a value is expected behind it."
        elif behind.startswith("-") and not _is_number(behind):
            yield f"{word}: {behind} begins like a flag; if it is the value, write {word}={behind}."


def _is_switch(parameter: inspect.Parameter) -> bool:
    return any(bool in (one, *get_args(one)) for one in get_args(parameter.annotation))


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _meant(flag: str, known: set[str]) -> str:
    close = get_close_matches(flag, sorted(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]}?" if close else ""
