"""The evidence of a run in a reader's terms: scores, gain, curves, confusions, mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fewtune.evaluate.verdict import LEVEL
from fewtune.report import words
from fewtune.report.facts import Facts, baseline, happened, part
from fewtune.report.pictures import Dot

MISTAKES = 20  # worst rows shown
PAIRS = 20  # confused pairs shown where the matrix is too large for numbers
CLASSES_IN_TABLE = 25  # of the confusion matrix; more do not fit a page
#: Metrics drawn beside the primary one, the first that is there: all systems that answer have them.
ALSO_DRAWN = ("rougeL_characters", "rougeL")

# ---- result


def blocks(facts: Facts) -> list[tuple[str, str, dict[str, Any], bool]]:
    """Every block of scores: key, name, scores, ours. This run first, then the best baseline."""
    key = facts.primary
    ours = part(facts.scores, "test")
    baselines = [
        (name, baseline(facts, name), block, False)
        for name, block in part(facts.scores, "baselines").items()
        if block and name != facts.method  # the chosen method may be a baseline itself
    ]
    worst = float("inf") if words.lower_is_better(key) else float("-inf")
    sign = 1 if words.lower_is_better(key) else -1

    def rank(one: tuple[str, str, dict[str, Any], bool]) -> float:
        value = part(one[2], key).get("value")
        return sign * (worst if value is None else value)

    first = [("test", f"{facts.method} (this run)", ours, True)] if ours else []
    return first + sorted(baselines, key=rank)


def drawn(facts: Facts) -> list[str]:
    """The metrics that get a picture: the primary one, and one of the answers' texts."""
    test = part(facts.scores, "test")
    return [facts.primary, *[one for one in ALSO_DRAWN if one in test][:1]]


def dots_of(facts: Facts, metric: str) -> list[Dot]:
    """The blocks with a value of a metric, for its picture."""
    found = []
    for _, name, block, ours in blocks(facts):
        score = part(block, metric)
        if (value := score.get("value")) is not None:
            low, high = score.get("low"), score.get("high")
            low = value if low is None else low
            found.append(Dot(name, value, low, value if high is None else high, ours))
    return found


def metrics_of(facts: Facts) -> list[str]:
    """The metrics of the table, the primary first."""
    names = dict.fromkeys(metric for _, _, block, _ in blocks(facts) for metric in block)
    return sorted(names, key=lambda metric: metric != facts.primary)


def positive_words(facts: Facts) -> str:
    """Which of two classes the scores of one class are about."""
    return f"The positive class is {facts.positive}." if facts.positive else ""


def gain_words(facts: Facts) -> list[str]:
    """The gain in sentences."""
    gain, key = part(facts.scores, "gain"), facts.primary
    if gain.get("value") is None:
        return []
    over = baseline(facts, str(gain.get("over")))
    name = words.metric_name(key)
    row = facts.tested_row
    told = [f"{facts.method} {_better(key, gain['value'], name)} {over}, on the same {row}s."]
    if gain.get("low") is not None and gain.get("high") is not None:
        ends = words.points_between(key, gain["low"], gain["high"])
        told.append(f"The 95 % interval of this difference is {ends}{_beside(gain)}")
    if gain.get("detectable") is not None:
        least = words.points(key, gain["detectable"], signed=False)
        on = f"these {words.several(facts.tested, row)}" if facts.tested else f"these {row}s"
        told.append(
            f"A difference of {least} is the smallest that {on} could have shown "
            "four times in five; a smaller one may exist unseen."
        )
    return told


def _better(key: str, value: float, name: str) -> str:
    if not value:
        return f"has the same {name} as"
    by = words.points(key, abs(value), signed=False)
    if not by.removesuffix(" points").strip("0."):
        return f"has all but the same {name} as"
    better = "less" if words.lower_is_better(key) else "more"
    worse = "more" if words.lower_is_better(key) else "less"
    return f"has {by} {better if value > 0 else worse} {name} than"


def _beside(gain: Mapping[str, Any]) -> str:
    """The p value, and what the interval says about nought."""
    p = words.p_value(gain.get("p"))
    several = len(part(gain, "all"))
    corrected = f", corrected for {several} comparisons" if p and several > 1 else ""
    p = f" ({p}{corrected})" if p else ""
    nought = gain["low"] <= 0 <= gain["high"]
    return p + ("; no difference at all lies inside it." if nought else ".")


def gains(facts: Facts) -> list[tuple[str, str, str, str]]:
    """The difference to every baseline: name, value, interval, p."""
    key = facts.primary
    return [
        (
            baseline(facts, name),
            words.points(key, one.get("value")),
            words.points_between(key, one.get("low"), one.get("high")),
            words.p_value(one.get("p")),
        )
        for name, one in part(part(facts.scores, "gain"), "all").items()
        if one and one.get("value") is not None
    ]


