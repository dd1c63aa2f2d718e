"""Folds, a memory and a judge for races on losses that are made up."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from fewtune.trials.runners import Fitted

ROWS, FOLDS = 200, 5
HELD = np.array_split(np.random.default_rng(0).permutation(ROWS), FOLDS)


@dataclass
class Memory:
    """Fits that are kept, and what each is said to have taken: a second where nothing is said."""

    seconds: Mapping[str, float] = field(default_factory=lambda: defaultdict(lambda: 1.0))
    kept: dict[tuple[str, int], Fitted] = field(default_factory=dict)

    def read(self, name, fold):
        return self.kept.get((name, fold))

    def write(self, name, fold, fitted):
        # the clock of a test is the one that it is told
        object.__setattr__(fitted, "seconds", self.seconds[name])
        self.kept[name, fold] = fitted


class Given:
    """Answers are losses."""

    metric = "log_loss"

    def losses(self, answers, rows):
        return answers

    def also(self, answers, rows):
        return {}


def held(one):
    """A race to its end: the outcome and the events."""
    events, running = [], one.run()
    while True:
        try:
            events.append(next(running))
        except StopIteration as done:
            return done.value, events
