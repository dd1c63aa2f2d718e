"""The metrics are scikit-learn's, and cheap enough to resample a thousand times."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewtune.base.errors import FewtuneError
from fewtune.evaluate.metrics import METRICS, UNSEEN, effective_rows, outcome, stack, tally


def made_up(rows, classes, seed=0, sharp=2.0, unseen=0.0):
    """Truth and probabilities of a fair classifier; some labels are unseen."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, rows)
    logits = random.normal(size=(rows, classes))
    logits[np.arange(rows), truth] += sharp
    chances = np.exp(logits)
    truth[random.random(rows) < unseen] = UNSEEN
    return truth, chances / chances.sum(axis=1, keepdims=True)


def by_sklearn(truth, chances, positive=None):
    from sklearn import metrics as sk

    said = chances.argmax(axis=1)
    over = {"zero_division": 0}
    values = {
        "accuracy": sk.accuracy_score(truth, said),
        "balanced_accuracy": sk.recall_score(
            truth, said, labels=np.unique(truth), average="macro", **over
        ),
        "macro_f1": sk.f1_score(truth, said, average="macro", **over),
        "weighted_f1": sk.f1_score(truth, said, average="weighted", **over),
        "macro_precision": sk.precision_score(truth, said, average="macro", **over),
        "macro_recall": sk.recall_score(truth, said, average="macro", **over),
        "mcc": sk.matthews_corrcoef(truth, said),
    }
    seen = truth != UNSEEN
    if seen.any():
        labels = np.arange(chances.shape[1])
        values["log_loss"] = sk.log_loss(truth[seen], chances[seen], labels=labels)
    if positive is not None:
        one = {"labels": [positive], "average": "macro", **over}
        values["positive_f1"] = sk.f1_score(truth, said, **one)
        values["positive_precision"] = sk.precision_score(truth, said, **one)
        values["positive_recall"] = sk.recall_score(truth, said, **one)
    return values


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(2, 60),
    classes=st.integers(2, 9),
    seed=st.integers(0, 99),
    unseen=st.sampled_from([0.0, 0.2]),
)
def test_every_metric_is_that_of_scikit_learn(rows, classes, seed, unseen):
    truth, chances = made_up(rows, classes, seed, unseen=unseen)
    positive = 1 if classes == 2 else None
    expected = by_sklearn(truth, chances, positive)
    one = outcome(truth, chances, positive)
    for name, value in expected.items():
        assert METRICS[name].of(one) == pytest.approx(value, abs=1e-12), name
    assert len(expected) >= 7


def test_a_weighted_row_counts_as_so_many_copies():
    truth, chances = made_up(40, 4)
    times = np.random.default_rng(1).integers(0, 4, 40)
    copied = tally(outcome(truth.repeat(times), chances.repeat(times, axis=0)))
    weighted = tally(outcome(truth, chances), times[None].astype(float))
    for name, metric in METRICS.items():
        if not name.startswith("positive"):
            same = pytest.approx(metric.function(copied)[0], abs=1e-12)
            assert metric.function(weighted)[0] == same, name


def test_tallies_of_two_halves_add_up_to_the_whole():
    truth, chances = made_up(50, 3)
    first = (np.arange(50) < 20)[None].astype(float)
    one = outcome(truth, chances)
    both = tally(one, first) + tally(one, 1 - first)
    assert METRICS["macro_f1"].function(both)[0] == METRICS["macro_f1"].of(one)
    assert METRICS["ece"].function(stack([both, both])).shape == (2,)


def test_ece_is_the_mean_distance_of_confidence_from_accuracy_in_equal_bins():
    truth, chances = made_up(500, 3)
    confidence, right = chances.max(axis=1), chances.argmax(axis=1) == truth
    edges = np.linspace(0, 1, 16)
    expected = 0.0
    for low, high in pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            expected += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    assert METRICS["ece"].of(outcome(truth, chances)) == pytest.approx(expected, abs=1e-12)


def test_a_label_never_trained_on_is_always_wrong_and_left_out_of_log_loss_alone():
    sure = np.array([[1.0, 0.0], [1.0, 0.0]])
    one = outcome([0, UNSEEN], sure)
    assert METRICS["accuracy"].of(one) == 0.5
    assert METRICS["log_loss"].of(one) == 0.0
    assert METRICS["ece"].of(one) == 0.5
    assert np.isnan(METRICS["log_loss"].of(outcome([UNSEEN], sure[:1])))


def test_a_certain_mistake_costs_a_finite_loss():
    assert METRICS["log_loss"].of(outcome([1], [[1.0, 0.0]])) == METRICS["log_loss"].range[1]


def test_what_cannot_be_scored_is_refused_in_a_sentence():
    with pytest.raises(FewtuneError, match="no rows"):
        outcome([], np.zeros((0, 2)))
    with pytest.raises(FewtuneError, match=r"1 of 2 rows are not numbers \(first: row 2\)"):
        outcome([0, 1], [[0.5, 0.5], [np.nan, 0.5]])
    with pytest.raises(ValueError, match="a class below 2"):
        outcome([2], [[0.5, 0.5]])
    with pytest.raises(ValueError, match="do not fit"):
        outcome([0, 1], [[0.5, 0.5]])


def test_the_registry_holds_every_classification_metric():
    assert len(METRICS) == 12
    assert [name for name, metric in METRICS.items() if not metric.higher_is_better] == [
        "log_loss",
        "ece",
    ]


def test_rows_without_an_answer_are_wrong_and_no_class_of_their_own():
    truth = np.array([0, 1] * 500)
    said = np.eye(3)[truth]
    said[0] = [0, 0, 1]  # one of a thousand was not answered
    found = {name: one.of(outcome(truth, said, silent=2)) for name, one in METRICS.items()}
    assert found["accuracy"] == 0.999
    for name in ("macro_f1", "macro_precision", "macro_recall", "balanced_accuracy"):
        assert found[name] == pytest.approx(0.999, abs=0.002), name
    assert effective_rows(METRICS["macro_precision"], outcome(truth, said, silent=2)) > 990
