"""Two systems on the same rows."""

import numpy as np
import pytest

from fewtune.evaluate.intervals import bootstrap
from fewtune.evaluate.metrics import METRICS, outcome
from fewtune.evaluate.paired import (
    bonett_price,
    compare_bootstraps,
    compare_means,
    compare_right,
    detectable,
    holm,
    mcnemar,
    mean_swap_p,
    swap_p,
)


def answers(random, rows, ours, theirs, both):
    """Two systems right with the given chances, on `both` of the rows together."""
    cut = np.cumsum([both, ours - both, theirs - both])
    draw = random.random(rows)
    return draw < cut[1], (draw < cut[0]) | ((draw >= cut[1]) & (draw < cut[2]))


def as_outcome(truth, right, classes=3):
    said = np.where(right, truth, (truth + 1) % classes)
    return outcome(truth, np.eye(classes)[said] * 0.7 + 0.1)


def compared(one, other, primary, count):
    return compare_bootstraps(bootstrap(one, count), bootstrap(other, count), primary)


def test_the_detectable_difference_is_that_of_the_facts():
    found = [round(100 * detectable(0.10, rows), 1) for rows in (100, 200, 500, 1000, 3080)]
    assert found == [8.9, 6.3, 4.0, 2.8, 1.6]


@pytest.mark.parametrize("rows", [100, 500])
def test_the_detectable_difference_is_seen_four_times_in_five(rows):
    random = np.random.default_rng(0)
    apart = detectable(0.10, rows)
    ours, theirs, both = 0.8 + apart, 0.8, 0.8 - (0.10 - apart) / 2
    seen = sum(
        compare_right(*answers(random, rows, ours, theirs, both))["p"] < 0.05 for _ in range(400)
    )
    assert seen / 400 == pytest.approx(0.8, abs=0.1)


def test_systems_that_never_differ_may_still_differ_elsewhere():
    found = compare_right([True] * 50, [True] * 50)
    assert found["value"] == 0
    assert found["p"] == 1
    assert found["low"] == -found["high"] == pytest.approx(-0.053, abs=0.001)
    assert found["detectable"] == pytest.approx(7.85 / 50, abs=0.001)


def test_mcnemar_is_the_exact_test_less_half_of_the_outcome_seen():
    from scipy.stats import binomtest

    for won, lost in [(0, 3), (10, 2), (40, 61)]:
        exact = binomtest(won, won + lost).pvalue
        seen = np.prod([(won + lost - k) / (k + 1) for k in range(won)]) / 2 ** (won + lost)
        assert mcnemar(won, lost) == pytest.approx(exact - seen, rel=1e-9)
    assert mcnemar(0, 0) == mcnemar(7, 7) == 1.0


def test_equal_systems_are_told_apart_at_most_once_in_twenty():
    random = np.random.default_rng(1)
    false = [compare_right(*answers(random, 100, 0.8, 0.8, 0.75))["p"] < 0.05 for _ in range(600)]
    assert np.mean(false) < 0.07


def test_the_interval_of_a_difference_holds_the_truth_95_times_in_100():
    random, held = np.random.default_rng(2), 0
    for _ in range(400):
        found = compare_right(*answers(random, 60, 0.9, 0.85, 0.82))
        held += found["low"] <= 0.05 <= found["high"]
    assert held / 400 == pytest.approx(0.96, abs=0.03)
    assert bonett_price(30, 0, 30)[1] <= 1.0


def test_holm_is_the_step_down_of_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


@pytest.mark.parametrize("primary", [name for name in METRICS if name != "accuracy"])
def test_every_metric_can_decide_and_a_better_model_has_a_positive_difference(primary):
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, 300)
    worse = random.random(300) < 0.6
    better = worse | (random.random(300) < 0.7)

    def answered(right):
        sure = np.where(right, 0.8, 0.3) if primary == "log_loss" else np.where(right, 0.8, 0.2)
        of_one = np.where(truth == 1, sure, 1 - sure)
        return outcome(truth, np.stack([1 - of_one, of_one], axis=1), positive=1)

    found = compared(answered(better), answered(worse), primary, 200)
    assert 0 < found["low"] <= found["value"] <= found["high"]
    assert found["p"] == pytest.approx(1 / 201)
    back = compared(answered(worse), answered(better), primary, 200)
    assert back["value"] == -found["value"]
    assert back["p"] == found["p"]


def test_swapping_answers_finds_what_the_exact_test_finds():
    from scipy.stats import binomtest

    random = np.random.default_rng(5)
    truth = random.integers(0, 3, 200)
    ours, theirs = answers(random, 200, 0.85, 0.78, 0.72)
    one, other = as_outcome(truth, ours), as_outcome(truth, theirs)
    won, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    exact = binomtest(won, won + lost).pvalue
    assert swap_p(one, other, METRICS["accuracy"], 2000) == pytest.approx(exact, abs=0.03)


def test_systems_alike_are_not_surer_under_another_metric():
    truth = np.arange(60) % 3
    one = as_outcome(truth, np.ones(60, dtype=bool))
    found = compared(one, one, "macro_f1", 100)
    assert found["low"] < -0.04
    assert found["high"] > 0.04
    assert found["p"] == 1


def test_losses_are_compared_row_by_row():
    random = np.random.default_rng(0)
    base = random.exponential(size=200)
    found = compare_means(base * 0.8, base, higher_is_better=False, count=300)
    assert 0 < found["low"] < found["value"] < found["high"]
    assert found["p"] == pytest.approx(1 / 301)
    assert compare_means([], []) == {}
    same = compare_means([1.0] * 20, [1.0] * 20, share=True, count=100)
    assert same["high"] > 0.1


def test_no_p_value_is_nothing():
    assert mcnemar(3000, 0) > 0


def test_swaps_stop_when_enough_were_as_large():
    draw = np.random.default_rng(0)
    apart = draw.normal(0.02, 1, 3000)
    whole, some = mean_swap_p(apart, count=20_000), mean_swap_p(apart, count=20_000, enough=50)
    assert some == pytest.approx(whole, abs=0.1)
    assert some != whole
    small = draw.normal(0.5, 1, 3000)
    assert mean_swap_p(small, count=4000, enough=50) == 1 / 4001