def other_gains(facts: Facts) -> dict[str, Any]:
    """The difference to every baseline by metrics beside the primary one.

    `systems` are the columns' names; `rows` a metric's name and, for every system, the difference
    and its interval with p, both empty where there is none.
    """
    found = {name: part(one, "all") for name, one in part(facts.scores, "gains").items() if one}
    systems = list(dict.fromkeys(system for one in found.values() for system in one))
    rows = [
        (words.metric_name(metric), [_by(metric, part(one, system)) for system in systems])
        for metric, one in found.items()
    ]
    return {"systems": [baseline(facts, one) for one in systems], "rows": rows} if rows else {}


def _by(metric: str, one: Mapping[str, Any]) -> tuple[str, str]:
    if one.get("value") is None:
        return words.NONE, ""
    ends = words.points_between(metric, one.get("low"), one.get("high"))
    return words.points(metric, one["value"]), f"{ends}; {words.p_value(one.get('p'))}".strip("; ")


def beaten(facts: Facts) -> list[str]:
    """The baselines that are better by a metric beside the primary one, in sentences."""
    better: dict[str, list[str]] = {}
    for metric, one in part(facts.scores, "gains").items():
        for system, found in part(one, "all").items():
            high = found.get("high")
            if high is not None and high < 0 and (found.get("p") or 0) < LEVEL:
                better.setdefault(system, []).append(words.metric_name(metric))
    return [
        f"By {words.listed(metrics)} {baseline(facts, system)} is better than this model."
        for system, metrics in better.items()
    ]


# ---- curves


def training_loss(facts: Facts) -> list[tuple[float, float]]:
    """Loss by step. A resumed run repeats steps: what was written last counts.

    Of several labels a row the mean over the labels, as log-loss on validation rows is.
    """
    by = len(facts.data.get("labels") or "1") if facts.several else 1
    steps = {
        event.fields.get("step"): _share(event.fields.get("loss"), by)
        for event in happened(facts, "step")
    }
    return _sorted(steps)


def _share(loss: float | None, by: int) -> float | None:
    return None if loss is None else loss / by


def validation(facts: Facts, metric: str) -> list[tuple[float, float]]:
    """A metric on the validation rows by step."""
    seen = {
        event.fields.get("step"): part(event.fields, "scores").get(metric)
        for event in happened(facts, "validated")
    }
    return _sorted(seen)


def _sorted(values: Mapping[Any, Any]) -> list[tuple[float, float]]:
    """Points in order; a loss that was no number is written as null, and has no place."""
    points = []
    for step, value in values.items():
        value = value.get("value") if isinstance(value, dict) else value
        if isinstance(step, int | float) and isinstance(value, int | float):
            points.append((float(step), float(value)))
    return sorted(points)


# ---- classes and mistakes


def matrix_of(facts: Facts) -> tuple[list[str], list[list[int]]]:
    """Labels and counts, or nothing where the task has no confusion matrix."""
    told = part(facts.scores, "confusion")
    labels, matrix = told.get("labels") or [], told.get("matrix") or []
    fits = len(labels) == len(matrix) and all(len(row) == len(labels) for row in matrix)
    return ([str(one) for one in labels], matrix) if labels and fits else ([], [])


def confused_pairs(labels: list[str], matrix: list[list[int]]) -> list[dict[str, Any]]:
    """The pairs of classes most often confused: truth, said, rows, share of the truth's rows."""
    pairs: list[dict[str, Any]] = [
        {"truth": labels[t], "said": labels[s], "rows": hits, "share": hits / (sum(row) or 1)}
        for t, row in enumerate(matrix)
        for s, hits in enumerate(row)
        if hits and s != t
    ]
    return sorted(pairs, key=lambda one: (-one["rows"], -one["share"]))[:PAIRS]


def classes(facts: Facts) -> list[dict[str, Any]]:
    """Per class precision, recall, F1 and rows, the worst first; last what no row belongs to."""
    return sorted(
        facts.scores.get("per_class") or [],
        key=lambda one: (not one.get("rows"), one.get("f1") or 0.0, -(one.get("rows") or 0)),
    )


def classified(facts: Facts) -> list[dict[str, Any]]:
    """The rows that were given a class to score it; a text that was written has an end instead."""
    return [one for one in facts.predictions if "stopped" not in one]


def mistakes(facts: Facts) -> tuple[list[dict[str, Any]], int]:
    """The wrong rows said with most confidence, and how many were wrong in all."""
    wrong = [
        {**one, "sure": _sure(one)}
        for one in classified(facts)
        if one.get("label") is not None and one.get("prediction") != one["label"]
    ]
    wrong.sort(key=lambda one: -1.0 if one["sure"] is None else one["sure"], reverse=True)
    return wrong[:MISTAKES], len(wrong)


def _sure(one: Mapping[str, Any]) -> float | None:
    """The probability of what was said; of several labels how sure the worst mistake was."""
    probability, said = one.get("probability"), one.get("prediction")
    if isinstance(probability, dict) and isinstance(said, list):
        truth = one.get("label") or []
        wrong = [share for name, share in probability.items() if name in said and name not in truth]
        missed = [1 - probability[name] for name in truth if name in probability.keys() - {*said}]
        return max([*wrong, *missed], default=None)
    if isinstance(probability, dict):
        probability = probability.get(str(said))
    return probability if isinstance(probability, int | float) else None
