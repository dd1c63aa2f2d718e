"""Signs in what a model wrote: it repeats itself, is too short or long, or writes worse."""

from __future__ import annotations

from collections.abc import Iterator

from fewtune.evaluate.verdict import LEVEL
from fewtune.report import words
from fewtune.report.facts import part
from fewtune.report.signs import Sign, Told

REPEATS = 0.1  # share of repeated phrases over that of answers that people wrote
SHORT, LONG = 0.5, 2.0  # letters of all answers by those of their references
FEWEST = 5  # answers; fewer show nothing
#: One metric of a kind, the surest first.
WRITTEN = ("exact_match", "rougeL_characters", "rougeL", "chrf")


def repeats(told: Told) -> Iterator[Sign]:
    """The same phrases again and again, which people's answers to such questions do not have."""
    own = part(part(told.facts.scores, "test"), "repetition")
    theirs = part(part(part(told.facts.scores, "baselines"), "nearest"), "repetition")
    if not own or own["low"] <= (theirs.get("high") or 0.0) + REPEATS:
        return
    yield Sign(
        "repeats",
        f"The answers repeat themselves: {own['value']:.0%} of their phrases stood there before "
        f"({words.interval('repetition', own)}), and {theirs.get('value') or 0.0:.0%} in answers "
        "of training rows.",
        "Look whether the training answers end with a stop token, then try "
        "--repetition_penalty 1.1, or a lower --learning_rate.",
    )


def of_other_length(told: Told) -> Iterator[Sign]:
    """All answers together are far shorter or longer than what was expected."""
    own = part(part(told.facts.scores, "test"), "length_ratio")
    answered = part(told.facts.scores, "rows").get("answered") or 0
    if not own or answered < FEWEST:
        return
    short, long = own["high"] < SHORT, own["low"] > LONG
    if not short and not long:
        return
    yield Sign(
        "answer-length",
        f"The answers have {own['value']:.2f} times the letters of their references "
        f"({own['low']:.2f} to {own['high']:.2f}): they are far too "
        f"{'short' if short else 'long'}.",
        "Raise --max_new_tokens, and read the training answers: short ones teach short ones."
        if short
        else "Look whether the training answers end with a stop token; --stop TEXT ends answers "
        "when asked, more --num_train_epochs teach where.",
    )


def writes_worse(told: Told) -> Iterator[Sign]:
    """References became likelier, and yet what is written is further from them."""
    if told.facts.primary != "loss":  # nothing was made likelier
        return
    if (part(told.facts.scores, "gain").get("low") or 0) <= 0:
        return
    gains = part(told.facts.scores, "gains")
    for name in WRITTEN:
        found = part(part(part(gains, name), "all"), "before")
        high = found.get("high")
        if high is not None and high < 0 and (found.get("p") or 0) < LEVEL:
            less = words.points(name, -found["value"], signed=False)
            yield Sign(
                "writes-worse",
                f"The references became likelier, and the answers it writes are worse than the "
                f"untouched model's: {less} {words.metric_name(name)} "
                f"({words.p_value(found.get('p'))}).",
                "Read some of them side by side in the report: a chat template or a stop token "
                "that differs from training is the usual reason.",
            )
            return
