"""What fewtune says when it cannot go on: one sentence, and an exit code.

A message says what arrived, what was expected and what to do. A traceback appears only with
``--debug``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import PurePath

SLIP, NEAR = 0.85, 0.6  # likeness of a name typed wrongly, and of one that might be meant


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
    close = closest(word, choices)
    return f" Did you mean '{close}'?" if close else ""


def did_you_mean_file(name: str, files: Iterable[str]) -> str:
    """As `did_you_mean`, by what stands before the suffix: two files that share theirs need not be
    near. Of two files of one stem, that with the suffix is meant.

    >>> did_you_mean_file("trian.csv", ["train.xlsx", "train.csv"])
    " Did you mean 'train.csv'?"
    >>> did_you_mean_file("没有.xlsx", ["两页.xlsx"])
    ''
    """
    suffix = PurePath(name).suffix
    ranked = sorted(files, key=lambda one: PurePath(one).suffix == suffix)
    stems = {PurePath(one).stem: one for one in ranked}  # the last of a stem stays
    close = closest(PurePath(name).stem, stems)
    return f" Did you mean '{stems[close]}'?" if close else ""


def closest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that an unknown word is likely to mean, or nothing.

    After slips of the hand come short forms: initials, then words of a longer name, where the
    shortest and of these the first is meant.

    >>> closest("lr", ["lr_scheduler_type", "learning_rate"])
    'learning_rate'
    >>> closest("--epochs", ["--search", "--num_train_epochs"])
    '--num_train_epochs'
    """
    choices = list(choices)
    told, names = _words(word), {one: _words(one) for one in choices}
    slips = get_close_matches(word, choices, n=1, cutoff=SLIP)
    longer = {one: words for one, words in names.items() if len(words) > 1}
    initials = [one for one, words in longer.items() if told == ["".join(w[0] for w in words)]]
    parts = [one for one, words in longer.items() if _within(told, words)]
    near = get_close_matches(word, choices, n=1, cutoff=NEAR)
    found = [*slips, *initials, *sorted(parts, key=lambda one: len(names[one])), *near]
    return found[0] if found else None


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W_]+", name.lower())


def _within(some: list[str], words: list[str]) -> bool:
    ends = range(len(some), len(words) + 1)
    return bool(some) and any(words[end - len(some) : end] == some for end in ends)


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
