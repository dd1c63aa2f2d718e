"""Numbers as a reader wants them: percent, points, minutes. One place, for page, card and text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fewtune.base.amounts import as_budget, percent, told_bytes, told_time

#: Metrics where less is better; all others grow with quality.
LOSSES = {"log_loss", "ece", "loss", "perplexity", "repetition", "hamming_loss"}
#: Metrics that are no share of anything, so that "percent" would be wrong.
NO_SHARE = {"log_loss", "ece", "loss", "perplexity", "mcc", "bleu", "chrf", "length_ratio"}
#: Decimals of a metric that is no share, where they are not three.
DECIMALS = {"bleu": 1, "chrf": 1, "perplexity": 2, "length_ratio": 2}

CUSHION = 1.1  # on a time that is expected, before it is proposed as a budget

METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "macro_precision": "macro precision",
    "macro_recall": "macro recall",
    "micro_f1": "micro F1",
    "samples_f1": "F1 row by row",
    "subset_accuracy": "rows with all labels right",
    "hamming_loss": "wrong decisions",
    "micro_precision": "micro precision",
    "micro_recall": "micro recall",
    "mean_average_precision": "mean average precision",
    "positive_f1": "F1 of the positive class",
    "positive_precision": "precision of the positive class",
    "positive_recall": "recall of the positive class",
    "mcc": "Matthews correlation",
    "log_loss": "log loss",
    "ece": "calibration error",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "loss": "loss per token",
    "perplexity": "perplexity",
    "token_accuracy": "token accuracy",
    "exact_match": "exact match",
    "number_match": "number match",
    "bleu": "BLEU",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "rouge1_characters": "ROUGE-1 by characters",
    "rouge2_characters": "ROUGE-2 by characters",
    "rougeL_characters": "ROUGE-L by characters",
    "chrf": "chrF",
    "stops": "answers that end by themselves",
    "repetition": "repetition",
    "length_ratio": "length ratio",
}

#: What metrics of texts measure; those of classes are known.
MEANINGS = {
    "micro_f1": "F1 of all decisions together: every label of every row weighs the same",
    "samples_f1": "the mean of the rows' F1",
    "hamming_loss": "the share of wrong ones of all decisions, a row and a label each",
    "mean_average_precision": "the area under precision by recall, mean over the labels",
    "loss": "how unlikely the model finds the reference, in nats a token, all test rows together",
    "perplexity": "the loss as a number of tokens to choose among: e to its power",
    "token_accuracy": "the share of the reference's tokens that the model finds likeliest",
    "exact_match": "the same text to a reader, case and outer punctuation aside",
    "number_match": "the same numbers, of the rows whose reference holds one",
    "bleu": "sequences of up to four words shared with the reference, 0 to 100",
    "rouge1": "words shared with the reference (F1)",
    "rouge2": "pairs of words shared with the reference (F1)",
    "rougeL": "the longest sequence of words shared with the reference (F1)",
    "chrf": "sequences of up to six characters shared with the reference, 0 to 100",
    "stops": "the others ran to the limit of tokens",
    "repetition": "the share of sequences of four words that an answer had already",
    "length_ratio": "characters of the answers by those of the references; 1 is as long",
}

BASELINES = {
    "majority": "always the most frequent class",
    "tfidf": "TF-IDF + logistic regression",
    "probe": "probe: a head on the frozen model",
    "before": "the untouched base model",
    "few_shot": "the untouched model with examples",
    "nearest": "the nearest training row's answer",
}
#: Of several labels `majority` answers those that are common, in whatever number.
SAME_LABELS = "the same labels for every row"
#: Where there is little room.
BRIEFLY = {
    "majority": "the most frequent class",
    "tfidf": "TF-IDF",
    "probe": "the probe",
    "before": "the untouched model",
    "few_shot": "the untouched model with examples",
    "nearest": "the nearest row's answer",
}

NONE = "–"  # what stands where there is no number


def metric_name(key: str) -> str:
    """A metric's name in a sentence."""
    return METRICS.get(key, key.replace("_", " "))


