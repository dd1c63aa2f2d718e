"""Rows in groups: intervals hold for other groups too, and no test cries wolf over them."""

from dataclasses import replace

import numpy as np
import pytest

from fewtune.evaluate import classify, generate, multilabel
from fewtune.evaluate.answers import Answer, Likelihood, boiled, ratio, shares
from fewtune.evaluate.intervals import bca, bootstrap, intervals, sum_draws, wilson
from fewtune.evaluate.metrics import METRICS, outcome
from fewtune.evaluate.options import EvaluateOptions
from fewtune.evaluate.paired import (
    compare_bootstraps,
    compare_means,
    compare_right,
    compare_sums,
    mean_swap_p,
    swap_p,
)
from fewtune.evaluate.units import Units, Worth, units_of
from fewtune.trials.measures import MEASURES

QUICK = EvaluateOptions(bootstrap=200)


def machines(count, rows):
    return Units(np.repeat(np.arange(count), rows))


def alike(chance, count, rows, share=0.8, between=0.2):
    """Whether rows are right, (count * rows,), with a share of the variance between machines."""
    worth = (1 - between) / between
    return (
        chance.random((count, rows))
        < chance.beta(share * worth, (1 - share) * worth, count)[:, None]
    )


def as_outcome(right, units=None):
    truth = np.arange(right.size) % 2
    said = np.where(right.ravel(), truth, 1 - truth)
    return outcome(truth, np.eye(2)[said] * 0.8 + 0.1, units=units)


@pytest.mark.parametrize(("count", "rows"), [(6, 30), (20, 20)])
def test_intervals_over_groups_hold_where_those_over_rows_do_not(count, rows):
    chance, tests = np.random.default_rng(0), 150
    names = ("accuracy", "macro_f1", "log_loss")
    held, by_rows = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    usual = as_outcome(alike(chance, 20_000, 20))
    true = {name: METRICS[name].of(usual) for name in names}
    for seed in range(tests):
        right = alike(chance, count, rows)
        found = intervals(as_outcome(right, machines(count, rows)), 200, seed)
        plain = intervals(as_outcome(right), 200, seed)
        for name in names:
            held[name] += found[name]["low"] <= true[name] <= found[name]["high"]
            by_rows[name] += plain[name]["low"] <= true[name] <= plain[name]["high"]
    assert {name: held[name] for name in names if held[name] < 0.9 * tests} == {}
    assert max(by_rows.values()) < 0.75 * tests


def test_two_equal_systems_on_groups_are_seldom_called_different():
    """Each is better on some machines; over rows the tests find a difference every other time."""
    chance, tests, false, by_rows = np.random.default_rng(1), 150, 0, 0
    units = machines(10, 30)
    for seed in range(tests):
        better = chance.normal(0, 0.25, 10)[:, None]
        ours = chance.random((10, 30)) < np.clip(0.7 + better, 0.05, 0.95)
        theirs = chance.random((10, 30)) < np.clip(0.7 - better, 0.05, 0.95)
        found = compare_right(ours.ravel(), theirs.ravel(), units, seed)
        plain = compare_right(ours.ravel(), theirs.ravel())
        assert found["low"] <= plain["low"] + 1e-9
        assert found["high"] >= plain["high"] - 1e-9
        assert found["detectable"] >= plain["detectable"]
        false += found["p"] < 0.05
        by_rows += plain["p"] < 0.05
        assert (found["p"] < 0.05) <= (plain["p"] < 0.05)
    assert false <= 0.09 * tests
    assert by_rows > 0.3 * tests


def test_five_groups_can_show_nothing():
    """Swapped whole, five groups make 32 outcomes, and the rarest two are 6 % of them."""
    units, ours, theirs = machines(5, 40), np.ones(200), np.zeros(200)
    assert compare_right(ours, theirs)["p"] < 1e-9
    for p in (
        compare_right(ours, theirs, units)["p"],
        mean_swap_p(ours - theirs, units=units),
        swap_p(
            as_outcome(ours > 0, units), as_outcome(theirs > 0, units), METRICS["macro_f1"], 2000
        ),
    ):
        assert p == pytest.approx(2 / 32, abs=0.02)


def compared(one, other):
    return compare_bootstraps(bootstrap(one, 300), bootstrap(other, 300), "macro_f1")


def test_every_kind_of_comparison_takes_groups_whole():
    chance, units = np.random.default_rng(2), machines(8, 25)
    ours, theirs = alike(chance, 8, 25).ravel(), alike(chance, 8, 25).ravel()
    sums = [np.stack([one, np.ones(200)], axis=1).astype(float) for one in (ours, theirs)]
    systems = [as_outcome(one, units) for one in (ours, theirs)]
    plain = [as_outcome(one) for one in (ours, theirs)]
    for with_units, without in (
        (
            compare_means(ours, theirs, share=True, units=units),
            compare_means(ours, theirs, share=True),
        ),
        (compare_sums(*sums, ratio, 1.0, units=units), compare_sums(*sums, ratio, 1.0)),
        (compared(*systems), compared(*plain)),
    ):
        assert with_units["value"] == without["value"]
        assert with_units["p"] >= without["p"]
        assert with_units["high"] - with_units["low"] > 1.3 * (without["high"] - without["low"])
        assert with_units["detectable"] > 1.3 * without["detectable"]


