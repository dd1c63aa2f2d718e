"""What logits mean: the regression of any classes, leads, answers."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fewtune.models.choice import ANY_OF, ONE_OF, AnyOf
from fewtune.models.ngrams import NgramModel, fit_ngrams
from fewtune.models.probe import fit_probe, out_of_fold


def drawn(rows=150, width=6, classes=4):
    chance = np.random.default_rng(0)
    found = chance.normal(size=(rows, width))
    logits = found @ chance.normal(size=(width, classes)) - 1
    return found, (chance.random((rows, classes)) < ANY_OF.probabilities(logits)).astype(np.float32)


@pytest.mark.parametrize("weights", [None, np.array([1.0, 3.0, 0.5, 2.0])])
def test_all_classes_at_once_are_scikit_learn_s_one_by_one(weights):
    found, targets = drawn()
    weight, bias = ANY_OF.regression(found, targets, 4, 2.0, weights)
    for k in range(4):
        heavy = None if weights is None else {0.0: 1.0, 1.0: weights[k]}
        theirs = LogisticRegression(C=2.0, tol=1e-8, max_iter=1000, class_weight=heavy)
        theirs.fit(found, targets[:, k])
        np.testing.assert_allclose(weight[k], theirs.coef_[0], atol=5e-3)
        assert bias[k] == pytest.approx(theirs.intercept_[0], abs=5e-3)


def test_a_class_without_a_row_is_unlikely_and_breaks_nothing():
    found, targets = drawn()
    targets[:, 2] = 0
    probe = fit_probe(found.astype(np.float32), targets, 4, 1.0, choice=ANY_OF)
    assert probe.probabilities(found)[:, 2].max() < 0.01


def test_many_classes_of_two_rows_are_no_matter_for_a_warning():
    found, _ = drawn(rows=40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weight, _ = ONE_OF.regression(found, np.arange(40) % 24, 24, 1.0, None)
    assert weight.shape == (24, 6)


def test_penalties_are_compared_by_binary_log_loss():
    found, targets = drawn()
    folds = np.array_split(np.arange(len(found)), 5)
    tried, out = out_of_fold(found, targets, 4, folds, (0.01, 1.0), choice=ANY_OF)
    assert tried[0].log_loss == pytest.approx(ANY_OF.losses(out, targets).mean())
    assert tried[0].log_loss < tried[1].log_loss


@pytest.mark.parametrize("choice", [ONE_OF, ANY_OF])
def test_logits_of_probabilities_have_those_probabilities(choice):
    found = choice.probabilities(np.random.default_rng(0).normal(size=(5, 3)))
    np.testing.assert_allclose(choice.probabilities(choice.logits(found)), found)


@pytest.mark.parametrize("least", [0, 1])
def test_no_answer_changes_while_logits_move_less_than_the_lead(least):
    chance = np.random.default_rng(0)
    choice = AnyOf(np.array([0.2, 0.5, 0.7]), least)
    logits = chance.normal(size=(500, 3)) - 1
    moved = logits + 0.3 * chance.uniform(-1, 1, logits.shape)
    before, after = (choice.chosen(choice.probabilities(one)) for one in (logits, moved))
    changed = (before != after).any(axis=1)
    assert 0 < changed.sum() < 500
    assert (choice.lead(logits)[changed] < 2 * 0.3).all()


def test_ngrams_of_several_labels_are_kept_and_do_not_sum_to_one(tmp_path):
    texts = ["the pump leaks oil", "door jams", "pump and door are old", "nothing of note"] * 3
    targets = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]] * 3)  # the last never occurs
    model = fit_ngrams(texts, targets, 3)
    found = model.probabilities(["pump door", "nothing"])
    assert (found[0, :2] > 0.5).all()
    assert (found[1] < 0.5).all()
    assert found[:, 2].max() < 0.1
    model.save(tmp_path)
    again = NgramModel.load(tmp_path, one_of=False)
    np.testing.assert_array_equal(again.probabilities(["pump door", "nothing"]), found)
