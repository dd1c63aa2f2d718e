"""A run is told as events. Terminal, Python API and web page only listen."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import time
from typing import Any

#: Every event's name and what it tells. `events.jsonl` holds them in order.
EVENTS: dict[str, str] = {
    "started": "the run folder exists: run, command",
    "read": "files are read: rows (the ledger's counts), files",
    "warned": "something the user should know: message",
    "split": "train, valid, test sizes and how they came about",
    "racing": "a race begins: trials (names), folds, budget (seconds), soft (nobody asked for it)",
    "trial": "one fold of a trial is fitted and asked: trial, fold, folds, rows",
    "proposed": "the search proposes a candidate of the race: trial, number, of (how many at most)",
    "left": "a candidate leaves a race: trial, by (who beat it), folds (seen so far), p",
    "tried": "a trial is over: what, table (a line a candidate), kept; enough (seconds, of a race)",
    "augmented": "rows made from the training rows: made, dropped (by reason), calls (of a writer)",
    "checked": "what the linter found in the rows: findings (code, severity, count, rows, ...)",
    "encoded": "rows as tokens: rows, tokens, learned, cut, ends, sample (pieces of text, learned)",
    "asked": "the untouched model on a few rows: loss (nats a token), stops, questions, answers",
    "answered": "test rows answered: system, rows, seconds",
    "recalled": "general passages before and after: loss, change, low, high",
    "planned": "method, options and what was measured to choose them",
    "baseline": "one baseline is scored: baseline, accuracy on the test rows",
    "cached": "the frozen trunk is in memory or on disk: rows, bytes, seconds",
    "step": "one optimiser step: step, steps, epoch, loss, learning_rate, rows_per_second",
    "laddered": "memory ran out: step, rows (at once), passes (a step), pieces, recompute",
    "validated": "scores on the validation rows: step, scores",
    "checkpoint": "a checkpoint is on disk: step",
    "stopped": "training ended before its last step: step, reason",
    "trained": "the fit is over: steps, seconds, moved (of each part: change, start, gradient)",
    "saved": "model/ is on disk: kind, bytes",
    "scored": "test scores: scores, gain",
    "finished": "the run is complete: verdict, seconds",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened in a run. `name` is a key of EVENTS; `time` is seconds since 1970."""

    name: str
    fields: dict[str, Any] = field(default_factory=dict)
    time: float = field(default_factory=time)

    def __post_init__(self) -> None:
        if self.name not in EVENTS:
            raise KeyError(f"no event is named {self.name!r}")

    def __getitem__(self, key: str) -> Any:
        return self.fields[key]


def tell(name: str, **fields: Any) -> Event:
    """An event with its fields: ``tell("step", step=3, loss=0.2)``."""
    return Event(name, fields)
