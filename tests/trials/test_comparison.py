"""The table of a comparison, on answers that are made up."""

from dataclasses import replace

import numpy as np
import pytest

from fewtune.base.race_state import RaceState
from fewtune.evaluate.units import units_of
from fewtune.tasks.classify import Classify
from fewtune.tasks.multilabel import Multilabel
from fewtune.trials.comparison import Answers, Standing, effects, front, ranked
from fewtune.trials.measures import MEASURES, AnswerTruth, LabelTruth

ROWS = 200
CHANCE = np.random.default_rng(0)
TARGETS = CHANCE.integers(0, 3, ROWS)
TRUTH = LabelTruth(task=Classify(("a", "b", "c")), targets=TARGETS, truth=TARGETS)


def logits(right, seed=1):
    """Answers of which a share is right."""
    chance = np.random.default_rng(seed)
    wrong = (TARGETS + chance.integers(1, 3, ROWS)) % 3
    said = np.where(chance.random(ROWS) < right, TARGETS, wrong)
    return 2.0 * np.eye(3)[said] + chance.normal(scale=0.1, size=(ROWS, 3))


def answers(name, right, seeds=2, seconds=1.0, **more):
    found = [logits(right, seed=hash_of(name) + k) for k in range(seeds)]
    return Answers(name, found, seconds=seconds, **more)


def hash_of(name):
    return sum(map(ord, name))


def test_the_best_stands_first_and_who_is_as_good_is_marked():
    lines = ranked([answers("bad", 0.5), answers("good", 0.9), answers("near", 0.89)], TRUTH)
    assert [one["name"] for one in lines][2] == "bad"
    assert [one["rank"] for one in lines] == [1, 2, 3]
    assert [one["tied"] for one in lines] == [True, True, False]
    assert lines[0]["behind"] is None
    assert lines[2]["behind"]["p"] < 0.05
    assert lines[2]["behind"]["low"] > 0.2
    for one in lines:
        score = one["score"]
        assert score["low"] < score["value"] < score["high"]
        assert score["spread"] > 0


def test_ties_are_what_they_say_when_all_are_equally_good():
    """One false alarm in twenty tables at most: the p values are corrected for all pairs, for the
    best of eleven equals stands apart from the last of them by chance."""
    beaten = 0
    for seed in range(40):
        some = [Answers(f"m{k}", [logits(0.8, 100 * seed + k)]) for k in range(11)]
        beaten += any(not one["tied"] for one in ranked(some, TRUTH))
    assert beaten <= 2


def test_few_resamples_do_not_hide_who_is_beaten():
    few = replace(TRUTH, count=100)
    many = [answers(f"m{k}", 0.4) for k in range(12)]
    lines = ranked([answers("good", 0.95), *many], few)
    assert [one["tied"] for one in lines] == [True, *[False] * 12]


def test_few_swaps_of_groups_do_not_hide_who_is_beaten():
    """Groups are swapped also where one seed leaves rows that are right or wrong."""
    grouped = replace(TRUTH, count=100, units=units_of((np.arange(ROWS) % 40).tolist()))
    some = [answers("good", 0.95, seeds=1), *(answers(f"m{k}", 0.4, seeds=1) for k in range(12))]
    assert [one["tied"] for one in ranked(some, grouped)] == [True, *[False] * 12]
    steps = [answers("worse", 0.4, seeds=1)] * 60
    assert {one["said"] for one in effects(some[0], steps, grouped)} == {"worse"}


def test_who_did_not_answer_all_rows_has_no_rank():
    part = logits(1.0)
    part[50:] = np.nan
    gone = Answers("gone", [part], state=RaceState.BEATEN)
    lines = ranked([gone, answers("good", 0.9), answers("bad", 0.5)], TRUTH)
    assert [one["name"] for one in lines] == ["good", "bad", "gone"]
    assert [one["rank"] for one in lines] == [1, 2, None]
    assert lines[2]["rows"] == 50
    assert not lines[2]["tied"]


def test_seeds_are_averaged_row_by_row():
    one, other = logits(0.9, 1), logits(0.7, 2)
    both = Standing(Answers("x", [one, other]), TRUTH)
    shares = [(each.argmax(1) == TARGETS).mean() for each in (one, other)]
    assert both.score == pytest.approx(np.mean(shares))
    assert both.line()["score"]["spread"] == pytest.approx(np.std(shares, ddof=1))
    assert set(np.unique(both.sums[:, 0])) <= {0.0, 0.5, 1.0}


def test_test_rows_are_scored_and_rank_nobody():
    test = np.random.default_rng(5).integers(0, 3, 40)
    right, wrong = 3.0 * np.eye(3)[test], 3.0 * np.eye(3)[(test + 1) % 3]
    truth = replace(TRUTH, test=test)
    lines = ranked(
        [answers("good", 0.9, test=[wrong, wrong]), answers("bad", 0.5, test=[right, right])], truth
    )
    assert [one["name"] for one in lines] == ["good", "bad"]
    assert [one["test"]["value"] for one in lines] == [0.0, 1.0]
    assert lines[1]["test"]["low"] > 0.9


def test_a_label_that_no_training_row_has_is_never_right():
    chosen = np.eye(3, dtype=bool)[[0, 2]]
    sums = MEASURES["accuracy"].rows(chosen, np.array([0, -1]))
    assert sums.tolist() == [[1, 1], [0, 1]]


