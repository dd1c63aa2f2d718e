"""What a report tells, gathered from a run folder; page and text only choose the clothes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fewtune.base.events import Event
from fewtune.record.folder import RunFolder
from fewtune.report import words
from fewtune.report.pictures import Dot

MISTAKES = 20  # worst rows shown
QUARANTINED = 50  # rows of the ledger shown
PAIRS = 20  # confused pairs shown where the matrix is too large for numbers
CLASSES_IN_TABLE = 25  # of the confusion matrix; more do not fit a page


@dataclass(frozen=True)
class Facts:
    """A run, read once."""

    folder: RunFolder
    plan: dict[str, Any]
    data: dict[str, Any]
    scores: dict[str, Any]
    environment: dict[str, Any]
    events: list[Event]
    predictions: list[dict[str, Any]]
    state: str

    @property
    def primary(self) -> str:
        """The metric that decides."""
        return self.scores.get("primary") or "accuracy"

    @property
    def method(self) -> str:
        """The method's name, or ``auto`` while none is chosen."""
        return self.scores.get("method") or part(self.plan, "method").get("name") or "auto"

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self.state == "finished"


def gather(folder: RunFolder) -> Facts:
    """Read the folder's files."""
    return Facts(
        folder=folder,
        plan=folder.plan,
        data=folder.data,
        scores=folder.scores,
        environment=folder.environment,
        events=list(folder.events),
        predictions=list(folder.predictions),
        state=folder.state,
    )


