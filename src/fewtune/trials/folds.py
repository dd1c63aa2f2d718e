"""A candidate on folds of the training rows: what it answers to rows it did not learn from."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from fewtune.base.events import Event, tell
from fewtune.choose.recipe import decide
from fewtune.evaluate.paired import Comparison, compare_means, holm
from fewtune.evaluate.verdict import LEVEL
from fewtune.methods.base import Method
from fewtune.models.batches import Encoded
from fewtune.models.choice import ONE_OF, Choice
from fewtune.models.ladder import called, unheard
from fewtune.models.probe import Probe, usual_temperature
from fewtune.models.temperature import USUAL, best_temperature
from fewtune.train.bench import Bench, Examples
from fewtune.train.classifier import Classifier
from fewtune.train.options import TrainOptions

#: A fold's fit has no validation rows to watch, and it is repeated, not resumed.
ALONE = {"early_stopping_patience": None, "load_best_model_at_end": None, "save_steps": 10**9}


def alone(options: TrainOptions) -> TrainOptions:
    """The options of a fit that has no rows to watch and that nobody resumes.

    Where the run keeps its best step it takes no mean of the last ones, and so neither do its
    trials.
    """
    best = options.load_best_model_at_end
    if best is None:
        best = options.early_stopping_patience is not None
    last = {"average_last": 0, "wise_ft_alpha": 1.0} if best else {}
    unsaid = {name: value for name, value in last.items() if getattr(options, name) is None}
    return options.model_copy(update=ALONE | unsaid)


Line = dict[str, Any]


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A place for what one fit writes, in `folder`; gone after it.

    Who stops a fit gets a checkpoint, and another fit must never go on from it: it has learned
    rows that the other is asked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as place:
        yield Path(place)


@dataclass(frozen=True)
class Trial:
    """Out-of-fold answers.

    Attributes:
        name: of the candidate.
        answers: of each fold, (held rows, classes).
        folds: of each fold, (held rows,) their positions.
        targets: (rows,) class indices, or as `choice` has them.
        others: of each fold, the answers to the other rows asked, (asked, classes).
        choice: what an answer means.
        temperature: what the logits of all answers were divided by.
    """

    name: str
    answers: tuple[np.ndarray, ...]
    folds: tuple[np.ndarray, ...]
    targets: np.ndarray
    others: tuple[np.ndarray, ...] = ()
    choice: Choice = ONE_OF
    temperature: float = 1.0

    def calibrated(self) -> Trial:
        """The same at the temperature that suits the answers to the held rows best."""
        choice, held = self.choice, np.concatenate(self.folds)
        logits = choice.logits(np.concatenate(self.answers))
        best, _ = best_temperature(logits, self.targets[held], choice=choice)

        def cooled(each: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
            return tuple(choice.probabilities(choice.logits(one) / best) for one in each)

        answers, others = cooled(self.answers), cooled(self.others)
        return replace(self, answers=answers, others=others, temperature=best)

    @property
    def held(self) -> np.ndarray:
        """The rows that were in a fold, (held,), ascending."""
        return np.unique(np.concatenate(self.folds))

    @property
    def probabilities(self) -> np.ndarray:
        """(rows, classes): the mean over repeats; 0 where a row is in no fold."""
        return self._mean(lambda answers, targets: answers)

    @property
    def losses(self) -> np.ndarray:
        """Negative log-probability of the right answer, (held,), in nats, mean over repeats."""
        return self._mean(self.choice.losses)[self.held]

    @property
    def log_loss(self) -> float:
        """The metric that decides: the mean of the losses."""
        return float(self.losses.mean())

    @property
    def accuracy(self) -> float:
        """Share of held rows answered rightly, mean over repeats."""
        right = self._mean(lambda *one: self.choice.right(*one).astype(float))
        return float(right[self.held].mean())

    def over(self, other: Trial) -> Comparison:
        """How much lower this one's log-loss is than another's on the same rows, paired."""
        return compare_means(self.losses, other.losses, higher_is_better=False)

    def _mean(self, of: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        """Something of every answer, averaged over the folds that a row was in."""
        each = [
            of(answers, self.targets[held])
            for answers, held in zip(self.answers, self.folds, strict=True)
        ]
        total = np.zeros((len(self.targets), *each[0].shape[1:]))
        for value, held in zip(each, self.folds, strict=True):
            total[held] += value
        times = np.bincount(np.concatenate(self.folds), minlength=len(self.targets))
        return total / times.clip(1).reshape(-1, *[1] * (total.ndim - 1))


@dataclass(frozen=True)
class Setting:
    """What all candidates of a trial have in common.

    Attributes:
        folds: held-out indices of each fold, of every repeat.
        probe_c, probe_temperature: of the heads' starts, chosen on all training rows. Two numbers
            chosen once for all candidates alike cannot favour one of them.
        folder: for what a fit writes beside the model.
        train: options of the fits; None for the bench's.
        calibrated: the final fit will be, so trials are compared as such: else what makes answers
            less sure would look like a gain, and the temperature takes that away.
    """

    bench: Bench
    method: Method
    examples: Examples
    folds: list[np.ndarray]
    probe_c: float
    probe_temperature: float
    folder: Path
    train: TrainOptions | None = None
    calibrated: bool = False


def uncalibrated(setting: Setting) -> Setting:
    """The same for a probe whose answers a judge calibrates.

    Its temperature was chosen on these rows. Chosen anew on top of that, luck would count twice;
    so it answers as if no row had been seen.
    """
    return replace(setting, probe_temperature=usual_temperature(setting.probe_c) / USUAL)


def compared(trials: Sequence[Trial], rows: Sequence[int]) -> list[Line]:
    """A line a trial: what it reached, and the others' gain in log-loss over the first.

    Args:
        trials: the first is what the others must beat.
        rows: more rows that each learned, mean over folds.

    Returns:
        `name`, `rows`, `log_loss`, `accuracy`, and but for the first `gain` (nats, positive is
        better), its interval `low` to `high`, `p` (paired over rows, Holm-corrected for the number
        of trials) and `better`: whether there is a gain beyond noise.
    """
    table: list[Line] = [
        {"name": one.name, "rows": more, "log_loss": one.log_loss, "accuracy": one.accuracy}
        for one, more in zip(trials, rows, strict=True)
    ]
    found = [trial.over(trials[0]) for trial in trials[1:]]
    adjusted = holm([one["p"] for one in found])
    for line, one, p in zip(table[1:], found, adjusted, strict=True):
        better = one["value"] > 0 and p < LEVEL
        line |= {
            "gain": one["value"], "low": one["low"], "high": one["high"], "p": p, "better": better
        }  # fmt: skip
    table[0]["better"] = False
    return table


def on_folds(
    setting: Setting, name: str, more: Sequence[Examples] | None = None, ask: Encoded | None = None
) -> Generator[Event, None, Trial]:
    """Fit on all folds but one, answer the one left out, for each.

    Args:
        name: of the trial, in events.
        more: what each fold learns beside its own rows, made from nothing but those.
        ask: other rows that every fold's model answers as well (unlabelled ones).
    """
    examples, folds = setting.examples, setting.folds
    found, others = [], []
    for number, held in enumerate(folds):
        train = np.setdiff1d(np.arange(len(examples)), held)
        learned = examples.take(train)
        if more and len(more[number]):
            learned = learned.and_also(more[number])
        with called(name):
            candidate = fitted(setting, learned)
            found.append(candidate.probabilities(examples.rows.take(held)))
            if ask is not None:
                others.append(candidate.probabilities(ask))
        yield tell("trial", trial=name, fold=number + 1, folds=len(folds), rows=len(learned))
    choice = setting.bench.task.choice
    trial = Trial(name, tuple(found), tuple(folds), examples.targets, tuple(others), choice)
    return trial.calibrated() if setting.calibrated else trial


def fitted(setting: Setting, learned: Examples) -> Classifier:
    """A candidate fitted to some rows as the final fit would, without checkpoints."""
    bench, method = setting.bench, setting.method
    options = alone(setting.train or bench.train)
    candidate = Classifier(bench, method, options)
    at_zero = options.start_head == "zero" and method.needs_steps
    candidate.start(None if at_zero else method.head_start(probe_of(setting, learned)))
    if not method.needs_steps:
        return candidate
    recipe = decide(method, options, len(learned), False, whole=len(setting.examples))
    candidate.measure(learned.rows.lengths)
    with scratch(setting.folder) as place:
        unheard(candidate.fit(learned, recipe, place))
    return candidate


def probe_of(setting: Setting, learned: Examples) -> Probe:
    """The probe of some rows, at the setting's penalty and temperature."""
    return setting.bench.probe_at(learned, setting.probe_c, setting.probe_temperature)
