"""What a report tells, gathered from a run folder; page and text only choose the clothes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from fewtune.base.events import Event
from fewtune.evaluate.verdict import LEVEL
from fewtune.record.folder import RunFolder, State
from fewtune.report import words
from fewtune.tasks import TASKS

if TYPE_CHECKING:
    from fewtune.methods.base import Method

QUARANTINED = 50  # rows of the ledger shown
OUT_OF_FOLD = Path("race", "out_of_fold.jsonl")  # in a run's folder, where test rows are others


@dataclass(frozen=True)
class Facts:
    """A run, read once.

    Attributes:
        out_of_fold: a line a training row, answered by a fit of the race's winner that left it out;
            empty without a race, and where `predictions` are of the folds themselves.
    """

    folder: RunFolder
    plan: dict[str, Any]
    data: dict[str, Any]
    scores: dict[str, Any]
    environment: dict[str, Any]
    events: list[Event]
    predictions: list[dict[str, Any]]
    state: str
    out_of_fold: list[dict[str, Any]] = field(default_factory=list)

    @property
    def task(self) -> str:
        """The task's name, where it is known."""
        return str(self.scores.get("task") or self.plan.get("task") or "")

    @property
    def writes(self) -> bool:
        """Whether the model answers in words of its own."""
        return self.task in TASKS and TASKS[self.task].writes

    @property
    def several(self) -> bool:
        """Whether a row may have several labels."""
        return self.task in TASKS and TASKS[self.task].several

    @property
    def primary(self) -> str:
        """The metric that decides."""
        return self.scores.get("primary") or "accuracy"

    @property
    def method(self) -> str:
        """The method's name, or ``auto`` while none is chosen."""
        return self.scores.get("method") or part(self.plan, "method").get("name") or "auto"

    @property
    def without_model(self) -> bool:
        """Whether the method uses no pretrained model, whatever one the plan names."""
        way = self._way
        return way is not None and not way.needs_model

    @property
    def searched(self) -> bool:
        """Whether a prompt was searched, and the model left as it is."""
        way = self._way
        return way is not None and not way.tunes

    @property
    def _way(self) -> type[Method] | None:
        """The method, where it is known and no hybrid."""
        from fewtune.trials.sections import WAYS

        return WAYS.get(self.method)

    @property
    def on_folds(self) -> bool:
        """Whether the scores are of training rows, each answered by a fit that left it out."""
        return "fold" in self.scored_on

    @property
    def scored_on(self) -> str:
        """What rows the scores are of, in a sentence."""
        return str(self.scores.get("scored_on") or "test rows")

    @property
    def tested(self) -> int:
        """How many rows were scored, which may be fewer than were kept for it."""
        kept = part(self.scores, "rows").get("train" if self.on_folds else "test")
        return int(self.scores.get("scored") or kept or 0)

    @property
    def positive(self) -> str:
        """Of two classes the one that F1, precision and recall are also told of."""
        return str(self.scores.get("positive") or "")

    @property
    def tested_row(self) -> str:
        """What one of them is called."""
        return "held-out row" if self.on_folds else "test row"

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self.state == "finished"


def gather(folder: RunFolder, state: State | None = None) -> Facts:
    """Read the folder's files; `state` where it will be another one in a moment."""
    return Facts(
        folder=folder,
        plan=folder.plan,
        data=folder.data,
        scores=folder.scores,
        environment=folder.environment,
        events=list(folder.events),
        predictions=list(folder.predictions),
        state=state or folder.state,
        out_of_fold=_lines(folder.path / OUT_OF_FOLD),
    )


def _lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file, one a line; none where it is not there or is damaged."""
    try:
        found = [json.loads(line) for line in path.read_bytes().split(b"\n") if line]
    except (OSError, ValueError):
        return []
    return [one for one in found if isinstance(one, dict)]


def part(whole: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A mapping inside a mapping; empty where it is missing or null."""
    return whole.get(name) or {}


def happened(facts: Facts, name: str) -> Iterable[Event]:
    """The run's events of one name, in order."""
    return (event for event in facts.events if event.name == name)


def baseline(facts: Facts, name: str) -> str:
    """A baseline's name in a sentence, with the numbers of this run."""
    return _own_name(facts, name) or _with_examples(facts, words.baseline_name(name))


def _briefly(facts: Facts, name: str) -> str:
    """The same where there is little room."""
    known = words.BRIEFLY.get(name) or words.baseline_name(name)
    return _own_name(facts, name) or _with_examples(facts, known)


def _own_name(facts: Facts, name: str) -> str:
    """What a baseline is to this kind of run, where it is not what it is to others."""
    if name == "before" and facts.searched:
        return "the first prompt"
    return words.SAME_LABELS if name == "majority" and facts.several else ""


def _with_examples(facts: Facts, known: str) -> str:
    examples = part(facts.plan, "generate").get("examples")
    return known.replace("examples", words.several(examples, "example")) if examples else known


# ---- head


def subtitle(facts: Facts) -> list[str]:
    """What was done with what, and when."""
    model = words.value(part(facts.plan, "model").get("model"))
    how = facts.method if facts.without_model else f"{facts.method} on {model}"
    source = words.value(part(facts.plan, "data").get("path"))
    start = facts.events[0].time if facts.events else None
    when = datetime.fromtimestamp(start, UTC).strftime("%d %B %Y, %H:%M UTC") if start else ""
    return [one for one in (facts.task, how, source, when.lstrip("0")) if one]


