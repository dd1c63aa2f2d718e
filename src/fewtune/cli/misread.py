"""What is wrong with a command line that could not be read, all at once."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, get_args

from fewtune.base.errors import closest

if TYPE_CHECKING:
    from fewtune.base.options import Options

SEVERAL = {"--vary"}  # flags that may be given more than once
OWN = {"--help", "--version"}


def mistakes(words: Sequence[str], parameters: Sequence[inspect.Parameter]) -> list[str]:
    """A sentence for every flag that is unknown, stands alone or twice, or has a wrong value.

    Args:
        words: behind the command's name.
        parameters: that the command takes.
    """
    flags = {f"--{one.name}": one for one in parameters if one.kind is one.KEYWORD_ONLY}
    no = (f"--no-{flag[2:]}" for flag, one in flags.items() if _is_switch(one))
    known = dict.fromkeys([*flags, *OWN, *no])
    told = Counter(word.partition("=")[0] for word in words if word.startswith("--"))
    unknown = [flag for flag in told if flag not in known]
    twice = [flag for flag, count in told.items() if count > 1 and flag in {*flags} - SEVERAL]
    return [
        *(f"{flag}: there is no such option.{_meant(flag, known)}" for flag in unknown),
        *([f"{', '.join(twice)}: given more than once; give it once."] if twice else []),
        *_alone(words, {flag: one for flag, one in flags.items() if not _is_switch(one)}, known),
        *_wrong(words, flags),
    ]


def _alone(
    words: Sequence[str], valued: Mapping[str, inspect.Parameter], known: Collection[str]
) -> Iterator[str]:
    """Flags without the value that belongs to them.

    What begins like a flag and is no good value either is left to `_wrong`: written with a `=` it
    would be refused again.
    """
    for word, behind in zip_longest(words, words[1:]):
        if word not in valued:
            continue
        if behind is None or behind.partition("=")[0] in known:
            yield f"{word}: a value is expected behind it."
        elif _like_a_flag(behind) and not [*_wrong([word, behind], valued)]:
            yield f"{word}: {behind} begins like a flag; if it is the value, write {word}={behind}."


def _wrong(words: Sequence[str], flags: Mapping[str, inspect.Parameter]) -> Iterator[str]:
    """What the options say of values given behind their flags, by the names of these."""
    from fewtune.base.options import mistakes_in

    given: dict[type[Options], dict[str, str]] = {}
    for word, behind in zip_longest(words, words[1:]):
        flag, equals, value = word.partition("=")
        cls = _owner(flags[flag]) if flag in flags else None
        told = value if equals else behind
        if cls is None or told is None or _is_switch(flags[flag]):
            continue
        if equals or not told.startswith("--"):
            given.setdefault(cls, {})[flag[2:]] = told
    for cls, values in given.items():
        yield from (f"--{one}" for one in mistakes_in(cls, values))


def _owner(parameter: inspect.Parameter) -> type[Options] | None:
    """The options that a flag is a field of."""
    from fewtune.cli.flags import FieldOf

    found = (one.options for one in get_args(parameter.annotation) if isinstance(one, FieldOf))
    return next(found, None)


def _is_switch(parameter: inspect.Parameter) -> bool:
    return any(bool in (one, *get_args(one)) for one in get_args(parameter.annotation))


def _like_a_flag(word: str) -> bool:
    """Whether it begins like one; a negative number does not."""
    try:
        float(word)
    except ValueError:
        return word.startswith("-")
    return False


def _meant(flag: str, known: Iterable[str]) -> str:
    close = closest(flag, known)
    return f" Did you mean {close}?" if close else ""
