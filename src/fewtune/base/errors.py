"""What fewtune says when it cannot go on: one sentence, and an exit code.

A message says what arrived, what was expected and what to do. A traceback appears only with
``--debug``.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class FewtuneError(Exception):
    """The job cannot be done; the message is for the user. Exit code 1."""

    exit_code = 1


class UsageError(FewtuneError):
    """The command or its options are wrong, so nothing was started. Exit code 2."""

    exit_code = 2


class Interrupted(FewtuneError):
    """The user stopped the run; what was done is saved. Exit code 130, as shells expect."""

    exit_code = 130


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A closing question for an unknown name, or nothing.

    >>> did_you_mean("lorra", ["lora", "full"])
    " Did you mean 'lora'?"
    >>> did_you_mean("zzz", ["lora", "full"])
    ''
    """
    close = get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""


def one_of(what: str, got: object, choices: Iterable[str]) -> str:
    """The sentence for a value outside a closed set.

    >>> one_of("schedule", "cos", ["cosine", "linear"])
    "schedule: one of cosine, linear; got 'cos'. Did you mean 'cosine'?"
    """
    choices = list(choices)
    hint = did_you_mean(str(got), choices)
    return f"{what}: one of {', '.join(choices)}; got {got!r}." + hint


def shortened(value: object, most: int = 60) -> str:
    """A value in quotes on one line, for a sentence; a label may be a whole report.

    >>> shortened("pump"), shortened("a" * 99, 4)
    ("'pump'", "'aaa…'")
    """
    told = str(value)
    return repr(told if len(told) <= most else f"{told[: most - 1]}…")
