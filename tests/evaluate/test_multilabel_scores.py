"""Scores of several labels a row, set beside scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.evaluate.classify import UNSEEN_LABEL
from fewtune.evaluate.multilabel import boiled, gain, per_class, precision_draws, score, tags
from fewtune.evaluate.options import EvaluateOptions
from fewtune.evaluate.verdict import verdict

FEW = EvaluateOptions(bootstrap=100)


def drawn(rows=200, classes=5, noise=1.0, seed=0):
    chance = np.random.default_rng(seed)
    truth = (chance.random((rows, classes)) < np.linspace(0.05, 0.5, classes)).astype(int)
    logits = 2 * truth - 1.5 + np.random.default_rng(seed + 1).normal(0, noise, truth.shape)
    shares = 1 / (1 + np.exp(-logits))
    return truth, shares > 0.4, shares


@pytest.mark.parametrize("seed", range(5))
def test_every_number_is_scikit_learn_s(seed):
    truth, chosen, shares = drawn(seed=seed)
    found = {name: one["value"] for name, one in score(tags(truth, chosen, shares), FEW).items()}
    ours = {"zero_division": 0.0}
    wanted = {
        "micro_f1": metrics.f1_score(truth, chosen, average="micro", **ours),
        "macro_f1": metrics.f1_score(truth, chosen, average="macro", **ours),
        "samples_f1": metrics.f1_score(truth, chosen, average="samples", zero_division=1.0),
        "subset_accuracy": metrics.accuracy_score(truth, chosen),
        "hamming_loss": metrics.hamming_loss(truth, chosen),
        "micro_precision": metrics.precision_score(truth, chosen, average="micro", **ours),
        "micro_recall": metrics.recall_score(truth, chosen, average="micro", **ours),
        "macro_precision": metrics.precision_score(truth, chosen, average="macro", **ours),
        "macro_recall": metrics.recall_score(truth, chosen, average="macro", **ours),
        "log_loss": np.mean(
            [metrics.log_loss(t, s) for t, s in zip(truth.T, shares.T, strict=True)]
        ),
        "mean_average_precision": metrics.average_precision_score(truth, shares),
    }
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name


def test_ties_of_probability_are_ranked_together():
    truth, chosen, shares = drawn(60)
    rough = shares.round(1)
    found = precision_draws(tags(truth, chosen, rough), 10)
    assert found.value == pytest.approx(metrics.average_precision_score(truth, rough))


def test_resampled_precision_is_that_of_the_repeated_rows():
    truth, chosen, shares = drawn(40)
    found = precision_draws(tags(truth, chosen, shares), 20, seed=3)
    again = precision_draws(tags(truth, chosen, shares), 20, seed=3)
    np.testing.assert_array_equal(found.drawn, again.drawn)
    twice = np.repeat(np.arange(40), 2)
    doubled = precision_draws(tags(truth[twice], chosen[twice], shares[twice]), 1)
    assert doubled.value == pytest.approx(found.value)


def test_intervals_hold_the_value_and_few_rows_say_nothing():
    truth, chosen, shares = drawn()
    for name, one in score(tags(truth, chosen, shares), FEW).items():
        assert one["low"] < one["value"] < one["high"], name
    perfect = score(tags(truth, truth, shares), FEW)["micro_f1"]
    assert perfect["value"] == perfect["high"] == 1
    assert perfect["low"] < 0.99
    few = score(tags(truth[:3], chosen[:3], shares[:3]), FEW)["micro_f1"]
    assert (few["low"], few["high"]) == (0, 1)


def test_labels_that_no_training_row_has_are_missed():
    truth, chosen, shares = drawn()
    unseen = np.zeros((len(truth), 1), dtype=int)
    unseen[:20] = 1
    plain = boiled(tags(truth, chosen, shares))
    found = boiled(tags(np.concatenate([truth, unseen], axis=1), chosen, shares))

    def value(block, name):
        return float(block[name].function(block[name].rows.sum(axis=0)[None])[0])

    hits = (truth & chosen).sum()
    assert value(found, "micro_recall") == pytest.approx(hits / (truth.sum() + 20))
    assert value(found, "micro_precision") == value(plain, "micro_precision")
    assert value(found, "macro_f1") == pytest.approx(value(plain, "macro_f1") * 5 / 6)
    assert value(found, "log_loss") == value(plain, "log_loss")
    table = per_class(tags(np.concatenate([truth, unseen], axis=1), chosen, shares), list("abcde"))
    assert table[-1] == {
        "label": UNSEEN_LABEL, "precision": None, "recall": 0.0, "f1": 0.0, "rows": 20,
    }  # fmt: skip


def test_the_gain_is_paired_and_its_sign_that_of_the_better():
    truth, chosen, shares = drawn(noise=0.5)
    _, worse, rough = drawn(noise=2.0)
    good, bad = tags(truth, chosen, shares), tags(truth, worse, rough)
    same = gain(good, {"probe": good}, "full", resamples=200)
    assert (same["value"], same["p"]) == (0, 1)
    found = gain(good, {"tfidf": bad, "full": bad}, "full", resamples=200)
    assert found["over"] == "tfidf"
    assert found["all"].keys() == {"tfidf"}
    assert 0 < found["low"] < found["value"] < found["high"]
    assert found["p"] < 0.05
    for name in ("log_loss", "hamming_loss", "subset_accuracy"):
        assert gain(good, {"a": bad}, "full", name, resamples=200)["value"] > 0
    said = verdict("full", 200, score(good, FEW), found, "micro_f1")
    assert said.startswith("`full` reaches a micro F1 of")
    with pytest.raises(UsageError, match="primary"):
        gain(good, {"a": bad}, "full", "accuracy")


def test_what_cannot_be_scored_is_said():
    truth, chosen, shares = drawn(10)
    with pytest.raises(FewtuneError, match="no rows"):
        tags(truth[:0], chosen[:0], shares[:0])
    with pytest.raises(FewtuneError, match="not numbers"):
        tags(truth, chosen, shares * np.nan)
    with pytest.raises(ValueError, match="fit"):
        tags(truth, chosen[:, :2], shares)


def test_a_rare_label_widens_the_intervals_of_macro_means():
    truth = np.zeros((1000, 2), dtype=int)
    truth[:990, 0] = truth[990:, 1] = 1
    found = score(tags(truth, truth > 0, np.where(truth, 0.9, 0.1)), EvaluateOptions(bootstrap=100))
    for name in ("macro_f1", "macro_precision", "macro_recall", "mean_average_precision"):
        assert found[name]["value"] == 1
        assert 0.85 < found[name]["low"] < 0.93, name
    assert found["micro_f1"]["low"] > 0.99


def test_rows_without_labels_say_nothing_of_recall():
    truth = np.zeros((1000, 2), dtype=int)
    truth[:10, 0] = 1
    found = score(tags(truth, truth > 0, np.where(truth, 0.9, 0.1)), EvaluateOptions(bootstrap=100))
    for name in ("micro_f1", "micro_precision", "micro_recall"):
        assert found[name]["low"] < 0.8, name
    assert found["subset_accuracy"]["low"] > 0.99


def test_a_row_of_many_labels_is_one_row_behind_their_mean():
    draw = np.random.default_rng(0)
    truth = draw.random((100, 10)) < 0.5
    truth[~truth.any(axis=1), 0] = True
    found = score(tags(truth, truth, np.where(truth, 0.9, 0.1)))
    for name in ("macro_recall", "macro_precision", "macro_f1", "mean_average_precision"):
        # a wrong row is wrong in five classes at once
        assert found[name]["low"] == pytest.approx(found["micro_recall"]["low"], abs=0.001), name


def test_systems_that_never_differ_may_differ_by_what_few_labelled_rows_leave_open():
    truth = np.zeros((500, 3), dtype=bool)
    truth[:5, 0] = True
    one = tags(truth, truth, np.where(truth, 0.9, 0.1))
    assert gain(one, {"probe": one}, "full")["high"] > 0.2
