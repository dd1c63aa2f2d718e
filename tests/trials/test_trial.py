"""What out-of-fold answers come to, also where folds are repeated."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fewtune.data.row import Origin, Row
from fewtune.models.choice import ONE_OF
from fewtune.models.probe import fit_probe, out_of_fold
from fewtune.models.temperature import best_temperature
from fewtune.pipeline.run import Run
from fewtune.trials.folds import Setting, Trial, compared, uncalibrated
from fewtune.trials.options import TrialOptions

TARGETS = np.array([0, 1, 0, 1])
FOLDS = (np.array([0, 1]), np.array([2, 3]))


def of(*columns):
    """Answers of two classes by the probability of the first."""
    return tuple(np.stack([np.array(one), 1 - np.array(one)], axis=1) for one in columns)


def test_each_row_counts_once():
    trial = Trial("a", of([0.8, 0.4], [0.5, 0.1]), FOLDS, TARGETS)
    assert trial.losses == pytest.approx(-np.log([0.8, 0.6, 0.5, 0.9]))
    assert trial.accuracy == 1


def test_repeats_are_averaged_row_by_row():
    again = (np.array([3, 0]), np.array([2, 1]))
    answers = of([0.8, 0.4], [0.5, 0.1], [0.6, 0.2], [0.7, 0.4])
    trial = Trial("a", answers, FOLDS + again, TARGETS)
    first, second = np.array([0.8, 0.6, 0.5, 0.9]), np.array([0.2, 0.6, 0.7, 0.4])
    assert trial.losses == pytest.approx(-(np.log(first) + np.log(second)) / 2)
    assert trial.accuracy == pytest.approx((0.5 + 1 + 1 + 0.5) / 4)
    assert list(trial.held) == [0, 1, 2, 3]
    assert trial.probabilities[0] == pytest.approx([0.5, 0.5])


def test_a_row_in_no_fold_counts_nowhere():
    trial = Trial("a", of([0.8]), (np.array([2]),), TARGETS)
    assert list(trial.held) == [2]
    assert len(trial.losses) == 1
    assert not trial.probabilities[0].any()


def test_what_only_makes_answers_less_sure_is_no_gain_where_they_are_calibrated():
    draw = np.random.default_rng(0)
    scores, targets = draw.normal(size=(300, 3)), draw.integers(0, 3, 300)
    scores[np.arange(300), targets] += 1.0
    folds = tuple(np.array_split(np.arange(300), 3))

    def sharp(times):
        shares = ONE_OF.probabilities(scores * times)
        return Trial(f"{times}", tuple(shares[held] for held in folds), folds, targets)

    surer, calmer = sharp(3.0), sharp(2.0)
    (line,) = compared([surer, calmer], [0, 0])[1:]
    assert line["better"]
    cooled = [one.calibrated() for one in (surer, calmer)]
    (line,) = compared(cooled, [0, 0])[1:]
    assert not line["better"]
    assert cooled[0].temperature > cooled[1].temperature > 1
    assert cooled[0].losses.mean() < surer.losses.mean()
    assert cooled[0].accuracy == surer.accuracy


@pytest.mark.parametrize(
    ("given", "rows", "scored", "count"),
    [
        (None, 999, False, 5),  # few rows: a third of them would be missed
        (None, 1000, False, 3),
        (None, 1999, True, 5),  # every fold's model is scored, and nearer to the final one
        (7, 5000, False, 7),
    ],
)
def test_many_rows_that_are_not_scored_on_folds_have_fewer(given, rows, scored, count):
    assert TrialOptions(folds=given).folds_of(rows, scored) == count


@pytest.mark.parametrize("c", [0.1, 3.0, 300.0])
def test_a_judge_gives_the_probe_the_temperature_that_it_has_and_not_a_second_one(c):
    draw = np.random.default_rng(0)
    features, targets = draw.normal(size=(16, 4)), np.repeat([0, 1], 8)
    features[:, 0] += targets
    folds = np.array_split(draw.permutation(16), 4)
    (own, *_), _ = out_of_fold(features, targets, 2, folds, (c,))
    setting = Setting(None, None, None, folds, c, own.temperature, Path())
    logits = np.zeros((16, 2))
    for held in folds:
        learned = np.setdiff1d(np.arange(16), held)
        probe = fit_probe(features[learned], targets[learned], 2, c)
        probe = probe.at(uncalibrated(setting).probe_temperature)
        logits[held] = features[held] @ probe.weight.T + probe.bias
    judged, _ = best_temperature(logits, targets)
    ends_at = judged * uncalibrated(setting).probe_temperature
    assert ends_at == pytest.approx(own.temperature, rel=0.03)


@pytest.mark.parametrize(("tested_on", "count"), [(["a row"], 3), ([], 5)])
def test_a_run_of_many_rows_has_fewer_folds_where_it_is_tested_on_others(tested_on, count):
    rows = [Row(Origin("f", k), {"text": f"{k}", "label": "ab"[k % 2]}) for k in range(1000)]
    data = SimpleNamespace(train=rows, test=tested_on)
    run = SimpleNamespace(data=data, job=SimpleNamespace(trials=TrialOptions()), seed=0)
    folds = Run.folds.fget(run)
    assert len(folds) == count
    assert sorted(np.concatenate(folds)) == [*range(1000)]