def test_scores_and_gains_of_all_kinds_count_groups():
    chance, units = np.random.default_rng(3), machines(8, 25)
    right, other = alike(chance, 8, 25).ravel(), alike(chance, 8, 25).ravel()
    truth = np.arange(200) % 2
    chances, rivals = (np.eye(2)[np.where(one, truth, 1 - truth)] for one in (right, other))

    def labelled(units):
        found = classify.score(truth, chances, ["a", "b"], QUICK, units=units)
        gain = classify.gain(chances, {"tfidf": rivals}, truth, "full", resamples=200, units=units)
        return found, gain

    def tagged(units):
        ours, theirs = (
            multilabel.tags(np.eye(2)[truth], one > 0.5, one, units) for one in (chances, rivals)
        )
        scores = multilabel.score(ours, QUICK)
        return scores, multilabel.gain(ours, {"tfidf": theirs}, "full", resamples=200)

    def written(units):
        ours, theirs = (
            {"exact_match": replace(shares(one), units=units)} for one in (right, other)
        )
        scores = generate.score(ours, QUICK)
        return scores, generate.gain(ours, {"before": theirs}, "full", "exact_match", resamples=200)

    for of in (labelled, tagged, written):
        (by_groups, gain), (by_rows, plain) = of(units), of(None)
        for name, one in by_rows.items():
            assert by_groups[name]["value"] == one["value"]
            assert by_groups[name]["low"] <= one["low"] + 1e-9, name
            assert by_groups[name]["high"] >= one["high"] - 1e-9, name
        wider = [by_groups[name]["low"] < by_rows[name]["low"] - 0.01 for name in by_rows]
        assert sum(wider) > len(wider) / 2
        assert gain["p"] >= plain["p"]
        assert gain["low"] < plain["low"]


def test_rows_that_do_not_count_leave_their_groups():
    one = generate.score({"exact_match": shares([1, 1, 0, np.nan, 1, 0])})["exact_match"]
    assert one["value"] == pytest.approx(0.6)
    units = Units(np.array([0, 0, 2, 1, 2]))
    assert units.take(np.array([True, False, True, False, True])).of.tolist() == [0, 1, 1]
    assert units.take(np.array([True, True, False, False, False])) is None  # a single one
    assert units.take(np.array([True, False, True, True, False])) is None  # every row its own


@pytest.mark.parametrize(
    ("right", "groups"),
    [([1, 1, 1, 1, 1, 1], "aabbcc"), ([1, 1, 0, 1, 1, 0], "aaabbb"), ([0, 0, 0, 0], "aabb")],
)
def test_groups_that_are_all_alike_are_not_surer_than_their_rows(right, groups):
    found = intervals(as_outcome(np.array(right, dtype=bool), units_of(groups)))["accuracy"]
    low, high = wilson(found["value"], len(right))
    assert found["low"] <= low + 1e-12
    assert found["high"] >= high - 1e-12
    assert found["high"] - found["low"] > 0.3


def test_groups_on_which_all_is_right_count_as_many_rows_as_there_are_groups():
    found = intervals(as_outcome(np.ones(100, dtype=bool), machines(5, 20)))["accuracy"]
    assert (found["low"], found["high"]) == pytest.approx(wilson(1.0, 5))


def test_without_groups_nothing_changes():
    rows = np.random.default_rng(0).random((50, 2))
    assert units_of(["a", "b", None, ""]) is None
    assert units_of(["a", "a", "a"]) is None  # of others nothing can be said
    draws = sum_draws(rows, ratio)
    assert draws.worth == Worth()
    assert draws.together is None
    low, high = bca(draws)
    by_groups = sum_draws(rows, ratio, units=machines(5, 10))
    assert (by_groups.drawn == draws.drawn).all()
    wide = bca(by_groups)
    factor = by_groups.worth.factor
    assert factor > 1
    assert wide == pytest.approx(
        [draws.value + factor * (end - draws.value) for end in (low, high)]
    )


def test_intervals_of_groups_stay_within_what_a_number_can_be():
    chance, units = np.random.default_rng(5), machines(3, 8)
    level = np.repeat([0.05, 0.5, 0.6], 8)
    text = [Answer("a b c" if chance.random() < p else "x", "a b c", True, 3) for p in level]
    likely = Likelihood(level * 9, np.full(24, 9), np.full(24, 5))
    for system in (boiled(text, units=units), boiled(likelihood=likely, units=units)):
        for name, one in generate.score(system, QUICK).items():
            top = {"bleu": 100, "chrf": 100}.get(name, 1)
            assert 0 <= one["low"] <= one["value"] <= one["high"], name
            assert name in ("loss", "perplexity", "length_ratio") or one["high"] <= top, name
    truth = np.eye(2)[np.arange(24) % 2]
    said = np.where(np.repeat([True, False, True], 8)[:, None], truth, 1 - truth)
    for name, one in multilabel.score(
        multilabel.tags(truth, said > 0.5, said, units), QUICK
    ).items():
        assert 0 <= one["low"] <= one["value"] <= one["high"], name
        assert name == "log_loss" or one["high"] <= 1, name
    sums = np.stack([said[:, 0] * truth[:, 0], said[:, 0] + truth[:, 0]], axis=1)
    for name in ("micro_f1", "loss"):
        found = MEASURES[name].interval(sums, 200, 0, units)
        assert 0 <= found["low"] <= found["high"], name
        assert name == "loss" or found["high"] <= 1
