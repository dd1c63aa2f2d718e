"""The sentence a user reads first. The whole of it is pinned: it is what the evidence says."""

import numpy as np
import pytest

from fewtune.evaluate.intervals import wilson
from fewtune.evaluate.paired import bonett_price, detectable, mcnemar
from fewtune.evaluate.verdict import NAMES, SEARCHED, SEVERAL, verdict


def told(
    method, rows, right, won, lost, over="tfidf", primary="accuracy", majority=0.3, margin=0.0
):
    """The verdict for `right` rows of `rows`, `won` and `lost` against the best baseline."""
    low, high = wilson(right / rows, rows)
    scores = {primary: {"value": right / rows, "low": low, "high": high}}
    found = {"value": (won - lost) / rows, "p": mcnemar(won, lost)}
    found["low"], found["high"] = bonett_price(won, lost, rows)
    found["detectable"] = detectable((won + lost) / rows, rows)
    base = {"value": majority, "high": majority + margin}
    everything = {"majority": base, over: found}
    return verdict(method, rows, scores, {"over": over, **found, "all": everything}, primary)


def test_a_clear_gain_names_the_best_baseline():
    assert told("full", 3080, 2683, 130, 72, "probe") == (
        "`full` is right on 87.1 % of 3,080 test rows (85.9 to 88.2), 1.9 points (1.0 to 2.8) more "
        "than the best baseline, a probe on the frozen features (p < 0.0001)."
    )


def test_a_baseline_as_good_means_do_not_fine_tune():
    assert told("lora", 1000, 882, 50, 42) == (
        "`lora` is right on 88.2 % of 1,000 test rows (86.1 to 90.1); the difference to TF-IDF "
        "with logistic regression, +0.8 points (-1.1 to 2.7), is within noise (p = 0.41) and any "
        "gain is at most 2.7 points, where this test could have shown 2.7 points: do not "
        "fine-tune for this, TF-IDF with logistic regression is as good and costs a second."
    )


def test_too_few_rows_are_not_taken_for_as_good():
    assert told("lora", 50, 42, 5, 3) == (
        "`lora` is right on 84.0 % of 50 test rows (71.5 to 91.7); the difference to TF-IDF with "
        "logistic regression, +4.0 points (-8.0 to 15.7), is within noise (p = 0.51), but 50 rows "
        "are too few to tell: they could only have shown 15.8 points, and about 790 would be "
        "needed for 4.0 points; until then prefer TF-IDF with logistic regression, which costs a "
        "second."
    )


def test_a_model_worse_than_a_baseline_says_do_not_fine_tune():
    assert told("full", 500, 355, 10, 36) == (
        "`full` is right on 71.0 % of 500 test rows (66.9 to 74.8), 5.2 points (2.5 to 7.8) fewer "
        "than TF-IDF with logistic regression, which costs a second (p < 0.0001): do not "
        "fine-tune."
    )


@pytest.mark.parametrize(("majority", "words"), [(0.0, "the same as"), (-0.02, "2.0 points fewer")])
def test_a_model_no_better_than_the_commonest_class_is_called_wrong(majority, words):
    said = told("full", 100, 50, 5, 30, majority=majority)
    assert words in said
    assert NAMES["majority"] in said
    assert "something is wrong" in said


def test_a_row_of_eight_less_than_the_commonest_class_is_no_alarm():
    said = told("full", 8, 2, 1, 2, over="majority", majority=-0.125, margin=0.4)
    assert "something is wrong" not in said
    assert "8 rows are too few to tell" in said


def test_of_several_labels_no_single_class_is_spoken_of():
    score = {"micro_f1": {"value": 0.5, "low": 0.4, "high": 0.6}}
    told = {
        0.0: "the same as answering every row with the same labels:",
        0.2: "baseline, answering every row with the same labels (p",
    }
    for value, words in told.items():
        found = {"value": value, "low": value - 0.02, "high": value + 0.02, "p": 0.01}
        gain = {"over": "majority", **found, "all": {"majority": found}}
        said = verdict("lora", 100, score, gain, "micro_f1", wording=SEVERAL)
        assert words in said
        assert "class," not in said
        assert "one class" not in said