def baseline_name(key: str) -> str:
    """A baseline's name in a sentence."""
    return BASELINES.get(key, key.replace("_", " "))


def explained(metrics: Iterable[str]) -> list[tuple[str, str]]:
    """Names and meanings of those metrics that not everybody knows."""
    return [(metric_name(one), MEANINGS[one]) for one in metrics if one in MEANINGS]


def lower_is_better(key: str) -> bool:
    """Whether less of this metric is better."""
    return key in LOSSES


def is_share(key: str) -> bool:
    """Whether the metric lies in 0..1 and reads well as percent."""
    return key in METRICS and key not in NO_SHARE  # of a metric of one's own nothing is known


def number(key: str, value: float | None) -> str:
    """A metric's value.

    >>> number("accuracy", 0.8734), number("log_loss", 0.4312), number("mcc", None)
    ('87.3 %', '0.431', '–')
    """
    if value is None:
        return NONE
    return f"{percent(value)} %" if is_share(key) else _plain(key, value)


def _plain(key: str, value: float) -> str:
    """A number that is no share; the perplexity of a model that knows nothing is a large one.

    >>> _plain("loss", 1.2345), _plain("bleu", 4.337), _plain("perplexity", 23432.1)
    ('1.234', '4.3', '23,432')
    >>> _plain("mcc", -0.1)
    '−0.100'
    """
    if abs(value) >= 1e9:
        return f"{value:.2g}"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{DECIMALS.get(key, 3)}f}"
    return text.replace("-", "−")


def interval(key: str, score: Mapping[str, Any]) -> str:
    """The 95 % interval of a score, or nothing.

    >>> interval("accuracy", {"value": 0.87, "low": 0.83, "high": 0.905})
    '83.0 to 90.5 %'
    """
    low, high = score.get("low"), score.get("high")
    if low is None or high is None:
        return ""
    if is_share(key):
        return f"{100 * low:.1f} to {100 * high:.1f} %"
    return f"{_plain(key, low)} to {_plain(key, high)}"


def ends(low: str, high: str) -> str:
    """The ends of an interval where there is little room; two hyphens would say nothing.

    >>> ends("62.5", "79.0"), ends("-0.20", "0.10")
    ('62.5-79.0', '-0.20 to 0.10')
    """
    return f"{low} to {high}" if "-" in low + high else f"{low}-{high}"


def points(key: str, value: float | None, *, signed: bool = True) -> str:
    """A difference between two values of a metric.

    >>> points("accuracy", 0.059), points("log_loss", -0.05), points("accuracy", 0.03, signed=False)
    ('+5.9 points', '−0.050', '3.0 points')
    """
    if value is None:
        return NONE
    text = f"{abs(100 * value):.1f}" if is_share(key) else _plain(key, abs(value))
    nought = not text.strip("0.")
    sign = "" if not signed or nought else "+" if value > 0 else "−"
    return sign + text + (" points" if is_share(key) else "")


def points_between(key: str, low: float | None, high: float | None) -> str:
    """The interval of a difference.

    >>> points_between("accuracy", -0.012, 0.097)
    '−1.2 to +9.7 points'
    """
    if low is None or high is None:
        return NONE
    return f"{points(key, low).removesuffix(' points')} to {points(key, high)}"


def p_value(p: float | None) -> str:
    """A p value.

    >>> p_value(0.0123), p_value(0.00001), p_value(None)
    ('p = 0.012', 'p < 0.001', '')
    """
    if p is None:
        return ""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def change(share: float | None) -> str:
    """A change as a share of what was.

    >>> change(0.071), change(-0.002), change(None)
    ('+7 %', '0 %', '–')
    """
    if share is None:
        return NONE
    percent = round(100 * share)
    return f"{percent:+d} %".replace("-", "−") if percent else "0 %"