#: What an event says of how far a run came that took no step.
STAGES = {
    "started": "when its rows were about to be read",
    "read": "when its rows had been read",
    "split": "when its rows had been split",
    "checked": "when its rows had been checked",
    "racing": "in the race between methods",
    "trial": "among its trials on folds",
    "tried": "after trials on folds",
    "trained": "when it had been fitted",
    "saved": "when its model had been saved",
    "baseline": "while baselines were scored",
    "answered": "while it was answering",
    "scored": "when it had been scored",
}


def progress(facts: Facts) -> str:
    """How far an unfinished run came."""
    again = f"`fewtune resume {quote(str(facts.folder.path))}`"
    goes_on = "goes on from its last checkpoint" if facts.state == "resumable" else "starts it anew"
    return f"This run is not finished. {_how_far(facts)} {again} {goes_on}."


def _how_far(facts: Facts) -> str:
    """By its last step; of a run that took none, as many never do, by what it told last."""
    step = next((event for event in reversed(facts.events) if event.name == "step"), None)
    if step is not None:
        of = f" of {step.fields['steps']}" if step.fields.get("steps") else ""
        return f"It reached step {step.fields.get('step', '?')}{of}."
    last = (STAGES[one.name] for one in reversed(facts.events) if one.name in STAGES)
    return f"It ended {next(last, 'before anything was done')}."


def key_numbers(facts: Facts) -> list[tuple[str, str, str]]:
    """The three or four numbers one looks for first: name, number, explanation."""
    key, scores = facts.primary, facts.scores
    told, gain = [], part(scores, "gain")
    if ours := part(part(scores, "test"), key):
        value, ends = words.number(key, ours.get("value")), words.interval(key, ours)
        before = part(part(part(scores, "baselines"), "before"), key)
        if before and gain.get("over") == "before":  # the change itself is what was shown
            value = f"{words.number(key, before.get('value'))} → {value}"
            ends = f"{words.interval(key, before)} → {ends}"
        told.append((words.metric_name(key), value, ends))
    if gain:
        over = f"over {_briefly(facts, str(gain.get('over', 'the baseline')))}"
        told.append(("gain", words.points(key, gain.get("value")), over))
    if rows := part(scores, "rows"):
        told.append(("rows", words.count(rows.get("kept")), _use(facts)))
    if seconds := part(scores, "seconds"):
        doing = "searching" if facts.searched else "training"
        trained = f"{words.duration(seconds.get('train'))} of {doing}"
        told.append(("time", words.duration(seconds.get("total")), trained))
    return told


def _use(facts: Facts) -> str:
    """What the rows are for, where there is little room."""
    rows = part(facts.scores, "rows")
    if facts.on_folds:
        return "all to train, and to test in folds"
    return f"{words.count(rows.get('train'))} to train, {words.count(rows.get('test'))} to test"


def tone(facts: Facts) -> str:
    """good, open, bad or none: the colour beside the verdict, which says the same in words."""
    gain = part(facts.scores, "gain")
    if not facts.finished:
        return "open"
    if gain.get("low") is None or gain.get("high") is None:
        return "none"
    if (gain.get("p") or 0) >= LEVEL:  # corrected for several comparisons: it can outweigh `low`
        return "open"
    return "good" if gain["low"] > 0 else "bad" if gain["high"] < 0 else "open"


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
            str(one.get("fingerprint") or words.NONE)[:16],
        )
        for role, one in part(facts.data, "files").items()
        if one
    ]


def notes(facts: Facts) -> list[str]:
    """What the user should know: warnings of the scores and of the run, each once."""
    told = [*(facts.scores.get("warnings") or [])]
    told += [str(event.fields.get("message") or "") for event in happened(facts, "warned")]
    return [one for one in dict.fromkeys(told) if one]


def remarks(facts: Facts) -> list[str]:
    """What reading the rows decided, as far as no warning says it: a run tells both as warnings."""
    warned = notes(facts)
    told = dict.fromkeys(str(one) for one in facts.data.get("notes") or [])
    return [one for one in told if one not in warned]


def findings(facts: Facts) -> list[dict[str, Any]]:
    """What the linter found in the rows, the worst first."""
    told = [event["findings"] for event in happened(facts, "checked")]
    return [one for one in (told[-1] if told else []) if isinstance(one, dict)]


# ---- options


def options(facts: Facts) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Options that are not at their default, and all of them: name, value."""
    from fewtune.record.index import flat

    told = flat({name: part(facts.plan, name) for name in _sections(facts.task)})
    told = {name: one for name, one in told.items() if name.count(".")}  # empty parts
    usual = defaults(facts.method)
    every = [(name, words.value(one)) for name, one in told.items()]
    # a plan that was read back has lists for tuples
    changed = [(name, one) for name, one in every if one != words.value(usual.get(name))]
    return changed, every


def _sections(task: str) -> list[str]:
    """Those of the plan that the task reads, and its method."""
    from fewtune.trials.sections import SECTIONS

    others = {name for key, other in TASKS.items() if key != task for name in other.sections}
    return ["method", *(name for name in SECTIONS if name not in others)]


def defaults(method: str) -> dict[str, Any]:
    """The defaults of all options that have one, by the names of `options`."""
    from fewtune.methods import parts_of
    from fewtune.trials.sections import SECTIONS, WAYS

    owners: list[tuple[str, Any]] = [*SECTIONS.items()]
    owners += [("method", WAYS[name]) for name in parts_of(method) if name in WAYS]
    return {
        f"{stage}.{name}": field.get_default(call_default_factory=True)
        for stage, cls in owners
        for name, field in cls.model_fields.items()
    }
