"""The two candidates that scikit-learn fits, kept as plain numbers."""

import json

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from fewtune.models.choice import ONE_OF, AnyOf
from fewtune.models.ngrams import KINDS, NgramModel, fit_ngrams
from fewtune.models.probe import fit_probe, out_of_fold, softmax
from fewtune.tasks.classify import balanced_weights


def drawn(classes=3, rows=120, width=8):
    """Features of very unlike scales, with a little of the class in each."""
    chance = np.random.default_rng(0)
    labels = chance.integers(0, classes, rows)
    centres = chance.normal(size=(classes, width))
    scales = 10.0 ** np.arange(-3, width - 3)
    found = (centres[labels] + chance.normal(size=(rows, width))) * scales + 5 * scales
    return found.astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_probe_is_scikit_learn_s_regression_on_standardised_features(classes, weighted):
    features, labels = drawn(classes)
    weights = np.array(balanced_weights(labels, classes)) * [5, *[1] * (classes - 1)]
    weights = weights if weighted else None
    probe = fit_probe(features, labels, classes, 30.0, weights)
    scaler = StandardScaler().fit(features.astype(np.float64))
    standard = scaler.transform(features.astype(np.float64)) / np.sqrt(features.shape[1])
    by_class = None if weights is None else dict(enumerate(weights))
    theirs = LogisticRegression(C=30.0, max_iter=1000, tol=1e-3, class_weight=by_class)
    wanted = theirs.fit(standard, labels).predict_proba(standard)
    np.testing.assert_allclose(probe.probabilities(features), wanted, atol=1e-3)
    assert probe.weight.shape == (classes, features.shape[1])


def test_two_classes_make_two_rows_that_mirror_each_other():
    features, labels = drawn(2)
    probe = fit_probe(features, labels, 2)
    np.testing.assert_array_equal(probe.weight[0], -probe.weight[1])
    np.testing.assert_allclose(probe.probabilities(features).sum(1), 1)
    assert (probe.probabilities(features).argmax(1) == labels).mean() > 0.8


def test_features_of_length_one_are_only_centred():
    features, labels = drawn(3, width=6)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    probe = fit_probe(unit, labels, 3, 30.0)
    plain = LogisticRegression(C=30.0, max_iter=1000, tol=1e-3).fit(
        (unit - unit.mean(0, dtype=np.float64)), labels
    )
    np.testing.assert_allclose(probe.weight, plain.coef_)


def test_the_penalty_is_chosen_by_the_lowest_loss_on_rows_held_out():
    features, labels = drawn(3)
    folds = np.array_split(np.random.default_rng(1).permutation(len(labels)), 5)
    tried, out = out_of_fold(features, labels, 3, folds, (0.1, 1.0, 100.0))
    assert [one.log_loss for one in tried] == sorted(one.log_loss for one in tried)
    best = tried[0]
    assert best.log_loss == pytest.approx(-np.log(out[np.arange(len(labels)), labels]).mean())
    (held, *_) = folds
    train = np.setdiff1d(np.arange(len(labels)), held)
    alone = fit_probe(features[train], labels[train], 3, best.c).at(best.temperature)
    # its rows were not among those it learnt
    np.testing.assert_allclose(out[held], alone.probabilities(features[held]))


def test_a_setting_is_judged_at_its_best_temperature():
    features, labels = drawn(3)
    folds = np.array_split(np.arange(len(labels)), 4)
    (tried, *_), out = out_of_fold(features, labels, 3, folds, (0.01,))
    own = np.arange(len(labels)), labels
    logits = np.log(out) * tried.temperature
    for other in (0.5, 2.0):
        assert tried.log_loss <= -np.log(softmax(logits / (tried.temperature * other))[own]).mean()
    assert tried.temperature < 0.9  # so strong a penalty is timid by itself