def share(value: float | None) -> str:
    """A share that may be tiny, such as that of the trained parameters, to two digits.

    >>> share(0.00314), share(1.0), share(0.0000346), share(None)
    ('0.31 %', '100 %', '0.0035 %', '–')
    """
    if value is None:
        return NONE
    percent = 100 * value
    return f"{percent:.0f} %" if percent >= 10 else f"{float(f'{percent:.2g}'):g} %"


def count(value: float | None) -> str:
    """A whole number with commas.

    >>> count(12345)
    '12,345'
    """
    return NONE if value is None else f"{value:,.0f}"


def several(value: int, one: str, many: str | None = None) -> str:
    """A number and its noun.

    >>> several(1, "row"), several(2, "row"), several(0, "class", "classes")
    ('1 row', '2 rows', '0 classes')
    """
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence.

    >>> listed(["BLEU"]), listed(["BLEU", "chrF", "ROUGE-L"])
    ('BLEU', 'BLEU, chrF and ROUGE-L')
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def duration(seconds: float | None) -> str:
    """A length of time.

    >>> duration(0.42), duration(12.3), duration(133), duration(7300)
    ('0.4 s', '12 s', '2 min 13 s', '2 h 1 min')
    """
    if seconds is None:
        return NONE
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def enough(seconds: float | None) -> str:
    """After the names of those for which a race had no time: what all would take, if known."""
    if not seconds:
        return ""
    asked = as_budget(CUSHION * seconds)
    return f"; with all of them it would take about {told_time(seconds)} (--budget {asked})"


def size(raw: float | None) -> str:
    """Bytes in binary units.

    >>> size(3 * 2**20), size(None)
    ('3 MiB', '–')
    """
    return NONE if raw is None else told_bytes(raw)


def value(anything: Any) -> str:
    """An option's value as one would type it.

    >>> value(None), value(True), value(2e-05), value(["a", "b"])
    ('–', 'yes', '2e-05', 'a, b')
    """
    if anything is None or anything in ({}, [], (), ""):
        return NONE
    if isinstance(anything, bool):
        return "yes" if anything else "no"
    if isinstance(anything, Mapping):
        return ", ".join(f"{key}={value(part)}" for key, part in anything.items())
    if isinstance(anything, list | tuple):
        return ", ".join(map(value, anything))
    return f"{anything:g}" if isinstance(anything, float) else str(anything)


def clip(text: str, longest: int) -> str:
    """The text on one line, cut to `longest` characters.

    >>> clip("the  pump is leaking", 9)
    'the pump…'
    """
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def shortened(text: str, longest: int) -> str:
    """The text with its lines, without empty ones, cut to `longest` characters.

    >>> shortened("the pump\\n\\n is leaking oil", 12)
    'the pump\\nis…'
    """
    lines = [" ".join(line.split()) for line in text.splitlines()]
    text = "\n".join(line for line in lines if line)
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def language(text: str) -> str | None:
    """The script's usual language, so that a browser takes the right glyphs; None for Latin.

    >>> language("水泵漏水"), language("ポンプ漏れ"), language("pump leaks")
    ('zh', 'ja', None)
    """
    if re.search("[\u3040-\u30ff]", text):
        return "ja"
    if re.search("[\uac00-\ud7af]", text):
        return "ko"
    return "zh" if re.search("[\u3400-\u9fff]", text) else None


def width(text: str, size: float) -> float:
    """About how wide a sans-serif text is, in the unit of its size.

    >>> round(width("水泵", 10)), round(width("pump", 10))
    (20, 26)
    """
    return size * sum(_ems(letter) for letter in text)


def _ems(letter: str) -> float:
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.0
    if letter in "mwMW@%":
        return 0.85
    return 0.32 if letter in "iljtfI.,:;'|! " else 0.58 if not letter.isupper() else 0.68


def fit(text: str, size: float, room: float) -> str:
    """The text cut to a width."""
    text = " ".join(text.split())
    if width(text, size) <= room:
        return text
    left, kept = room - width("…", size), 0
    for letter in text:
        left -= width(letter, size)
        if left < 0:
            break
        kept += 1
    return text[:kept].rstrip() + "…"
