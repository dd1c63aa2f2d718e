"""Who runs in a race for answers: methods on a language model, and the model as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from fewtune.choose.recipe import decide
from fewtune.models.batches import Marked
from fewtune.models.ladder import called, unheard
from fewtune.models.speaking import answer_losses
from fewtune.train.answers import AnswerBench, Answerer
from fewtune.trials.entrants import Contender
from fewtune.trials.folds import alone, scratch
from fewtune.trials.runners import Entrant

BEFORE = "before"  # the untouched model: what every candidate must beat


@dataclass(frozen=True)
class AnswerSetting:
    """What all candidates have in common.

    Attributes:
        rows: training rows, each with a learned token.
        folds: held-out positions of each.
        width: of the model's states.
        folder: for what a fit writes beside the model.
    """

    bench: AnswerBench
    rows: Marked
    folds: list[np.ndarray]
    width: int
    folder: Path


def answer_entrants(setting: AnswerSetting, contenders: Sequence[Contender]) -> list[Entrant]:
    """The untouched model, then the contenders."""
    untouched = Entrant(BEFORE, called(BEFORE)(partial(_ask, setting)), stays=True, wins=False)
    return [untouched] + [answer_entrant(setting, one) for one in contenders]


def answer_entrant(setting: AnswerSetting, one: Contender) -> Entrant:
    """A contender on the setting's rows."""
    share = 1 - len(setting.folds[0]) / len(setting.rows)
    return Entrant(one.name, called(one.name)(partial(_teach, setting, one)), share * one.seconds)


def _ask(setting: AnswerSetting, learned: np.ndarray, held: np.ndarray) -> np.ndarray:
    bench = setting.bench
    return _heard(answer_losses(bench.base, setting.rows.take(held), bench.machine))


def _teach(
    setting: AnswerSetting, one: Contender, learned: np.ndarray, held: np.ndarray
) -> np.ndarray:
    bench = setting.bench
    options = alone(one.options(bench.train))
    candidate = Answerer(bench, one.method, options)
    candidate.attach()
    rows = setting.rows.take(learned)
    whole = len(setting.rows)
    recipe = decide(one.method, options, len(rows), False, setting.width, whole)
    candidate.measure(rows.lengths)
    with scratch(setting.folder) as place:
        unheard(candidate.fit(rows, recipe, place))
    return _heard(answer_losses(candidate.model, setting.rows.take(held), bench.machine))


def _heard(found: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """(held, 3): summed loss, learned tokens, those that were the model's first choice."""
    return np.stack(found, axis=1)


@dataclass(frozen=True)
class AnswerJudge:
    """Loss of the answers in nats a token, as the run's own score has it.

    Attributes:
        tokens: learned tokens of a row, the mean over rows; with it the mean of the rows' losses
            is that of all tokens together.
    """

    tokens: float
    metric: str = "loss"

    def losses(self, answers: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Nats of every row."""
        return answers[:, 0] / self.tokens

    def also(self, answers: np.ndarray, rows: np.ndarray) -> dict[str, float]:
        """The share of tokens that were the first choice."""
        return {"token_accuracy": float(answers[:, 2].sum() / answers[:, 1].sum())}


def folds_of_rows(rows: Marked, held: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Folds of data rows as positions of what is learned: a long text is several of those."""
    owners = np.array(rows.rows)
    found = [np.flatnonzero(np.isin(owners, one)) for one in held]
    return [one for one in found if len(one)]
