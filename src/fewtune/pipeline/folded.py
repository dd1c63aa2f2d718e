"""The last stages where no rows are held out: every training row is a test row of one fold.

A row is answered by fits that did not learn it, and by the candidate that was chosen without a look
at its fold. That scores the whole choice on all rows, and the artefact may learn all of them
(docs/decisions/0013).
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

import numpy as np

from fewtune.base.errors import FewtuneError
from fewtune.base.events import Event, tell
from fewtune.methods.predictor import load_predictor
from fewtune.pipeline.classify import CHECKED
from fewtune.pipeline.race import Raced
from fewtune.pipeline.run import Run
from fewtune.pipeline.scoring import predictions, write_scores
from fewtune.pipeline.thresholds import texts
from fewtune.tasks.labelled import Answered, Labelled

NEAR = 1e-3  # between float32 probabilities before and after saving; kernels round otherwise
BASELINES = ("tfidf", "probe")


def finish_on_folds(run: Run, task: Labelled, raced: Raced) -> Iterator[Event]:
    """Score what the folds answered, see that the artefact is the model that was trained."""
    begun = perf_counter()
    _prove(run)
    scored = raced.scored
    rows = [run.data.train[k] for k in scored]
    found = _answers(raced)[scored]
    if left := len(run.data.train) - len(rows):
        yield tell("warned", message=_unscored(run, raced, left))
    for name, one in _baselines(run, raced).items():
        run.baselines[name] = one
        right = (one.chosen == raced.task.ones(raced.targets[scored])).all(axis=1)
        yield tell("baseline", baseline=name, accuracy=float(right.mean()))
    told = predictions(rows, found, task)
    by = np.empty(len(raced.targets), dtype=object)
    fold_of = np.zeros(len(raced.targets), dtype=int)
    chosen = zip(raced.first_folds, raced.chosen_by_fold, strict=True)
    for number, (held, name) in enumerate(chosen):
        by[held], fold_of[held] = name, number + 1
    run.folder.write_predictions(
        line | {"fold": int(fold), "by": name}
        for line, fold, name in zip(told, fold_of[scored], by[scored], strict=True)
    )
    where = f"training rows, each held out in one of {len(raced.chosen_by_fold)} folds"
    yield from write_scores(run, task, rows, found, begun, where)


def _unscored(run: Run, raced: Raced, left: int) -> str:
    """Rows that are learned and never answered by a fit that did not learn them."""
    first = run.data.train[int(np.setdiff1d(np.arange(len(raced.targets)), raced.scored)[0])]
    several = f"{left:,} rows are" if left > 1 else "1 row is"
    return (
        f"{several} held out in no fold and so not scored, for a class needs a row to learn from "
        f"(the first: {first.origin}); add rows of that class."
    )


def _answers(raced: Raced) -> np.ndarray:
    """Of every row the calibrated answer of what was chosen without its fold, (rows, classes)."""
    found = np.zeros((len(raced.targets), len(raced.task.labels)))
    for held, name in zip(raced.first_folds, raced.chosen_by_fold, strict=True):
        found[held] = raced.probabilities(name)[held]
    return found


def _baselines(run: Run, raced: Raced) -> dict[str, Answered]:
    """What always wins, n-grams and the probe, on the same folds."""
    task, targets, scored = raced.task, raced.targets, raced.scored
    common = np.zeros((len(targets), len(task.labels)))
    for held in raced.first_folds:
        learned = np.setdiff1d(np.arange(len(targets)), held)
        common[held] = task.majority(targets[learned], len(held))
    found = {"majority": common}
    ran = [name for name in BASELINES if name in raced.outcome.answers]
    found |= {name: raced.probabilities(name) for name in ran}
    kind = run.job.trials.thresholds
    return {
        name: task.decided_on(one[scored], targets[scored], kind).answered(one[scored])
        for name, one in found.items()
    }


def _prove(run: Run) -> None:
    """The saved artefact answers as the model in memory did.

    Raises:
        FewtuneError: it does not.
    """
    rows = run.data.train[:CHECKED]
    predictor = load_predictor(run.folder.model, run.chosen.get("device", "auto"), False)
    apart = np.abs(predictor.probabilities(texts(rows)) - run.facts["answers"]).max()
    if not apart <= NEAR:
        raise FewtuneError(
            f"{run.folder.model}: the saved model's probabilities differ by {apart:.2g} from those "
            "of the model that was trained, and must not be used; report this with the run folder."
        )
