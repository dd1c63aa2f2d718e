"""Who runs in a race for labels: methods on a pretrained encoder, and n-grams without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from fewtune.methods import parse
from fewtune.methods.base import Method
from fewtune.models.choice import Choice
from fewtune.models.ladder import called
from fewtune.models.ngrams import fit_ngrams
from fewtune.models.temperature import best_temperature
from fewtune.train.options import TrainOptions
from fewtune.trials.folds import Setting, fitted, uncalibrated
from fewtune.trials.runners import Entrant


@dataclass(frozen=True)
class Contender:
    """A method with the options of its fits.

    Attributes:
        name: how it is spelled, with what differs from the defaults.
        method: with its own options.
        train: options of training that differ from the user's.
        seconds: expected of a fit to all rows; 0 where nobody knows.
        wins: False for what is there to be compared with and cannot be chosen.
        stays: what a search starts from is seen to its end.
        values: of the options that a search varies; of those alone that are in its spaces.
    """

    name: str
    method: Method
    train: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    wins: bool = True
    stays: bool = False
    values: Mapping[str, float] = field(default_factory=dict)

    def options(self, given: TrainOptions) -> TrainOptions:
        """The user's options, with these."""
        return given.model_copy(update=dict(self.train))

    def as_json(self) -> dict[str, Any]:
        """As the plan holds it."""
        return {
            "name": self.name,
            "method": self.method.spell(),
            "options": {k: v for p in self.method.parts() for k, v in p.model_dump().items()},
            "train": dict(self.train),
            "seconds": self.seconds,
            **({} if self.wins else {"wins": False}),
            **({"stays": True} if self.stays else {}),
            **({"values": dict(self.values)} if self.values else {}),
        }

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Contender:
        """As `as_json` wrote it."""
        method = parse(told["method"], told["options"])
        kept = {k: v for k, v in told.items() if k not in ("method", "options")}
        return cls(method=method, **kept)


def entrants_of(
    setting: Setting, contenders: Sequence[Contender], texts: Sequence[str]
) -> list[Entrant]:
    """Contenders on the setting's rows; those without steps of training are its baselines."""
    found = [entrant_of(setting, texts, one) for one in contenders]
    return [
        replace(entrant, stays=one.stays or not _trains(one))
        for entrant, one in zip(found, contenders, strict=True)
    ]


def entrant_of(setting: Setting, texts: Sequence[str], one: Contender) -> Entrant:
    """A contender on the setting's rows.

    Args:
        setting: its method does not matter.
        texts: the rows' texts, for those that count n-grams.
    """
    share = 1 - len(setting.folds[0]) / len(setting.examples)
    fit = called(one.name)(_fit_of(setting, one, texts))
    return Entrant(one.name, fit, share * one.seconds, wins=one.wins)


def _trains(one: Contender) -> bool:
    return one.method.needs_model and one.method.needs_steps


def _fit_of(
    setting: Setting, one: Contender, texts: Sequence[str]
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    if not one.method.needs_model:
        return partial(_count, setting, one.method, texts)
    ground = setting if one.method.needs_steps else uncalibrated(setting)
    own = replace(ground, method=one.method, train=one.options(setting.bench.train))
    return partial(_tune, own)


def _tune(setting: Setting, learned: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Logits of a neural method, (held, classes)."""
    candidate = fitted(setting, setting.examples.take(learned))
    found = candidate.probabilities(setting.examples.rows.take(held))
    return setting.bench.task.choice.logits(found)


def _count(
    setting: Setting,
    method: Method,
    texts: Sequence[str],
    learned: np.ndarray,
    held: np.ndarray,
) -> np.ndarray:
    """Logits of n-grams with logistic regression, (held, classes)."""
    task = setting.bench.task
    model = fit_ngrams(
        [texts[k] for k in learned],
        setting.examples.targets[learned],
        len(task.labels),
        method.tfidf_c,  # type: ignore[attr-defined]
        None if task.class_weights is None else np.array(task.class_weights),
    )
    return task.choice.logits(model.probabilities([texts[k] for k in held]))


@dataclass(frozen=True)
class LabelJudge:
    """Log-loss at the candidate's own temperature.

    Attributes:
        choice: what logits mean.
        targets: of all rows.
    """

    choice: Choice
    targets: np.ndarray
    metric: str = "log_loss"

    def temperature(self, answers: np.ndarray, rows: np.ndarray) -> float:
        """What logits are divided by for the lowest log-loss."""
        return best_temperature(answers, self.targets[rows], None, self.choice)[0]

    def probabilities(self, answers: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Calibrated, (rows, classes)."""
        return self.choice.probabilities(answers / self.temperature(answers, rows))

    def losses(self, answers: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Nats of every row."""
        return self.choice.losses(self.probabilities(answers, rows), self.targets[rows])

    def also(self, answers: np.ndarray, rows: np.ndarray) -> dict[str, float]:
        """The share of rows answered rightly."""
        shares = self.choice.probabilities(answers)
        return {"accuracy": float(self.choice.right(shares, self.targets[rows]).mean())}
