"""Options of reading and scoring that would be given to `evaluate` in vain."""

from __future__ import annotations

from collections.abc import Collection

from fewtune.base.errors import UsageError

#: Of a run alone: what is scored is the whole file.
SPLITS = ("valid", "test", "split", "time", "test_share", "valid_share")


def refuse_idle(given: Collection[str], writes: bool) -> None:
    """Say which options have nothing to do.

    Args:
        given: names of the user's options.
        writes: whether answers in words are scored.

    Raises:
        UsageError: all of them, one a line.
    """
    wrong = []
    if found := [name for name in SPLITS if name in given]:
        wrong.append(f"{', '.join(found)}: every row of the file is scored; leave it out.")
    if writes and "positive" in given:
        wrong.append("positive: names one of two classes, and these answers are words.")
    if not writes and "metric" in given:
        wrong.append("metric: for generated texts only; classification has its own metrics.")
    if wrong:
        raise UsageError("\n".join(wrong))