def part(whole: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A mapping inside a mapping; empty where it is missing or null."""
    return whole.get(name) or {}


# ---- head


def subtitle(facts: Facts) -> list[str]:
    """What was done with what, and when."""
    model = words.value(part(facts.plan, "model").get("model"))
    source = words.value(part(facts.plan, "data").get("path"))
    start = facts.events[0].time if facts.events else None
    when = datetime.fromtimestamp(start, UTC).strftime("%d %B %Y, %H:%M UTC") if start else ""
    task = str(facts.scores.get("task") or facts.plan.get("task") or "")
    return [one for one in (task, f"{facts.method} on {model}", source, when.lstrip("0")) if one]


def progress(facts: Facts) -> str:
    """How far an unfinished run came."""
    last = next((event for event in reversed(facts.events) if event.name == "step"), None)
    if last is None:
        how_far = "It ended before its first training step."
    else:
        of = f" of {last.fields['steps']}" if last.fields.get("steps") else ""
        how_far = f"It reached step {last.fields.get('step', '?')}{of}."
    again = f"`fewtune resume {facts.folder.path}`"
    goes_on = "goes on from its last checkpoint" if facts.state == "resumable" else "starts it anew"
    return f"This run is not finished. {how_far} {again} {goes_on}."


def key_numbers(facts: Facts) -> list[tuple[str, str, str]]:
    """The three or four numbers one looks for first: name, number, explanation."""
    key, scores = facts.primary, facts.scores
    told = []
    if ours := part(part(scores, "test"), key):
        ends = words.interval(key, ours)
        told.append((words.metric_name(key), words.number(key, ours.get("value")), ends))
    if gain := part(scores, "gain"):
        over = f"over {gain.get('over', 'the baseline')}"
        told.append(("gain", words.points(key, gain.get("value")), over))
    if rows := part(scores, "rows"):
        split = (
            f"{words.count(rows.get('train'))} to train, {words.count(rows.get('test'))} to test"
        )
        told.append(("rows", words.count(rows.get("kept")), split))
    if seconds := part(scores, "seconds"):
        trained = f"{words.duration(seconds.get('train'))} of training"
        told.append(("time", words.duration(seconds.get("total")), trained))
    return told


def tone(facts: Facts) -> str:
    """good, open, bad or none: the colour beside the verdict, which says the same in words."""
    gain = part(facts.scores, "gain")
    if not facts.finished:
        return "open"
    if gain.get("low") is None or gain.get("high") is None:
        return "none"
    return "good" if gain["low"] > 0 else "bad" if gain["high"] < 0 else "open"


# ---- result


def blocks(facts: Facts) -> list[tuple[str, str, dict[str, Any], bool]]:
    """Every block of scores: key, name, scores, ours. This run first, then the best baseline."""
    key = facts.primary
    ours = part(facts.scores, "test")
    baselines = [
        (name, words.baseline_name(name), block, False)
        for name, block in part(facts.scores, "baselines").items()
        if block
    ]
    worst = float("inf") if words.lower_is_better(key) else float("-inf")
    sign = 1 if words.lower_is_better(key) else -1

    def rank(one: tuple[str, str, dict[str, Any], bool]) -> float:
        value = part(one[2], key).get("value")
        return sign * (worst if value is None else value)

    first = [("test", f"{facts.method} (this run)", ours, True)] if ours else []
    return first + sorted(baselines, key=rank)


def dots_of(facts: Facts) -> list[Dot]:
    """The blocks with a value of the primary metric, for the picture."""
    found = []
    for _, name, block, ours in blocks(facts):
        score = part(block, facts.primary)
        if (value := score.get("value")) is not None:
            low, high = score.get("low"), score.get("high")
            low = value if low is None else low
            found.append(Dot(name, value, low, value if high is None else high, ours))
    return found


def metrics_of(facts: Facts) -> list[str]:
    """The metrics of the table, the primary first."""
    names = dict.fromkeys(metric for _, _, block, _ in blocks(facts) for metric in block)
    return sorted(names, key=lambda metric: metric != facts.primary)


def gain_words(facts: Facts) -> list[str]:
    """The gain in sentences."""
    gain, key = part(facts.scores, "gain"), facts.primary
    if gain.get("value") is None:
        return []
    over = words.baseline_name(str(gain.get("over")))
    name = words.metric_name(key)
    told = [f"{facts.method} {_better(key, gain['value'], name)} {over}, on the same test rows."]
    if gain.get("low") is not None and gain.get("high") is not None:
        ends = words.points_between(key, gain["low"], gain["high"])
        told.append(f"The 95 % interval of this difference is {ends}{_beside(gain)}")
    if gain.get("detectable") is not None:
        least = words.points(key, gain["detectable"], signed=False)
        rows = part(facts.scores, "rows").get("test")
        on = f"these {words.several(rows, 'test row')}" if rows else "these test rows"
        told.append(
            f"A difference of {least} is the smallest that {on} could have shown "
            "four times in five; a smaller one may exist unseen."
        )
    return told


def _better(key: str, value: float, name: str) -> str:
    if not value:
        return f"has the same {name} as"
    by = words.points(key, abs(value), signed=False)
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
            words.baseline_name(name),
            words.points(key, one.get("value")),
            words.points_between(key, one.get("low"), one.get("high")),
            words.p_value(one.get("p")),
        )
        for name, one in part(part(facts.scores, "gain"), "all").items()
        if one and one.get("value") is not None
    ]


# ---- curves


def training_loss(facts: Facts) -> list[tuple[float, float]]:
    """Loss by step. A resumed run repeats steps: what was written last counts."""
    steps = {event.fields.get("step"): event.fields.get("loss") for event in _of(facts, "step")}
    return _sorted(steps)


def validation(facts: Facts, metric: str) -> list[tuple[float, float]]:
    """A metric on the validation rows by step."""
    seen = {
        event.fields.get("step"): part(event.fields, "scores").get(metric)
        for event in _of(facts, "validated")
    }
    return _sorted(seen)


def _of(facts: Facts, name: str) -> Iterable[Event]:
    return (event for event in facts.events if event.name == name)


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
    """Per class precision, recall, F1 and rows, the worst first."""
    return sorted(
        facts.scores.get("per_class") or [],
        key=lambda one: (one.get("f1") is None, one.get("f1") or 0.0, -(one.get("rows") or 0)),
    )


def mistakes(facts: Facts) -> tuple[list[dict[str, Any]], int]:
    """The wrong rows said with most confidence, and how many were wrong in all."""
    wrong = [
        {**one, "sure": _sure(one)}
        for one in facts.predictions
        if one.get("label") is not None and one.get("prediction") != one["label"]
    ]
    wrong.sort(key=lambda one: -1.0 if one["sure"] is None else one["sure"], reverse=True)
    return wrong[:MISTAKES], len(wrong)


def _sure(one: Mapping[str, Any]) -> float | None:
    """The probability of what was said."""
    probability = one.get("probability")
    if isinstance(probability, dict):
        probability = probability.get(str(one.get("prediction")))
    return probability if isinstance(probability, int | float) else None


# ---- data


def counts(facts: Facts) -> dict[str, int]:
    """The ledger's five numbers, from the scores or, before them, from the data."""
    ledger = part(facts.data, "ledger")
    return {**part(ledger, "counts"), **part(facts.scores, "rows")}


def reasons_for(kind: str, facts: Facts) -> list[tuple[str, int]]:
    """How many rows were quarantined, fixed or truncated for which reason, by code."""
    entries = part(facts.data, "ledger").get(kind) or []
    return Counter(str(one.get("code")) for one in entries).most_common()


def files(facts: Facts) -> list[tuple[str, str, str, str]]:
    """The data files: role, path, rows, fingerprint."""
    return [
        (
            role,
            words.value(one.get("path")),
            words.count(one.get("rows")),
            str(one.get("sha") or words.NONE)[:16],
        )
        for role, one in part(facts.data, "files").items()
        if one
    ]


def notes(facts: Facts) -> list[str]:
    """What the user should know: warnings of the scores and of the run, each once."""
    told = [*(facts.scores.get("warnings") or [])]
    told += [str(event.fields.get("message") or "") for event in _of(facts, "warned")]
    return [one for one in dict.fromkeys(told) if one]


# ---- options


def options(facts: Facts) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Options that are not at their default, and all of them: name, value."""
    from fewtune.record.index import flat

    told = flat({name: part(facts.plan, name) for name in ("data", "model", "method", "train")})
    told |= flat({name: part(facts.plan, name) for name in ("evaluate", "run")})
    told = {name: one for name, one in told.items() if name.count(".")}  # empty parts
    usual = defaults(facts.method)
    every = [(name, words.value(one)) for name, one in told.items()]
    changed = [
        (name, words.value(one)) for name, one in told.items() if one != usual.get(name, None)
    ]
    return changed, every


def defaults(method: str) -> dict[str, Any]:
    """The defaults of all options that have one, by the names of `options`."""
    from fewtune.base.options import Options
    from fewtune.data.options import DataOptions
    from fewtune.evaluate.options import EvaluateOptions
    from fewtune.methods import METHODS
    from fewtune.models.options import ModelOptions
    from fewtune.record.options import RunOptions
    from fewtune.train.options import TrainOptions

    stages: dict[str, type[Options]] = {
        "data": DataOptions,
        "model": ModelOptions,
        "train": TrainOptions,
        "evaluate": EvaluateOptions,
        "run": RunOptions,
    }
    owners = [*stages.items()]
    owners += [("method", METHODS[name]) for name in method.split("+") if name in METHODS]
    return {
        f"{stage}.{name}": field.default
        for stage, cls in owners
        for name, field in cls.model_fields.items()
    }
