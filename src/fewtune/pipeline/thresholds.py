"""From which probability on labels are answered: chosen on folds of the training rows.

A row of one label is answered with the likeliest and needs none of this.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fewtune.base.events import Event
from fewtune.data.holdout import folds_of
from fewtune.data.row import Row
from fewtune.methods import METHODS
from fewtune.pipeline.run import Run
from fewtune.pipeline.setting import setting_of
from fewtune.tasks.labelled import Labelled

if TYPE_CHECKING:
    from fewtune.models.ngrams import NgramModel
    from fewtune.train.bench import Bench, Examples

FOLDS = 3  # fits of two thirds of the rows; five would take twice as long
FROM = "labels are answered from a probability of"
KEPT = "thresholds"  # in the plan: a system's name -> the thresholds of its labels


def decide(run: Run, bench: Bench, examples: Examples) -> Generator[Event, None, None]:
    """The thresholds of the method at hand, into the bench's task; replayed on a resume."""
    if not bench.task.decides:
        return
    own = run.method.spell()
    if kept(run, own) is None:
        folds = folds_of(run.data.train, FOLDS, run.seed)
        found = np.zeros((len(examples), len(bench.task.labels)))
        if run.job.trials.thresholds != "half":
            found = yield from _out_of_fold(run, bench, examples, folds)
        keep(run, bench.task, own, found, examples.targets, folds)
    bench.task = bench.task.at(kept(run, own))


def _out_of_fold(
    run: Run, bench: Bench, examples: Examples, folds: list[np.ndarray]
) -> Generator[Event, None, np.ndarray]:
    """The method's answers to the training rows, each by a fit that did not see it."""
    from fewtune.trials.folds import on_folds

    setting = setting_of(run, bench, examples, folds)
    return (yield from on_folds(setting, "thresholds")).probabilities


def decide_ngrams(run: Run, task: Labelled) -> Labelled:
    """The task with the thresholds of TF-IDF."""
    if not task.decides:
        return task
    if kept(run, "tfidf") is None:
        rows, targets = run.data.train, task.targets(run.data.train)
        folds = folds_of(rows, FOLDS, run.seed)
        found = np.zeros(targets.shape)
        for held in folds if run.job.trials.thresholds != "half" else ():
            learned = np.setdiff1d(np.arange(len(rows)), held)
            model = fit_tfidf(run, task, learned)
            found[held] = model.probabilities(texts([rows[k] for k in held]))
        keep(run, task, "tfidf", found, targets, folds)
    return task.at(kept(run, "tfidf"))


def fit_tfidf(run: Run, task: Labelled, some: np.ndarray | None = None) -> NgramModel:
    """Words and characters counted; the method `tfidf` with its options, or the baseline.

    Args:
        some: positions of the training rows to learn; all where not given.
    """
    from fewtune.models.ngrams import fit_ngrams

    options = METHODS["tfidf"]() if run.method.needs_model else run.method
    rows = run.data.train if some is None else [run.data.train[k] for k in some]
    return fit_ngrams(
        texts(rows),
        task.targets(rows),
        len(task.labels),
        options.tfidf_c,  # type: ignore[attr-defined]
        None if task.class_weights is None else np.array(task.class_weights),
    )


def keep(
    run: Run,
    task: Labelled,
    name: str,
    answers: np.ndarray,
    targets: np.ndarray,
    folds: Sequence[np.ndarray],
) -> None:
    """Choose a system's thresholds and write them down.

    Args:
        answers: (rows, classes), out of fold.
        folds: the rows that are in one.
    """
    if not task.decides:
        return
    held = np.unique(np.concatenate(folds))
    decided = task.decided_on(answers[held], targets[held], run.job.trials.thresholds)
    limits = decided.limits or ()
    run.chosen.setdefault(KEPT, {})[name] = list(limits)
    if name == run.method.spell() and run.job.trials.thresholds != "half":
        why = (
            _why(limits, len(folds))
            if targets[held].any()
            else "0.50 on: no row of a fold has one."
        )
        # what is learned may change after a first choice, by rows without labels that are learned
        run.reasons[:] = [one for one in run.reasons if not one.startswith(FROM)]
        run.reasons.append(f"{FROM} {why}")


def _why(limits: Sequence[float], folds: int) -> str:
    several = len(set(limits)) > 1
    span = f"{min(limits):.2f} to {max(limits):.2f}" if several else f"{limits[0]:.2f}"
    return f"{span} on: the highest F1 on {folds} folds of the training rows."


def kept(run: Run, name: str) -> list[float] | None:
    """The thresholds that are written down for a system."""
    found: dict[str, Any] = run.chosen.get(KEPT, {})
    return found.get(name)


def texts(rows: Sequence[Row]) -> list[str]:
    """The rows' texts."""
    return [row["text"] for row in rows]
