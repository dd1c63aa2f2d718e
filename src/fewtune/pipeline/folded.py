"""The last stages where no rows are held out: every training row is a test row of one fold.

A row is answered by fits that did not learn it, and by the candidate that was chosen without a look
at its fold. That scores the whole choice on all rows, and the artefact may learn all of them
(docs/decisions/0013).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from fewtune.base.errors import FewtuneError
from fewtune.base.events import Event, tell
from fewtune.data.row import Row
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
    answers = [raced.probabilities(name) for name in raced.chosen_by_fold]
    found = _answered(raced, answers, run.job.trials.thresholds)
    if note := unscored(run.data.train, scored):
        yield tell("warned", message=note)
    for name, one in _baselines(raced).items():
        kind = "common" if name == "majority" else run.job.trials.thresholds
        run.baselines[name] = theirs = _answered(raced, [one] * len(answers), kind)
        right = (theirs.chosen == raced.task.ones(raced.targets[scored])).all(axis=1)
        yield tell("baseline", baseline=name, accuracy=float(right.mean()))
    told = zip(predictions(rows, found, task), _by_whom(raced), strict=True)
    run.folder.write_predictions(line | whom for line, whom in told)
    where = f"training rows, each held out in one of {len(answers)} folds"
    yield from write_scores(run, task, rows, found, begun, where)


def _by_whom(raced: Raced) -> list[dict[str, Any]]:
    """Of every scored row the fold that held it out, from 1, and whose answer it has."""
    found = {
        row: {"fold": number + 1, "by": name}
        for number, name in enumerate(raced.chosen_by_fold)
        for row in raced.first_folds[number].tolist()
    }
    return [found[row] for row in raced.scored.tolist()]


def unscored(rows: Sequence[Row], scored: np.ndarray) -> str:
    """Of rows that are learned and never answered by a fit that did not learn them; nothing where
    there are none.

    Args:
        rows: the training rows.
        scored: positions of those that a fold holds out.
    """
    left = np.setdiff1d(np.arange(len(rows)), scored)
    if not len(left):
        return ""
    several = f"{len(left):,} rows are" if len(left) > 1 else "1 row is"
    return (
        f"{several} held out in no fold and so not scored, for a class needs a row to learn from "
        f"(the first: {rows[int(left[0])].origin}); add rows of that class."
    )


def _answered(raced: Raced, by_fold: Sequence[np.ndarray], kind: str) -> Answered:
    """What a system answered to the scored rows, by thresholds that have not seen them.

    Args:
        by_fold: for each fold the system's probabilities, (rows, classes): those of the fold's rows
            count, those of the others say from which probability on its labels are answered.
        kind: how those are chosen; who knows only how common a label is answers the common ones.
    """
    task, targets = raced.task, raced.targets
    probabilities = np.zeros((len(targets), len(task.labels)))
    chosen = np.zeros(probabilities.shape, dtype=bool)
    for held, one in zip(raced.first_folds, by_fold, strict=True):
        others = np.setdiff1d(raced.scored, held)
        answered = task.decided_on(one[others], targets[others], kind).answered(one[held])
        probabilities[held], chosen[held] = answered.probabilities, answered.chosen
    return Answered(probabilities[raced.scored], chosen[raced.scored])


def _baselines(raced: Raced) -> dict[str, np.ndarray]:
    """Of what always wins, n-grams and the probe: probabilities by fold, (rows, classes)."""
    task, targets = raced.task, raced.targets
    common = np.zeros((len(targets), len(task.labels)))
    for held in raced.first_folds:
        learned = np.setdiff1d(np.arange(len(targets)), held)
        common[held] = task.majority(targets[learned], len(held))
    found = {"majority": common}
    ran = [name for name in BASELINES if name in raced.outcome.answers]
    return found | {name: raced.probabilities(name) for name in ran}


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
