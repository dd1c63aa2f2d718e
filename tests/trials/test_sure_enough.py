"""From which probability on unlabelled rows are taken, where nobody says."""

import numpy as np
import pytest

from fewtune.tasks.classify import Classify
from fewtune.tasks.multilabel import Multilabel
from fewtune.trials.folds import Trial
from fewtune.trials.self_training import RIGHT, SURE, _calibrated, _least

ROWS = 400
FOLDS = tuple(np.array_split(np.arange(ROWS), 4))


def trial(probabilities, targets):
    answers = tuple(probabilities[held] for held in FOLDS)
    return Trial("full", answers, FOLDS, targets)


@pytest.fixture
def honest():
    """Two classes, as often right as the probability says."""
    chance = np.random.default_rng(0)
    sure = chance.uniform(0.5, 1, ROWS)
    targets = chance.integers(0, 2, ROWS)
    said = np.where(chance.random(ROWS) < sure, targets, 1 - targets)
    found = np.full((ROWS, 2), 1 - sure[:, None])
    found[np.arange(ROWS), said] = sure
    return trial(found, targets)


def test_of_answers_that_are_as_sure_nine_in_ten_are_right(honest):
    rows = np.arange(ROWS)
    least = _least(Classify(("a", "b")), honest, rows)
    assert 0.7 < least < 0.95  # calibrated: rows above .8 are right in nine of ten
    answers = _calibrated(honest.probabilities, honest, rows)
    right = answers.argmax(1) == honest.targets
    assert right[answers.max(1) >= least].mean() >= RIGHT
    for lower in np.linspace(SURE, least - 0.01, 20):
        assert right[answers.max(1) >= lower].mean() < RIGHT


def test_who_is_never_right_often_enough_gives_no_labels():
    chance = np.random.default_rng(1)
    targets = chance.integers(0, 2, ROWS)
    found = np.full((ROWS, 2), 0.4)
    found[np.arange(ROWS), chance.integers(0, 2, ROWS)] = 0.6
    assert _least(Classify(("a", "b")), trial(found, targets), np.arange(ROWS)) == np.inf


def test_a_fold_does_not_look_at_its_own_rows(honest):
    held = FOLDS[0]
    others = np.setdiff1d(np.arange(ROWS), held)
    before = _least(Classify(("a", "b")), honest, others)
    honest.targets[held] = 1 - honest.targets[held]
    assert _least(Classify(("a", "b")), honest, others) == before


def test_of_several_labels_all_must_be_right():
    chance = np.random.default_rng(2)
    targets = chance.integers(0, 2, (ROWS, 2)).astype(np.float32)
    sure = np.where(targets == 1, 0.95, 0.05)
    sure[:200, 1] = np.where(targets[:200, 1] == 1, 0.3, 0.7)  # wrong, and less sure
    task = Multilabel(("a", "b"), least=0)
    answers = tuple(sure[held] for held in FOLDS)
    found = Trial("full", answers, FOLDS, targets, choice=task.choice)
    least = _least(task, found, np.arange(ROWS))
    _, surest, _ = task.confident(_calibrated(sure, found, np.arange(ROWS)), SURE)
    assert (surest >= least).sum() == 200