def test_a_class_that_a_fold_lacks_is_its_least_likely_one():
    features, labels = drawn(2, rows=40)
    labels[0] = 2  # one row
    folds = [np.arange(10), np.arange(10, 40)]
    for given in (None, np.array([1.0, 1.0, 5.0])):
        (tried, *_), out = out_of_fold(features, labels, 3, folds, (1.0,), given)
        assert out[0, 2] == out[0].min()
        assert np.isfinite(tried.log_loss)


def test_class_weights_move_the_chosen_loss():
    features, labels = drawn(3)
    folds = np.array_split(np.arange(len(labels)), 4)
    plain = out_of_fold(features, labels, 3, folds)[0]
    assert out_of_fold(features, labels, 3, folds, weights=np.array([9.0, 1.0, 1.0]))[0] != plain


def test_softmax_holds_for_large_numbers():
    np.testing.assert_allclose(softmax(np.array([[1e4, 1e4 - 1]])).sum(), 1)


# --- n-grams --------------------------------------------------------------------------------------

TEXTS = [
    "bearing 6205-2RS worn", "belt slipping on pulley", "Bearing noisy, replaced 6205",
    "belt torn", "轴承损坏，已更换", "皮带打滑", "轴承异响", "皮带断裂，更换皮带",
]  # fmt: skip
TRUTH = np.array([0, 1, 0, 1, 0, 1, 0, 1])


@pytest.mark.parametrize("classes", [2, 3])
def test_ngrams_saved_and_read_give_the_same_numbers(tmp_path, classes):
    truth = TRUTH.copy()
    truth[-1] = classes - 1
    model = fit_ngrams(TEXTS, truth, classes)
    model.save(tmp_path)
    again = NgramModel.load(tmp_path)
    asked = [*TEXTS, "a word nobody saw", "", "轴承 6205", "🛠️ 轴承"]
    np.testing.assert_array_equal(again.probabilities(asked), model.probabilities(asked))
    np.testing.assert_allclose(model.probabilities(asked).sum(1), 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "ngrams.json",
        "ngrams.safetensors",
    ]


def test_chinese_is_learnt_by_its_characters_and_kept_as_itself(tmp_path):
    model = fit_ngrams(TEXTS, TRUTH, 2)
    assert model.probabilities(["轴承过热", "皮带老化"]).argmax(1).tolist() == [0, 1]
    model.save(tmp_path)
    written = (tmp_path / "ngrams.json").read_text(encoding="utf-8")
    assert "轴承" in written
    assert json.loads(written).keys() == KINDS.keys()


def test_ngram_features_are_scikit_learn_s():
    model = fit_ngrams(TEXTS, TRUTH, 2)
    columns = model.features(TEXTS).toarray()
    at = 0
    for kind in KINDS.values():
        theirs = TfidfVectorizer(**kind, sublinear_tf=True).fit_transform(TEXTS).toarray()
        np.testing.assert_allclose(columns[:, at : at + theirs.shape[1]], theirs)
        at += theirs.shape[1]
    assert at == columns.shape[1]


def test_class_weights_move_the_ngram_model():
    plain, moved = (
        fit_ngrams(TEXTS, TRUTH, 2, weights=weights).probabilities(["belt bearing"])
        for weights in (None, np.array([20.0, 1.0]))
    )
    assert moved[0, 0] > plain[0, 0]


@pytest.mark.parametrize("truth", [TRUTH, np.eye(2)[TRUTH]], ids=["one label", "several"])
def test_a_temperature_keeps_the_ranking_and_is_saved(truth, tmp_path):
    model = fit_ngrams(TEXTS, truth, 2)
    choice = ONE_OF if truth.ndim == 1 else AnyOf()
    wanted = choice.probabilities(choice.logits(model.probabilities(TEXTS)) / 0.4)
    surer = model.at(0.4)
    np.testing.assert_allclose(surer.probabilities(TEXTS), wanted)
    surer.save(tmp_path)
    again = NgramModel.load(tmp_path, truth.ndim == 1).probabilities(TEXTS)
    np.testing.assert_array_equal(again, surer.probabilities(TEXTS))
