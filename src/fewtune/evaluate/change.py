"""The verdict on generation: what training changed, and whether to use the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fewtune.evaluate.overlap import OF_CHARACTERS
from fewtune.evaluate.verdict import LEVEL, counted, name_of, p_words, rounded

Scores = Mapping[str, Mapping[str, float]]

WORDS = {
    "loss": "the loss per token",
    "perplexity": "the perplexity",
    "token_accuracy": "the share of tokens foreseen",
    "exact_match": "the share of exact answers",
    "number_match": "the share of right numbers",
    "bleu": "BLEU",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "chrf": "chrF",
    "stops": "the share of answers that end by themselves",
    "repetition": "the share of repeated phrases",
}
PERCENT = {
    "token_accuracy", "exact_match", "number_match", "stops", "repetition",
    "rouge1", "rouge2", "rougeL",
}  # fmt: skip
HUNDRED = {"bleu", "chrf"}
FALLING = {"loss", "perplexity", "repetition"}  # better the lower
#: Told beside the metric that decides, where the intervals before and after lie apart, the first
#: MOST of them; one metric of a kind, for ROUGE-1 seldom says more than ROUGE-L.
BESIDE = ("exact_match", "number_match", "rougeL", "stops", "repetition", "bleu", "loss")
MOST = 2
POINTS = " points"
UNTOUCHED = "the untouched model"
#: How the other baselines of answers are called in a sentence.
NAMES = {
    "nearest": "the answer of the nearest training row",
    "few_shot": "the untouched model with training rows in its prompt",
}
FEWEST = 6  # rows; of fewer not even a difference of one sign in all has a p below 0.05

NOTABLE = 0.1  # nats a token: a rise of the loss on general texts from which forgetting is told


def forgets(change: Mapping[str, Any]) -> bool:
    """Whether a rise of the loss on general texts is beyond noise and worth a word."""
    return (change.get("low") or 0) > 0 and change["value"] > NOTABLE


def generation_verdict(
    method: str,
    rows: int,
    scores: Scores,
    before: Scores,
    gain: Mapping[str, Any],
    primary: str = "loss",
    where: str = "test rows",
    gains: Mapping[str, Mapping[str, Any]] | None = None,
    base: str = UNTOUCHED,
) -> str:
    """Say in a sentence what training changed, and whether to use the model.

    Args:
        method: what was trained.
        rows: how many rows were scored.
        scores: the model's block of scores, from `generate.score`; holds `primary`.
        before: that of the untouched model; empty if it was not scored.
        gain: from `generate.gain`, or empty; the untouched model is its baseline "before".
        primary: the metric that decides.
        where: what the rows are.
        gains: gains by other metrics, as `gain`; a baseline that is better by one is told.
        base: what "before" is.

    Returns:
        One of: better than before; better than before but not than another baseline; worse; no
        difference shown, which also means "do not use"; nothing to compare with.
    """
    own, on = scores[primary], f"on {counted(rows, where)}"
    change = gain.get("all", {}).get("before") if primary in before else None
    if change is None:
        return (
            f"`{method}`: {_word(primary)} is {_score(own, primary)} {on}; there is nothing from "
            "before to compare it with, so what training gave is unknown."
        )
    moved = f"from {_score(before[primary], primary)} to {_score(own, primary)} {on}"
    if _clearly(change) > 0:
        return (
            f"`{method}` {_verb(primary, True)} {_word(primary)} {moved}, "
            f"{_lead(change, primary)} better than {base}"
            f"{_others(gain, primary)}{_beside(scores, before, primary)}{_beaten(gains or {})}."
        )
    if _clearly(change) < 0:
        worse = {"value": -change["value"], "low": -change["high"], "high": -change["low"]}
        return (
            f"`{method}` {_verb(primary, False)} {_word(primary)} {moved}, "
            f"{_lead({**worse, 'p': change['p']}, primary)} worse than {base}"
            f"{_beside(scores, before, primary)}: do not use this model."
        )
    return (
        f"`{method}` moves {_word(primary)} {moved}, which shows no difference to {base}"
        f"{_beside(scores, before, primary)}: {_unseen(change, rows, primary)}; do not use this "
        "model on this evidence."
    )


def _clearly(change: Mapping[str, float]) -> int:
    """1 where the difference is a gain, -1 where it is a loss, 0 where it is within noise."""
    if change["p"] >= LEVEL:
        return 0
    return int(change["low"] > 0) - int(change["high"] < 0)


def _others(gain: Mapping[str, Any], primary: str) -> str:
    """What the best other baseline says to a model that is better than before."""
    over = gain["over"]
    if over == "before":
        return ""
    if _clearly(gain) > 0:
        return f", and {_lead(gain, primary)} better than {_called(over)}"
    if _clearly(gain) < 0:
        return f", but {_called(over)} is better ({p_words(gain['p'])}): do not use this model"
    return f", but no better than {_called(over)} ({p_words(gain['p'])}): do not use this model"


def _called(baseline: str) -> str:
    return NAMES.get(baseline) or name_of(baseline)


def _beaten(gains: Mapping[str, Mapping[str, Any]]) -> str:
    """The baselines that are better by a metric beside the one that decides."""
    better: dict[str, list[str]] = {}
    for metric, found in gains.items():
        for name, change in found.get("all", {}).items():
            if _clearly(change) < 0:
                better.setdefault(name, []).append(_word(metric))
    most = sorted(better.items(), key=lambda one: -len(one[1]))[:MOST]
    told = [f"{_called(name)} (by {_listed(by)})" for name, by in most]
    return f"; but better {'is' if len(told) == 1 else 'are'} {_listed(told)}" if told else ""


def _listed(words: Sequence[str]) -> str:
    """
    >>> _listed(["BLEU"]), _listed(["BLEU", "chrF", "ROUGE-L"])
    ('BLEU', 'BLEU, chrF and ROUGE-L')
    """
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _beside(scores: Scores, before: Scores, primary: str) -> str:
    """Other metrics whose intervals before and after lie apart."""
    own = primary.removesuffix(OF_CHARACTERS)
    both = [name for name in BESIDE if name in scores and name in before and name != own]
    told = []
    for name in both:
        old, new = before[name], scores[name]
        if new["low"] > old["high"] or new["high"] < old["low"]:
            verb = "rose" if new["value"] > old["value"] else "fell"
            ends = _number(old["value"], name), _number(new["value"], name)
            told.append(f"{_word(name)} {verb} from {ends[0]} to {ends[1]}")
    return "".join(f"; {one}" for one in told[:MOST])


def _unseen(change: Mapping[str, float], rows: int, primary: str) -> str:
    if rows < FEWEST:
        return (
            f"{p_words(change['p'])}, and {counted(rows, 'rows are', 'row is')} too few to show any"
        )
    if change["value"] == change["detectable"] == 0:
        return f"{p_words(change['p'])}, for it is the same on every row"
    if abs(change["value"]) >= change["detectable"]:  # a few rows far from the others hide it
        return f"{p_words(change['p'])}, for the rows differ too much among themselves"
    said = f"{p_words(change['p'])}, and {rows:,} rows could have shown "
    said += _apart(change["detectable"], primary)
    if not change["value"]:
        return said
    needed = rounded(rows * max(change["detectable"] / abs(change["value"]), 1.0) ** 2)
    return said + f", about {needed:,} the {_apart(abs(change['value']), primary)} seen"


def _verb(primary: str, better: bool) -> str:
    return "lowers" if better == (primary in FALLING) else "raises"


def _word(name: str) -> str:
    plain = name.removesuffix(OF_CHARACTERS)
    said = WORDS.get(plain, plain)
    return f"{said} by characters" if plain != name else said


def _lead(change: Mapping[str, float], primary: str) -> str:
    low, high = (_apart(change[end], primary).removesuffix(POINTS) for end in ("low", "high"))
    return f"{_apart(change['value'], primary)} ({low} to {high}; {p_words(change['p'])})"


def _apart(difference: float, name: str) -> str:
    """A difference: between two percentages it is one of points."""
    number = _number(difference, name)
    return number.removesuffix(" %") + POINTS if number.endswith("%") else number


def _score(score: Mapping[str, float], name: str) -> str:
    low, high = _number(score["low"], name), _number(score["high"], name)
    return f"{_number(score['value'], name)} ({low} to {high})"


def _number(value: float, name: str) -> str:
    if name.removesuffix(OF_CHARACTERS) in PERCENT:
        return f"{100 * value:.1f} %"
    return f"{value:.1f}" if name in HUNDRED else f"{value:.3f}"
