"""The verdict on generation: what training changed, and whether to use the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fewtune.evaluate.overlap import OF_CHARACTERS
from fewtune.evaluate.verdict import LEVEL, name_of, p_words, rounded

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
PERCENT = {"token_accuracy", "exact_match", "number_match", "stops", "repetition"}
HUNDRED = {"bleu", "chrf"}
FALLING = {"loss", "perplexity", "repetition"}  # better the lower
#: Told beside the metric that decides, where the intervals before and after lie apart; one metric
#: of a kind, for ROUGE-1 seldom says more than ROUGE-L.
BESIDE = ("loss", "exact_match", "number_match", "rougeL", "bleu", "stops", "repetition")


def generation_verdict(
    method: str,
    rows: int,
    scores: Scores,
    before: Scores,
    gain: Mapping[str, Any],
    primary: str = "loss",
    where: str = "test rows",
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

    Returns:
        One of: better than before; better than before but not than another baseline; worse; no
        difference shown, which also means "do not use"; nothing to compare with.
    """
    own, on = scores[primary], f"on {rows:,} {where}"
    change = gain.get("all", {}).get("before") if primary in before else None
    if change is None:
        return (
            f"`{method}`: {_word(primary)} is {_score(own, primary)} {on}; there is no untouched "
            "model to compare it with, so what training gave is unknown."
        )
    moved = f"from {_score(before[primary], primary)} to {_score(own, primary)} {on}"
    if _clearly(change) > 0:
        return (
            f"`{method}` {_verb(primary, True)} {_word(primary)} {moved}, "
            f"{_lead(change, primary)} better than the untouched model"
            f"{_beside(scores, before, primary)}{_others(gain, primary)}."
        )
    if _clearly(change) < 0:
        worse = {"value": -change["value"], "low": -change["high"], "high": -change["low"]}
        return (
            f"`{method}` {_verb(primary, False)} {_word(primary)} {moved}, "
            f"{_lead({**worse, 'p': change['p']}, primary)} worse than the untouched model"
            f"{_beside(scores, before, primary)}: do not use this model."
        )
    return (
        f"`{method}` moves {_word(primary)} {moved}, which shows no difference to the untouched "
        f"model{_beside(scores, before, primary)}: {_unseen(change, rows, primary)}; do not use "
        "this model on this evidence."
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
        return f", and {_lead(gain, primary)} better than {name_of(over)}"
    if _clearly(gain) < 0:
        return f", but {name_of(over)} is better ({p_words(gain['p'])}): do not use this model"
    return f", but no better than {name_of(over)} ({p_words(gain['p'])}): do not use this model"


def _beside(scores: Scores, before: Scores, primary: str) -> str:
    """Other metrics whose intervals before and after lie apart."""
    both = [name for name in BESIDE if name in scores and name in before and name != primary]
    told = []
    for name in both:
        old, new = before[name], scores[name]
        if new["low"] > old["high"] or new["high"] < old["low"]:
            verb = "rose" if new["value"] > old["value"] else "fell"
            told.append(f"{_word(name)} {verb} from {_score(old, name)} to {_score(new, name)}")
    return "".join(f"; {one}" for one in told)


def _unseen(change: Mapping[str, float], rows: int, primary: str) -> str:
    said = f"{p_words(change['p'])}, and {rows:,} rows could have shown "
    said += _number(change["detectable"], primary)
    if not change["value"]:
        return said
    needed = rounded(rows * max(change["detectable"] / abs(change["value"]), 1.0) ** 2)
    return said + f", about {needed:,} the {_number(abs(change['value']), primary)} seen"


def _verb(primary: str, better: bool) -> str:
    return "lowers" if better == (primary in FALLING) else "raises"


def _word(name: str) -> str:
    plain = name.removesuffix(OF_CHARACTERS)
    said = WORDS.get(plain, plain)
    return f"{said} by characters" if plain != name else said


def _lead(change: Mapping[str, float], primary: str) -> str:
    low, high = _number(change["low"], primary), _number(change["high"], primary)
    return f"{_number(change['value'], primary)} ({low} to {high}; {p_words(change['p'])})"


def _score(score: Mapping[str, float], name: str) -> str:
    low, high = _number(score["low"], name), _number(score["high"], name)
    return f"{_number(score['value'], name)} ({low} to {high})"


def _number(value: float, name: str) -> str:
    if name in PERCENT:
        return f"{100 * value:.1f} %"
    return f"{value:.1f}" if name in HUNDRED else f"{value:.3f}"
