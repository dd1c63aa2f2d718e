"""Self-training: labels that the model gives to unlabelled rows, where folds show that they help.

Yarowsky 1995 (doi:10.3115/981658.981684); the model restarts from the pretrained weights every
round (Du et al. 2021, arXiv:2010.02194), classes are taken in the proportions of the labelled rows
(Zou et al. 2018, arXiv:1810.07911).

A fold's pseudo-labels come from that fold's own model, which has not seen the rows it is judged on;
labels given by the other folds' models would carry those rows' answers back in.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from fewtune.base.errors import FewtuneError, Interrupted
from fewtune.base.events import Event, tell
from fewtune.models.temperature import best_temperature
from fewtune.tasks.labelled import Labelled
from fewtune.train.bench import Examples
from fewtune.trials.folds import Line, Setting, Trial, compared, on_folds, probe_of

RIGHT = 0.9  # of the held-out answers that are as sure as a row which is taken
WITNESSES = 10  # such answers at the least
SURE = 0.5  # what is less likely than not is no label


@dataclass(frozen=True)
class Accepted:
    """Unlabelled rows that the final fit learns.

    Attributes:
        rows: (accepted,) positions in the unlabelled rows.
        targets: one each, as the task has them.
        confidence: (accepted,) calibrated probability of that label, of several labels that of the
            least certain; mean over folds.
        least: probability from which on rows were taken.
    """

    rows: np.ndarray
    targets: np.ndarray
    confidence: np.ndarray
    least: float


@dataclass(frozen=True)
class Outcome:
    """What self-training came to.

    Attributes:
        table: a line a round, as `compared` has them; the first learned the labelled rows alone.
        accepted: rows for the final fit; None where no round was better beyond noise.
        best: the trial of what the final fit learns.
    """

    table: list[Line]
    accepted: Accepted | None
    best: Trial


def self_train(
    setting: Setting, unlabelled: Examples, rounds: int, confidence: float | None = None
) -> Generator[Event, None, Outcome]:
    """Try rounds of self-training on folds; stop when held-out log-loss worsens.

    Args:
        unlabelled: rows whose `targets` mean nothing.
        rounds: most rounds after the first fit.
        confidence: least calibrated probability of a row that is taken; where not given that from
            which on the answers to held-out rows are right nine times in ten.
    """
    trials = [(yield from on_folds(setting, "labelled rows alone", ask=unlabelled.rows))]
    taken = [0]
    for number in range(1, rounds + 1):
        # the share of rows that may be taken grows with the rounds: the first labels are the worst
        chosen = [
            _of_fold(setting, fold, trials[-1], unlabelled, confidence, number / rounds)
            for fold in range(len(setting.folds))
        ]
        if not all(len(one.rows) for one in chosen):
            break
        extra = [_labelled(unlabelled, one) for one in chosen]
        name = f"self-training, round {number}"
        try:
            trial = yield from on_folds(setting, name, extra, unlabelled.rows)
        except Interrupted:
            raise
        except FewtuneError as error:  # a rate at which the loss is no number, and the like
            yield tell("warned", message=f"{name} is left out, for a fit failed: {error}")
            break
        trials.append(trial)
        taken.append(round(sum(len(one.rows) for one in chosen) / len(chosen)))
        if trial.log_loss > trials[-2].log_loss:
            break
    table = compared(trials, taken)
    best = min(
        (k for k, line in enumerate(table) if line["better"]),
        key=lambda k: trials[k].log_loss,
        default=0,
    )
    accepted = None
    if best:
        accepted = _for_all(setting, trials[best - 1], confidence, best / rounds)
        if not len(accepted.rows):  # each fold's model was sure of some, and all together of none
            best, accepted = 0, None
    kept = [trials[best].name] if best else []
    yield tell("tried", what="self-training", table=table, kept=kept)
    return Outcome(table, accepted, trials[best])


def _of_fold(
    setting: Setting,
    fold: int,
    last: Trial,
    unlabelled: Examples,
    confidence: float | None,
    share: float,
) -> Accepted:
    """What a fold's model and its probe agree on; the probe is the second opinion a fold has."""
    learned = np.setdiff1d(np.arange(len(setting.examples)), setting.folds[fold])
    others = np.setdiff1d(last.held, setting.folds[fold])
    answers = _calibrated(last.others[fold], last, others)
    probe = probe_of(setting, setting.examples.take(learned))
    chosen = setting.bench.task.choice.chosen
    agree = (chosen(probe.probabilities(unlabelled.features)) == chosen(answers)).all(axis=1)
    targets, task = setting.examples.targets[learned], setting.bench.task
    least = _least(task, last, others) if confidence is None else confidence
    return _balanced(task, answers, agree, targets, least, share)