def test_a_method_that_is_a_baseline_is_compared_with_the_others():
    assert "the best other baseline, TF-IDF" in told("probe", 1000, 900, 100, 30)
    assert "either will do, and TF-IDF" in told("probe", 1000, 900, 40, 38)
    worse = told("tfidf", 1000, 800, 30, 100, over="probe")
    assert worse.endswith("use a probe on the frozen features instead.")
    for said in (worse, told("probe", 1000, 900, 40, 38), told("probe", 40, 30, 4, 3)):
        assert "fine-tune" not in said


def test_other_metrics_are_told_in_their_own_words():
    said = told("lora", 1000, 700, 100, 30, primary="macro_f1")
    assert said.startswith("`lora` reaches a macro F1 of 0.700 (0.671 to 0.728) on 1,000 test rows")
    assert "0.070 (0.048 to 0.092) better than the best baseline" in said
    assert "`lora` reaches a recall@5 of" in told("lora", 100, 70, 30, 3, primary="recall@5")


def test_without_baselines_nothing_is_claimed():
    scores = {"accuracy": {"value": 0.8, "low": 0.7, "high": 0.9}}
    said = verdict("full", 60, scores, {}, where="held-out rows of 5 folds")
    assert said == (
        "`full` is right on 80.0 % of 60 held-out rows of 5 folds (70.0 to 90.0); there is no "
        "baseline to compare it with, so what training gave is unknown."
    )


def test_every_verdict_is_one_sentence():
    random = np.random.default_rng(0)
    for _ in range(200):
        rows = int(random.integers(5, 4000))
        won, lost = random.integers(0, rows // 4 + 1, 2)
        method = random.choice(["full", "tfidf", "lora+adapter"])
        said = told(method, rows, rows // 2, int(won), int(lost), over=random.choice([*NAMES][1:]))
        assert said.endswith(".")
        assert ". " not in said
        assert "nan" not in said


def test_rows_that_could_have_shown_enough_are_not_asked_for_again():
    """The gain seen is what the rows could just have shown, and chance hides it all the same."""
    said = told("lora", 1000, 880, 60, 48)
    assert "about 1,000 would be needed" not in said
    assert "the gain may be 3.2 points, which would be worth it, or none; until then" in said


def test_a_verdict_on_a_prompt_speaks_of_prompts():
    scores = {"accuracy": {"value": 0.9, "low": 0.86, "high": 0.93}}
    worse = {"value": -0.04, "low": -0.06, "high": -0.02, "p": 0.01, "detectable": 0.03}
    gain = {"over": "before", **worse, "all": {"before": worse}}
    said = verdict("text-prompt", 300, scores, gain, wording=SEARCHED)
    assert "4.0 points (2.0 to 6.0) fewer than the first prompt, which needs no search" in said
    assert said.endswith("do not search a prompt.")
    nothing = {"value": 0.0, "low": -0.01, "high": 0.01, "p": 1.0, "detectable": 0.03}
    gain = {"over": "majority", **nothing, "all": {"majority": nothing}}
    assert "do not use this prompt" in verdict("text-prompt", 300, scores, gain, wording=SEARCHED)
    assert "--class_weights balanced" in verdict("full", 300, scores, gain)


def test_where_p_and_interval_disagree_the_sentence_says_so():
    """The mid-p test is a little bolder than the interval: five rows against none."""
    said = told("lora", 300, 290, 5, 0)
    assert "+1.7 points (-0.1 to 3.4), is at the edge of what chance does (p = 0.031" in said
    assert "within noise" not in said


def test_a_p_value_that_is_corrected_is_told_beside_an_interval_that_is_not():
    found = {"value": 0.045, "low": 0.005, "high": 0.085, "p": 0.054, "detectable": 0.06}
    scores = {"accuracy": {"value": 0.8, "low": 0.75, "high": 0.84}}
    everything = dict.fromkeys(("tfidf", "probe", "before"), found)
    said = verdict("lora", 400, scores, {"over": "probe", **found, "all": everything})
    assert (
        "within noise (p = 0.054, corrected for 3 comparisons, which the interval is not)" in said
    )


def test_one_row_is_one_and_hardly_anything_is_not_nought_with_a_sign():
    assert "100.0 % of 1 test row (" in told("lora", 1, 1, 0, 0)
    assert "99.96 % of 2,500 test rows" in told("lora", 2500, 2499, 5, 4)
    assert "TF-IDF with logistic regression, 0.0 points (" in told("lora", 3080, 2683, 31, 30)
