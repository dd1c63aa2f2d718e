"""The verdict: one sentence, with the numbers it rests on, that may say "do not fine-tune"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fewtune.base.amounts import percent

LEVEL = 0.05  # of every test of a difference, two-sided; intervals are 95 %
WORTH = 0.03  # a gain below 3 points (0.03 of a score, 3 % of a loss) is not worth a training run

#: How a baseline is called in a sentence, cheapest first.
NAMES = {
    "majority": "always answering the commonest class",
    "before": "the untouched base model",
    "tfidf": "TF-IDF with logistic regression",
    "probe": "a probe on the frozen features",
}
COSTS = {
    "majority": "costs nothing",
    "before": "needs no training",
    "tfidf": "costs a second",
    "probe": "costs seconds",
}


@dataclass(frozen=True)
class Wording:
    """How a verdict speaks of what was made, and of what it is held against.

    Attributes:
        names, costs: of the baselines.
        never: what to leave be where nothing is gained.
        look: where to look where nothing was learned.
    """

    names: Mapping[str, str]
    costs: Mapping[str, str]
    never: str
    look: str


TRAINED = Wording(
    NAMES,
    COSTS,
    "do not fine-tune",
    "do not use this model; look at the labels, the learning rate and the number of steps, and "
    "where one class is much commoner than the rest, at macro F1 in the table and at "
    "--class_weights balanced",
)
#: Of several labels `majority` answers those that are common, in whatever number.
SEVERAL = Wording(
    NAMES | {"majority": "answering every row with the same labels"},
    COSTS,
    TRAINED.never,
    TRAINED.look.replace("one class is", "some labels are"),
)
SEARCHED = Wording(
    NAMES | {"before": "the first prompt"},
    COSTS | {"before": "needs no search"},
    "do not search a prompt",
    "do not use this prompt; look at the labels and at what the model answers",
)
PERCENT = {"accuracy": "is right on", "exact_match": "answers exactly"}
WORDS = {
    "balanced_accuracy": "a balanced accuracy",
    "macro_f1": "a macro F1",
    "micro_f1": "a micro F1",
    "samples_f1": "an F1 row by row",
    "subset_accuracy": "a share of rows with all labels right",
    "weighted_f1": "a weighted F1",
    "macro_precision": "a macro precision",
    "macro_recall": "a macro recall",
    "mcc": "a Matthews correlation",
    "log_loss": "a log-loss",
    "ece": "a calibration error",
    "positive_f1": "an F1 of the positive class",
    "positive_precision": "a precision of the positive class",
    "positive_recall": "a recall of the positive class",
    "rougeL": "a ROUGE-L",
}
LOSSES = {"log_loss", "loss", "perplexity"}  # no upper end: what is worth it is relative


def verdict(
    method: str,
    rows: int,
    scores: Mapping[str, Mapping[str, float]],
    gain: Mapping[str, Any],
    primary: str = "accuracy",
    where: str = "test rows",
    wording: Wording = TRAINED,
) -> str:
    """Say in a sentence whether training was worth it.

    Args:
        method: what was trained; may itself be a baseline (`probe`, `tfidf`).
        rows: how many rows were scored.
        scores: the model's block of scores; holds `primary`.
        gain: from `classify.gain`, or empty.
        primary: the metric that decides.
        where: what the rows are, e.g. "held-out rows of 5 folds".
        wording: of a model that was trained, for several labels too, or of a prompt.

    Returns:
        One of: a clear gain; as good as the best baseline; too few rows to tell; worse than a
        baseline; no better than the commonest class; nothing to compare with.
    """
    said = _said(method, counted(rows, where), scores[primary], primary)
    if not gain:
        return f"{said}; there is no baseline to compare it with, so what training gave is unknown."
    majority, worth = gain["all"].get("majority"), _worth(scores[primary]["value"], primary)
    if majority and majority["value"] <= 0 and majority["high"] <= worth:  # a row of ten is chance
        return said + _nothing_learnt(majority, primary, wording)
    if gain["p"] < LEVEL and gain["low"] > 0:
        return said + _better(method, gain, primary, wording)
    if gain["p"] < LEVEL and gain["high"] < 0:
        return said + _worse(method, gain, primary, wording)
    if gain["high"] <= worth:
        return said + _as_good(method, gain, primary, wording)
    return said + _too_few(method, gain, primary, rows, worth, wording)


def _nothing_learnt(majority: Mapping[str, float], primary: str, wording: Wording) -> str:
    lead = majority["value"]
    ours = "the same as" if lead == 0 else f"{_apart(-lead, primary)} {_down(primary)} than"
    return f", {ours} {wording.names['majority']}: something is wrong, {wording.look}."


def _better(method: str, gain: Mapping[str, Any], primary: str, wording: Wording) -> str:
    best = "the best other baseline" if method in NAMES else "the best baseline"
    return (
        f", {_apart(gain['value'], primary)} ({_span(gain['low'], gain['high'], primary)}) "
        f"{_up(primary)} than {best}, {_named(gain['over'], wording)} ({p_words(gain['p'])})."
    )


def _worse(method: str, gain: Mapping[str, Any], primary: str, wording: Wording) -> str:
    over = gain["over"]
    advice = f"use {_named(over, wording)} instead" if method in NAMES else wording.never
    return (
        f", {_apart(-gain['value'], primary)} ({_span(-gain['high'], -gain['low'], primary)}) "
        f"{_down(primary)} than {_named(over, wording)}, which {_cost(over, wording)} "
        f"({p_words(gain['p'])}): {advice}."
    )


def _as_good(method: str, gain: Mapping[str, Any], primary: str, wording: Wording) -> str:
    over = gain["over"]
    most = (
        f"any gain is at most {_apart(gain['high'], primary)}"
        if gain["high"] > 0
        else "there is no gain to be seen"
    )
    if method in NAMES:
        cheaper = min((method, over), key=_rank)
        advice = f"either will do, and {_named(cheaper, wording)} {_cost(cheaper, wording)}"
    else:
        other = f"{_named(over, wording)} is as good and {_cost(over, wording)}"
        advice = f"{wording.never} for this, {other}"
    return (
        f"; the difference to {_named(over, wording)}, {_signed(gain, primary)}, is {_noise(gain)} "
        f"and {most}, where this test could have shown "
        f"{_apart(gain['detectable'], primary)}: {advice}."
    )


def _too_few(
    method: str, gain: Mapping[str, Any], primary: str, rows: int, worth: float, wording: Wording
) -> str:
    over, target = gain["over"], max(gain["value"], worth)
    cheaper = min((method, over), key=_rank)
    if gain["detectable"] > target:
        needed = rounded(rows * (gain["detectable"] / target) ** 2)
        why = f"they could only have shown {_apart(gain['detectable'], primary)}, and about "
        why += f"{needed:,} would be needed for {_apart(target, primary)}"
    else:
        why = f"the gain may be {_apart(gain['high'], primary)}, which would be worth it, or none"
    return (
        f"; the difference to {_named(over, wording)}, {_signed(gain, primary)}, is "
        f"{_noise(gain)}, but {counted(rows, 'rows are', 'row is')} too few to tell: {why}; until "
        f"then prefer {_named(cheaper, wording)}, which {_cost(cheaper, wording)}."
    )


def _noise(gain: Mapping[str, Any]) -> str:
    """That a difference is not beyond chance; where p and interval disagree, why."""
    p, compared = p_words(gain["p"]), len(gain["all"])
    if gain["p"] < LEVEL:
        return f"at the edge of what chance does ({p}, and the interval holds none at all)"
    if gain["low"] > 0 or gain["high"] < 0:
        return (
            f"within noise ({p}, corrected for {compared} comparisons, which the interval is not)"
        )
    return f"within noise ({p})"


def counted(rows: int, many: str, one: str | None = None) -> str:
    """Rows and what they are called.

    >>> counted(1, "test rows"), counted(2000, "test rows"), counted(1, "rows are", "row is")
    ('1 test row', '2,000 test rows', '1 row is')
    """
    return f"{rows:,} {many if rows != 1 else one or many.removesuffix('s')}"


def _said(method: str, rows: str, score: Mapping[str, float], primary: str) -> str:
    value, span = _number(score["value"], primary), _span(score["low"], score["high"], primary)
    if primary in PERCENT:
        value = percent(score["value"])
        return f"`{method}` {PERCENT[primary]} {value} % of {rows} ({span})"
    return f"`{method}` reaches {WORDS.get(primary, f'a {primary}')} of {value} ({span}) on {rows}"


def _number(value: float, primary: str) -> str:
    return f"{100 * value:.1f}" if primary in PERCENT else f"{value:.3f}"


def _span(low: float, high: float, primary: str) -> str:
    return f"{_number(low, primary)} to {_number(high, primary)}"


def _apart(value: float, primary: str) -> str:
    return _number(value, primary) + (" points" if primary in PERCENT else "")


def _signed(gain: Mapping[str, Any], primary: str) -> str:
    apart = _apart(abs(gain["value"]), primary)
    none = not apart.removesuffix(" points").strip("0.")
    sign = "" if none else "+" if gain["value"] > 0 else "-"
    return f"{sign}{apart} ({_span(gain['low'], gain['high'], primary)})"


def _up(primary: str) -> str:
    return "more" if primary in PERCENT else "better"


def _down(primary: str) -> str:
    return "fewer" if primary in PERCENT else "worse"


def p_words(p: float) -> str:
    """A p value in a sentence."""
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"


def _worth(value: float, primary: str) -> float:
    return WORTH * max(abs(value), 0.1) if primary in LOSSES else WORTH


def rounded(rows: float) -> int:
    """Two significant digits, upwards.

    >>> rounded(512.3), rounded(98_100)
    (520, 99000)
    """
    step = 10 ** max(len(str(int(rows))) - 2, 0)
    return int(-(-rows // step) * step)


def name_of(baseline: str) -> str:
    """What a baseline of a model that was trained is called in a sentence."""
    return _named(baseline, TRAINED)


def _named(baseline: str, wording: Wording) -> str:
    return wording.names.get(baseline, f"`{baseline}`")


def _cost(baseline: str, wording: Wording) -> str:
    return wording.costs.get(baseline, "is the cheaper")


def _rank(name: str) -> int:
    return [*NAMES].index(name) if name in NAMES else len(NAMES)