def _for_all(setting: Setting, last: Trial, confidence: float | None, share: float) -> Accepted:
    """What the models of all folds agree on, for the final fit."""
    each = [_calibrated(one, last, last.held) for one in last.others]
    task = setting.bench.task
    chosen = np.stack([task.choice.chosen(one) for one in each])  # (folds, rows, classes)
    agree = (chosen == chosen[0]).all(axis=(0, 2))
    mean = np.mean(each, axis=0)
    least = _least(task, last, last.held) if confidence is None else confidence
    return _balanced(task, mean, agree, setting.examples.targets, least, share)


def _least(task: Labelled, last: Trial, rows: np.ndarray) -> float:
    """From which probability on the out-of-fold answers to some rows are right often enough.

    Returns:
        At least SURE; infinite where they never are, so that no row is taken.
    """
    answers = _calibrated(last.probabilities[rows], last, rows)
    given, sure, certain = task.confident(answers, SURE)
    right = (given == last.targets[rows]).reshape(len(rows), -1).all(axis=1)
    order = np.flatnonzero(certain)
    order = order[np.argsort(-sure[order], kind="stable")]
    falls = np.append(np.diff(sure[order]) < 0, True)[: len(order)]  # equally sure ones go together
    counts = np.arange(1, len(order) + 1)
    enough = falls & (counts >= WITNESSES) & (np.cumsum(right[order]) / counts >= RIGHT)
    return float(sure[order[enough]].min(initial=np.inf))


def _calibrated(answers: np.ndarray, last: Trial, rows: np.ndarray) -> np.ndarray:
    """Answers at the temperature that suits the out-of-fold answers to `rows` best."""
    choice = last.choice
    logits = choice.logits(last.probabilities[rows])
    temperature, _ = best_temperature(logits, last.targets[rows], choice=choice)
    return choice.probabilities(choice.logits(answers) / temperature)


def _balanced(
    task: Labelled,
    answers: np.ndarray,
    agree: np.ndarray,
    targets: np.ndarray,
    confidence: float,
    share: float,
) -> Accepted:
    """The surest rows of every class, in the proportions of the labelled rows.

    The rarest classes choose first, and a row of several labels is taken only where none of them
    has its part already: else the commonest label would come along with all others. Rows without a
    label are a class too.
    """
    given, sure, certain = task.confident(answers, confidence)
    ones, usual = _or_none(task.ones(given)), _or_none(task.ones(targets)).mean(axis=0)
    room = np.ceil(share * usual * len(answers)).astype(np.int64)  # (classes,)
    taken = np.zeros(len(answers), dtype=bool)
    for label in np.argsort(usual, kind="stable"):
        fit = np.flatnonzero(ones[:, label] & agree & certain & ~taken)
        for row in fit[np.argsort(-sure[fit], kind="stable")].tolist():
            if (room[ones[row]] > 0).all():
                taken[row] = True
                room[ones[row]] -= 1
    chosen = np.flatnonzero(taken)
    return Accepted(chosen, given[chosen], sure[chosen], confidence)


def _or_none(ones: np.ndarray) -> np.ndarray:
    """Which classes rows have, and whether they have none, (rows, classes + 1)."""
    return np.concatenate([ones, ~ones.any(axis=1, keepdims=True)], axis=1)


def _labelled(unlabelled: Examples, accepted: Accepted) -> Examples:
    """Unlabelled rows with the labels they were given."""
    some = unlabelled.take(accepted.rows)
    return Examples(some.rows, accepted.targets, some.features)
