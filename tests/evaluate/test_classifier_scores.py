"""The blocks that a run and `evaluate` print."""

import json

import numpy as np
import pytest

from fewtune.base.errors import UsageError
from fewtune.evaluate.classify import (
    UNSEEN_LABEL,
    confusion,
    gain,
    per_class,
    positive_class,
    score,
)
from fewtune.evaluate.metrics import UNSEEN
from fewtune.evaluate.options import EvaluateOptions

QUICK = EvaluateOptions(bootstrap=100)


def answers(truth, right, classes):
    said = np.where(right, truth, (truth + 1) % classes)
    return np.eye(classes)[said] * 0.8 + 0.2 / classes


def test_a_block_has_value_low_and_high_for_every_metric():
    truth = np.arange(60) % 3
    block = score(truth, answers(truth, np.arange(60) % 5 > 0, 3), ["a", "b", "c"], QUICK)
    assert list(block) == [
        "accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "macro_precision",
        "macro_recall", "mcc", "log_loss", "ece",
    ]  # fmt: skip
    assert all(list(one) == ["value", "low", "high"] for one in block.values())
    json.dumps(block, allow_nan=False)


def test_of_two_classes_the_rarer_is_positive_unless_another_is_named():
    truth = np.array([0] * 5 + [1] * 15)
    chances = answers(truth, np.arange(20) > 1, 2)  # two of class 0 are wrong
    labels = ["faulty", "fine"]
    assert score(truth, chances, labels, QUICK)["positive_recall"]["value"] == 0.6
    named = EvaluateOptions(positive="fine", bootstrap=100)
    assert score(truth, chances, labels, named)["positive_recall"]["value"] == 1.0


def test_a_positive_class_that_cannot_be_is_refused_in_a_sentence():
    with pytest.raises(UsageError, match=r"one of ok, faulty; got 'fautly'\. Did you mean"):
        positive_class([0, 1], ["ok", "faulty"], "fautly")
    with pytest.raises(UsageError, match="this data has 3"):
        positive_class([0, 1, 2], ["a", "b", "c"], "a")
    assert positive_class([0, 1, 2], ["a", "b", "c"], None) is None
    assert positive_class([UNSEEN, 0, 1], ["a", "b"], None) == 1


def test_classes_one_by_one_are_those_of_scikit_learn():
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    random = np.random.default_rng(0)
    truth, chances = random.integers(0, 4, 80), random.random((80, 4))
    said, labels = chances.argmax(axis=1), list("abcd")
    expected = precision_recall_fscore_support(truth, said, zero_division=0)
    for k, one in enumerate(per_class(truth, chances, labels)):
        found = one["precision"], one["recall"], one["f1"], one["rows"]
        assert found == pytest.approx(tuple(column[k] for column in expected), abs=1e-12)
    found = confusion(truth, chances, labels)
    assert found == {"labels": labels, "matrix": confusion_matrix(truth, said).tolist()}


def test_rows_of_a_label_never_trained_on_stand_on_a_line_of_their_own():
    truth, chances = [0, UNSEEN, UNSEEN], [[0.9, 0.1], [0.9, 0.1], [0.2, 0.8]]
    found = confusion(truth, chances, ["a", "b"])
    assert found["labels"] == ["a", "b", UNSEEN_LABEL]
    assert found["matrix"] == [[1, 0, 0], [0, 0, 0], [1, 1, 0]]
    last = per_class(truth, chances, ["a", "b"])[-1]
    assert last == {"label": UNSEEN_LABEL, "precision": None, "recall": 0, "f1": 0, "rows": 2}


def systems(rows=400):
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, rows)
    draw = random.random(rows)
    chances = {
        name: answers(truth, draw < right, 3)
        for name, right in [("majority", 0.34), ("tfidf", 0.80), ("probe", 0.85), ("full", 0.90)]
    }
    return truth, chances.pop("full"), chances


@pytest.mark.parametrize("primary", ["accuracy", "macro_f1", "log_loss"])
def test_the_gain_is_over_the_best_baseline_and_told_for_all(primary):
    truth, ours, baselines = systems()
    found = gain(ours, baselines, truth, "full", primary, resamples=200)
    assert found["over"] == "probe"
    assert list(found["all"]) == ["majority", "tfidf", "probe"]
    assert {key: found[key] for key in found["all"]["probe"]} == found["all"]["probe"]
    assert list(found) == ["over", "value", "low", "high", "p", "detectable", "all"]
    assert found["low"] > 0
    json.dumps(found, allow_nan=False)


def test_a_baseline_is_not_compared_with_itself():
    truth, _, baselines = systems()
    found = gain(baselines["probe"], baselines, truth, "probe")
    assert found["over"] == "tfidf"
    assert "probe" not in found["all"]


def test_p_values_are_corrected_for_the_number_of_baselines():
    truth, ours, baselines = systems(60)
    alone = gain(ours, {"probe": baselines["probe"]}, truth, "full")
    three = gain(ours, {f"probe{k}": baselines["probe"] for k in range(3)}, truth, "full")
    assert three["p"] == pytest.approx(min(3 * alone["p"], 1.0))


def test_without_a_baseline_there_is_no_gain():
    truth, ours, _ = systems(20)
    assert gain(ours, {}, truth, "full") == {}
    unseen = np.full(20, UNSEEN)
    assert gain(ours, {"tfidf": ours}, unseen, "full", "log_loss", resamples=100) == {}


def test_an_unknown_primary_metric_is_refused_in_a_sentence():
    truth, ours, baselines = systems(20)
    with pytest.raises(UsageError, match=r"primary: one of accuracy, .* Did you mean 'macro_f1'"):
        gain(ours, baselines, truth, "full", "macro-f1")
