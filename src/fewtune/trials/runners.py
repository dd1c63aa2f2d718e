"""Who runs in a race, and what a race asks of those around it: fits, judge, proposals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from fewtune.base.errors import FewtuneError, Interrupted
from fewtune.base.race_state import RaceState
from fewtune.trials.expected import Prior

Line = dict[str, Any]


@dataclass(frozen=True)
class Entrant:
    """A candidate.

    Attributes:
        name: in tables.
        fit: learned rows, held rows (positions) -> the answers to the held ones, (held, ...).
        seconds: expected of a fold; 0 where nobody knows.
        stays: a baseline, which every row must have an answer of; it is never sent away.
        wins: False for what is there to be compared with and cannot be chosen.
        needed: others are told over it, or it over others, so that it does not leave for being
            beaten; for want of time it does.
        once: seconds so far of what its fits did once, and no fold to come does again.
    """

    name: str
    fit: Callable[[np.ndarray, np.ndarray], np.ndarray]
    seconds: float = 0.0
    stays: bool = False
    wins: bool = True
    needed: bool = False
    once: Callable[[], float] = float


@dataclass(frozen=True)
class Fitted:
    """One candidate on one fold.

    Attributes:
        answers: to the held rows; none where it failed.
        seconds: what the fit took.
        failed: the sentence that it failed with.
    """

    answers: np.ndarray
    seconds: float
    failed: str = ""


def fit(entrant: Entrant, learned: np.ndarray, held: np.ndarray, must: bool = False) -> Fitted:
    """A fit, or why there is none: a rate at which the loss is no number, and the like.

    A failure is kept as well, so that what is replayed ends as it did.

    Args:
        must: it may not fail, as a baseline may not.
    """
    begun = perf_counter()
    try:
        answers, failed = _numbers(entrant.fit(learned, held)), ""
    except Interrupted:
        raise
    except FewtuneError as error:
        if must:
            raise
        answers, failed = np.empty(0), str(error)
    return Fitted(answers, perf_counter() - begun, failed)


def _numbers(answers: np.ndarray) -> np.ndarray:
    """The answers, where they are numbers.

    Raises:
        FewtuneError: some are not.
    """
    if np.isnan(answers).any():
        raise FewtuneError(
            "its answers are no numbers; the weights have probably diverged: try a smaller "
            "learning_rate."
        )
    return answers


@dataclass(frozen=True)
class Seen:
    """What a candidate has reached so far.

    Attributes:
        losses: the mean over its rows after each of its folds.
        whole: whether it has answered all folds.
    """

    losses: tuple[float, ...]
    whole: bool


class Proposals(Protocol):
    """Where further candidates come from."""

    @property
    def count(self) -> int:
        """How many at most."""
        ...

    def next(self, seen: Mapping[str, Seen]) -> Entrant | None:
        """One more, by what every candidate has reached; None where there is none."""
        ...


class Kept(Protocol):
    """Where fits are written down, so that a race that was interrupted goes on."""

    def read(self, name: str, fold: int) -> Fitted | None:
        """A fit that was made before."""
        ...

    def write(self, name: str, fold: int, fitted: Fitted) -> None:
        """Keep a fit."""
        ...


class Judge(Protocol):
    """What answers are worth."""

    @property
    def metric(self) -> str:
        """What a loss is called in the table."""
        ...

    def losses(self, answers: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The loss of every row, (rows,); `answers` are all that a candidate has given so far."""
        ...

    def also(self, answers: np.ndarray, rows: np.ndarray) -> Mapping[str, float]:
        """Other metrics for the table."""
        ...


@dataclass
class Runner:
    """An entrant on its way; `proposed` is its number among the proposals, 0 for the plan's.

    The fit that failed, if one did, is none of those `fitted`. `once` are seconds of these that no
    other fold takes.
    """

    entrant: Entrant
    state: RaceState = RaceState.RUNS
    proposed: int = 0
    fitted: dict[int, Fitted] = field(default_factory=dict)
    failure: Fitted | None = None
    once: float = 0.0

    @property
    def seconds(self) -> float:
        """What a fold takes: measured, else expected."""
        if not self.fitted:
            return self.entrant.seconds
        total = sum(one.seconds for one in self.fitted.values())
        return max(0.0, total - self.once) / len(self.fitted)


@dataclass(frozen=True)
class Outcome:
    """How a race ended.

    Attributes:
        winner: its name; `leader` the name of the best. Empty where nobody could be compared.
        table: a line an entrant, the first the baseline that gains are told over.
        losses: name -> (rows,), NaN of rows in no fold; of those that answered all folds.
        answers: name -> (rows, ...), NaN where it answered nothing; of the first repeat.
        cost: name -> seconds of a fold.
        seconds: of all fits.
        proposed: the names of those that a search proposed and that answered a fold.
        prior: what was known of the others.
        enough: seconds that would have seen all to their end; 0 where nobody lacked time.
    """

    winner: str
    leader: str
    table: list[Line]
    losses: dict[str, np.ndarray]
    answers: dict[str, np.ndarray]
    cost: dict[str, float]
    seconds: float
    proposed: tuple[str, ...] = ()
    prior: Prior | None = None
    enough: float = 0.0