def test_effects_are_told_over_the_base_on_the_same_rows():
    base, same, worse, better = (
        answers("base", 0.8), answers("same", 0.8), answers("worse", 0.6), answers("better", 0.97),
    )  # fmt: skip
    lines = effects(base, [same, worse, better], TRUTH)
    assert [one["said"] for one in lines] == ["within noise", "worse", "better"]
    scores = {one["name"]: one["score"]["value"] for one in lines}
    for one in lines:
        found = one["effect"]
        assert found["value"] == pytest.approx(scores[one["name"]] - Standing(base, TRUTH).score)
        assert found["low"] <= found["value"] <= found["high"]
    assert lines[1]["loss"]["value"] < 0 < lines[2]["loss"]["value"]
    assert effects(base, [base], TRUTH)[0]["effect"]["value"] == 0.0


def test_rows_without_labels_make_no_share_of_labels_surer():
    sums = np.zeros((500, 2))
    sums[:5] = 1, 2  # a label each, and found
    measure = MEASURES["micro_f1"]
    assert measure.interval(sums, 200, 0)["low"] < 0.75
    assert measure.apart(sums, sums, 200, 0)["high"] > 0.2


def test_several_labels_are_ranked_by_micro_f1():
    ones = (CHANCE.random((ROWS, 4)) < 0.3).astype(np.float32)
    truth = LabelTruth(
        task=Multilabel(("a", "b", "c", "d")),
        targets=ones,
        truth=np.concatenate([ones, np.zeros((ROWS, 1))], axis=1).astype(int),
    )

    def said(right, seed):
        chance = np.random.default_rng(seed)
        return 3.0 * np.where(chance.random(ones.shape) < right, 2 * ones - 1, 1 - 2 * ones)

    lines = ranked(
        [Answers("bad", [said(0.7, 1), said(0.7, 2)]), Answers("good", [said(0.95, 3)] * 2)], truth
    )
    assert [one["name"] for one in lines] == ["good", "bad"]
    assert not lines[1]["tied"]
    hits = (said(0.95, 3) > 0) & (ones > 0)
    f1 = 2 * hits.sum() / ((said(0.95, 3) > 0).sum() + ones.sum())
    assert lines[0]["score"]["value"] == pytest.approx(f1)
    assert lines[0]["score"]["low"] < f1 < lines[0]["score"]["high"]


def test_the_front_holds_nobody_that_a_cheaper_one_equals():
    def line(name, score, cost, rank=1):
        return {"name": name, "score": {"value": score}, "cost": cost, "rank": rank}

    lines = [line("dear", 0.9, 9), line("cheap", 0.8, 1), line("idle", 0.8, 5)]
    lines += [line("best", 0.95, None), line("gone", 0.99, 0.1, rank=None)]
    assert front(lines, "cost") == ["cheap", "dear"]


def test_answers_are_ranked_by_their_loss_a_token():
    tokens = CHANCE.integers(3, 30, ROWS)

    def losses(mean, seed):
        each = tokens * (mean + 0.1 * np.random.default_rng(seed).normal(size=ROWS))
        return np.stack([each, tokens, tokens // 2], axis=1)

    truth = AnswerTruth(tokens=float(tokens.mean()))
    some = [Answers("bad", [losses(2.0, 1)]), Answers("good", [losses(1.5, 2)], [losses(1.6, 3)])]
    lines = ranked(some, truth)
    assert [one["name"] for one in lines] == ["good", "bad"]
    score = lines[0]["score"]
    assert score["value"] == pytest.approx(losses(1.5, 2)[:, 0].sum() / tokens.sum())
    assert score["low"] < score["value"] < score["high"]
    assert lines[0]["log_loss"] == pytest.approx(score["value"])
    assert lines[0]["test"]["value"] == pytest.approx(1.6, abs=0.05)
    assert not lines[1]["tied"]
    assert lines[1]["behind"]["value"] == pytest.approx(0.5, abs=0.05)
    (step,) = effects(some[0], [some[1]], truth)
    assert step["said"] == "better"
    for one, cost in zip(lines, (9, 1), strict=True):
        one["cost"] = cost
    assert front(lines, "cost", -1.0) == ["bad", "good"]


def test_thresholds_of_labels_do_not_flatter_the_folds_they_were_chosen_on():
    """Twelve labels, 150 rows: the score of a threshold a label stays near that on other rows."""
    draw, apart = np.random.default_rng(0), []
    for _ in range(20):
        logits = draw.normal(-1.5, 1.2, size=(2150, 12))
        ones = (draw.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(int)
        here, there = slice(150), slice(150, None)
        truth = LabelTruth(
            task=Multilabel(tuple("abcdefghijkl")), targets=ones[here], truth=ones[here],
            test=ones[there], thresholds="class",
        )  # fmt: skip
        sums, _, test = truth.heard(logits[here], logits[there])
        apart.append(np.subtract(*(2 * s[:, 0].sum() / s[:, 1].sum() for s in (sums, test))))
    assert abs(np.mean(apart)) < 0.012


def test_nothing_is_said_of_changes_to_a_base_that_failed():
    base = replace(answers("base", 0.3), state=RaceState.FAILED)
    (line,) = effects(base, [answers("better", 0.97)], TRUTH)
    assert line["said"] == "nothing to compare with"
    assert line["effect"] is None
    assert line["loss"] is None
    assert effects(answers("base", 0.3), [answers("better", 0.97)], TRUTH)[0]["said"] == "better"
