"""A test set of generated texts: its scores, the gain over baselines, the verdict."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.evaluate.answers import Answer, Likelihood, boiled, ratio
from fewtune.evaluate.change import generation_verdict
from fewtune.evaluate.generate import gain, score
from fewtune.evaluate.intervals import Draws, plus_four
from fewtune.evaluate.options import EvaluateOptions
from fewtune.evaluate.paired import compare_means, compare_right, compare_sums

QUICK = EvaluateOptions(bootstrap=200)
WORDS = ["pump", "bearing", "oil", "hot", "leak", "seal", "check", "motor", "valve", "low"]


def answers(random, rows, kept=0.6):
    """Answers that keep a share of their references' words."""
    made = []
    for _ in range(rows):
        reference = random.choice(WORDS, 12)
        text = np.where(random.random(12) < kept, reference, random.choice(WORDS, 12))
        made.append(Answer(" ".join(text), " ".join(reference), bool(random.random() < 0.9), 14))
    return made


def likelihood(random, rows, nats=2.0, tokens=None):
    tokens = random.integers(5, 30, rows) if tokens is None else tokens
    return Likelihood(random.gamma(20, nats / 20, rows) * tokens, tokens, tokens // 2)


def one(text, reference, stopped=True):
    return Answer(text, reference, stopped, len(text))


# ---- scores


def test_a_block_by_hand():
    found = score(
        boiled(
            [
                one("yes", "Yes."),
                one("so it is 7", "#### 8", stopped=False),
                one("12", "#### 12.0"),
            ],
            Likelihood(nll=[2.0, 3.0, 5.0], tokens=[1, 4, 5], right=[1, 1, 5]),
        ),
        QUICK,
    )
    values = {name: interval["value"] for name, interval in found.items()}
    assert values["loss"] == pytest.approx(1.0)
    assert values["perplexity"] == pytest.approx(np.e)
    assert values["token_accuracy"] == pytest.approx(0.7)
    assert values["exact_match"] == pytest.approx(1 / 3)
    assert values["number_match"] == pytest.approx(1 / 2)  # of the two references with a number
    assert values["stops"] == pytest.approx(2 / 3)
    assert values["repetition"] == 0
    assert values["length_ratio"] == pytest.approx((3 + 10 + 2) / (4 + 6 + 9))


def test_the_keys_are_those_of_the_design_and_every_value_has_its_interval():
    random = np.random.default_rng(0)
    found = score(boiled(answers(random, 30), likelihood(random, 30)), QUICK)
    assert [*found] == [
        *("loss", "perplexity", "token_accuracy", "exact_match", "bleu"),
        *("rouge1", "rouge2", "rougeL", "chrf", "stops", "repetition", "length_ratio"),
    ]
    for interval in found.values():
        assert interval["low"] <= interval["value"] <= interval["high"]
    assert {type(end) for interval in found.values() for end in interval.values()} == {float}
    json.dumps(found, allow_nan=False)


def test_corpus_scores_are_those_of_sacrebleu_and_rouge_the_mean():
    import sacrebleu
    from rouge_score.rouge_scorer import RougeScorer

    made = answers(np.random.default_rng(1), 40)
    found = score(boiled(made), QUICK)
    texts, references = [a.text for a in made], [a.reference for a in made]
    theirs = sacrebleu.corpus_bleu(texts, [references]).score
    assert found["bleu"]["value"] == pytest.approx(theirs, abs=1e-9)
    assert found["chrf"]["value"] == pytest.approx(sacrebleu.corpus_chrf(texts, [references]).score)
    scorer = RougeScorer(["rougeL"])
    each = [scorer.score(a.reference, a.text)["rougeL"].fmeasure for a in made]
    assert found["rougeL"]["value"] == pytest.approx(np.mean(each))


def test_chinese_is_scored_and_has_rouge_by_characters():
    made = [
        one("请更换泵的轴承然后检查油温", "更换泵的轴承，检查油温。"),
        one("电机过热", "电机温度过高"),
    ]
    found = score(boiled(made * 5), QUICK)
    named = {"bleu", "chrf", "rouge1", "rougeL", "rouge1_characters", "rougeL_characters"}
    assert named <= found.keys()
    assert all(found[name]["value"] > 0.1 for name in named)
    assert "rouge1_characters" not in score(boiled([one("hot", "cold")] * 5), QUICK)


def test_numbers_are_scored_where_half_of_the_references_hold_one():
    assert "number_match" in boiled([one("3", "3"), one("yes", "no")])
    assert "number_match" not in boiled([one("3", "3"), one("yes", "no"), one("3", "none")])


def test_a_metric_of_ones_own_stands_in_the_block():
    found = score(boiled([one("aaa", "b")] * 6, own={"own.apart": lambda a, b: len(a) - len(b)}))
    assert found["own.apart"] == {"value": 2, "low": 2, "high": 2}


def test_intervals_shrink_with_the_rows():
    random = np.random.default_rng(2)
    made, seen = answers(random, 800), likelihood(random, 800)
    few = Likelihood(*(np.asarray(part)[:50] for part in (seen.nll, seen.tokens, seen.right)))
    small, large = score(boiled(made[:50], few), QUICK), score(boiled(made, seen), QUICK)
    for name in small:
        # a quarter; repetition is 0 on all rows, where the interval falls with the rows themselves
        width = {k: one[name]["high"] - one[name]["low"] for k, one in ((0, small), (1, large))}
        assert 0 < width[1] < 0.45 * width[0], name


@pytest.mark.parametrize("rows", [20, 100])
@pytest.mark.parametrize("shape", [(4.0, 6.0), (8.0, 0.4)])
def test_about_95_percent_of_the_intervals_of_a_rate_hold_the_truth(rows, shape):
    random = np.random.default_rng(3)
    held = 0
    for seed in range(200):
        values = random.beta(*shape, rows)
        block = {"rougeL": boiled([one("a", "b")] * rows)["rougeL"]}
        block["rougeL"].rows[:, 0] = values
        found = score(block, QUICK, seed)["rougeL"]
        held += found["low"] <= shape[0] / sum(shape) <= found["high"]
    assert 0.9 <= held / 200 <= 1.0


def test_equal_rows_are_not_taken_for_certain():
    found = score(boiled([one("the pump is hot now", "the pump is hot now")] * 30), QUICK)
    for name, end in (("exact_match", 0.886), ("rougeL", 0.862), ("bleu", 86.2), ("chrf", 86.2)):
        assert found[name]["value"] == pytest.approx(found[name]["high"])
        assert found[name]["low"] == pytest.approx(end, rel=1e-3)


def test_one_row_says_nothing():
    block = boiled([one("hot pump", "hot pump 3")], Likelihood([3.0], [2], [1]))
    found = score(block, QUICK)
    assert (found["rougeL"]["low"], found["rougeL"]["high"]) == (0, 1)
    assert (found["chrf"]["low"], found["chrf"]["high"]) == (0, 100)
    assert found["exact_match"]["high"] > 0.7
    assert found["loss"]["low"] == 0
    assert found["loss"]["high"] > 30
    assert found["loss"]["value"] == 1.5
    json.dumps(found, allow_nan=False)


def test_empty_answers_and_references_have_scores():
    empty = score(boiled([one("", "replace the seal")] * 8), QUICK)
    assert all(empty[name]["value"] == 0 for name in ("bleu", "rougeL", "chrf", "length_ratio"))
    longer = score(boiled([one("hot " * 50, "hot")] * 8), QUICK)
    assert longer["length_ratio"]["value"] == pytest.approx(200 / 3)
    assert longer["repetition"]["value"] > 0.9
    nothing = score(boiled([one("", "")] * 8, Likelihood([0.0] * 8, [0] * 8, [0] * 8)), QUICK)
    assert nothing["exact_match"]["value"] == 1
    assert "loss" not in nothing
    assert "length_ratio" not in nothing


def test_what_cannot_be_scored_is_refused_in_a_sentence():
    with pytest.raises(FewtuneError, match="no rows to score"):
        boiled([])
    with pytest.raises(FewtuneError, match=r"1 of 2 rows are not numbers \(first: row 2\)"):
        boiled([], Likelihood([1.0, float("nan")], [1, 1], [1, 1]))
    with pytest.raises(ValueError, match="do not fit"):
        boiled([one("a", "b")], Likelihood([1.0, 2.0], [1, 1], [1, 1]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=30)), min_size=1, max_size=8))
def test_any_texts_have_a_block_within_its_ends(pairs):
    found = score(boiled([one(*pair) for pair in pairs]), EvaluateOptions(bootstrap=100))
    for name, interval in found.items():
        assert interval["low"] <= interval["value"] <= interval["high"]
        if name != "length_ratio":
            top = 100 if name in ("bleu", "chrf") else 1
            assert interval["low"] >= 0
            assert interval["high"] <= top + 1e-9
    json.dumps(found, allow_nan=False)


# ---- gain


@pytest.mark.parametrize("primary", ["loss", "rougeL", "bleu", "chrf", "exact_match", "repetition"])
def test_a_planted_difference_is_found_and_has_its_sign(primary):
    random = np.random.default_rng(4)
    made, seen = answers(random, 150, kept=0.8), likelihood(random, 150, 1.5)
    made[:20] = [one(a.reference, a.reference) for a in made[:20]]
    worse = [Answer(a.text.replace("pump", "lamp"), a.reference, True, 9) for a in made]
    worse = [Answer(a.text + " x y z u x y z u", a.reference, True, 9) for a in worse]
    tuned, base = (
        boiled(made, seen),
        boiled(worse, likelihood(random, 150, 2.0, np.asarray(seen.tokens))),
    )
    found = gain(tuned, {"before": base}, "lora", primary, resamples=200)
    assert found["over"] == "before"
    assert 0 < found["low"] <= found["value"] <= found["high"]
    assert found["p"] < 0.05
    assert found["detectable"] > 0
    back = gain(base, {"before": tuned}, "lora", primary, resamples=200)
    assert back["value"] == pytest.approx(-found["value"])
    assert back["high"] < 0


@pytest.mark.parametrize("primary", ["loss", "rougeL", "bleu"])
def test_no_difference_is_told_apart_at_most_once_in_twenty(primary):
    random, false = np.random.default_rng(5), 0
    tests = 120 if primary != "bleu" else 60
    for seed in range(tests):
        made, tokens = answers(random, 25), random.integers(5, 30, 25)
        other = answers(random, 25)
        other = [Answer(b.text, b.reference, True, 9) for b in other]
        ours = boiled(made if primary != "loss" else (), likelihood(random, 25, tokens=tokens))
        theirs = boiled(other if primary != "loss" else (), likelihood(random, 25, tokens=tokens))
        found = gain(ours, {"before": theirs}, "lora", primary, resamples=100, seed=seed)
        false += found["p"] < 0.05
    assert false / tests < 0.11  # 5 % of 120 tests is 6 of them, more than 12 once in 100


def test_the_gain_has_the_shape_of_a_classifiers_and_is_holms():
    random = np.random.default_rng(6)
    tokens = random.integers(5, 30, 100)
    tuned, near, far = (boiled((), likelihood(random, 100, n, tokens)) for n in (1.5, 1.52, 3.0))
    found = gain(tuned, {"before": far, "larger": near, "lora": tuned}, "lora", resamples=300)
    assert [*found] == ["over", "value", "low", "high", "p", "detectable", "all"]
    assert found["over"] == "larger"
    assert [*found["all"]] == ["before", "larger"]
    assert found["all"]["before"]["p"] == pytest.approx(2 / 301)
    alone = gain(tuned, {"before": far}, "lora", resamples=300)
    assert alone["p"] == pytest.approx(1 / 301)
    assert gain(tuned, {}, "lora") == {}
    assert gain(tuned, {"before": boiled(answers(random, 100))}, "lora") == {}


def test_a_loss_is_compared_as_the_mean_over_tokens():
    random = np.random.default_rng(7)
    tokens = random.integers(1, 40, 60)
    ours, theirs = (boiled((), likelihood(random, 60, n, tokens))["loss"] for n in (1.8, 2.0))
    means = compare_means(ours.each, theirs.each, tokens, higher_is_better=False, count=200)
    sums = compare_sums(ours.rows, theirs.rows, ratio, 36.0, higher_is_better=False, count=200)
    assert sums == pytest.approx(means, abs=1e-9)


def test_right_numbers_are_compared_on_the_rows_that_have_one():
    references = ["#### 1", "#### 2", "#### 3", "none"]
    tuned = boiled([one(text, text) for text in references] * 10)
    base = boiled([one("0", text) for text in references] * 10)
    found = gain(tuned, {"before": base}, "lora", "number_match")
    assert found["value"] == 1
    assert found["p"] == pytest.approx(compare_right([1] * 30, [0] * 30)["p"])


def test_a_small_steady_lead_of_a_rate_is_seen():
    random = np.random.default_rng(10)
    tuned, base = (boiled([one("a", "b")] * 100) for _ in "12")
    base["rougeL"].rows[:, 0] = random.random(100) * 0.9
    tuned["rougeL"].rows[:, 0] = base["rougeL"].rows[:, 0] + random.normal(0.02, 0.02, 100)
    found = gain(tuned, {"before": base}, "lora", "rougeL", resamples=200)
    assert found["low"] > 0  # a share of 100 rows would reach 0.028 to either side
    assert found["detectable"] == pytest.approx(2.8 * 0.02 / 10, rel=0.25)


def test_systems_that_never_differ_may_still_differ_elsewhere():
    same = boiled([one("the pump is hot now", "the pump is hot")] * 40)
    for primary, width in (("rougeL", 1), ("bleu", 100), ("exact_match", 1)):
        found = gain(same, {"before": same}, "lora", primary, resamples=100)
        assert found["value"] == 0
        assert found["p"] == 1
        assert found["high"] > 0.05 * width
        assert found["detectable"] == pytest.approx(7.85 / 40 * width, rel=1e-3)


def test_what_cannot_be_compared_is_refused_in_a_sentence():
    random = np.random.default_rng(8)
    tuned, base = (boiled((), likelihood(random, 20)) for _ in "12")
    with pytest.raises(FewtuneError, match="other tokens than the model"):
        gain(tuned, {"before": base}, "lora", "loss")
    with pytest.raises(UsageError, match="primary: one of loss, token_accuracy; got 'perplexity'"):
        gain(tuned, {"before": base}, "lora", "perplexity")
    with pytest.raises(ValueError, match="same rows"):
        gain(tuned, {"before": boiled((), likelihood(random, 9))}, "lora", "loss")


# ---- the verdict


def told(value, spread):
    return {"value": value, "low": value - spread, "high": value + spread}


def compared(value, spread, p, over="before", **others):
    found = {**told(value, spread), "p": p, "detectable": 0.05}
    every = {over: found, **others}
    return {"over": over, **found, "all": every}


def test_a_gain_tells_from_where_to_where_and_what_else_moved():
    scores = {"loss": told(1.2, 0.1), "rougeL": told(0.5, 0.02), "stops": told(0.4, 0.05)}
    before = {"loss": told(2.0, 0.1), "rougeL": told(0.3, 0.02), "stops": told(0.9, 0.05)}
    said = generation_verdict("lora", 1200, scores, before, compared(0.8, 0.05, 0.0005))
    assert said == (
        "`lora` lowers the loss per token from 2.000 (1.900 to 2.100) to 1.200 (1.100 to 1.300) on "
        "1,200 test rows, 0.800 (0.750 to 0.850; p = 0.0005) better than the untouched model; "
        "ROUGE-L rose from 30.0 % to 50.0 %; the share of answers that end by themselves fell from "
        "90.0 % to 40.0 %."
    )


def test_what_beats_another_baseline_stands_before_what_else_moved():
    scores = {"rougeL_characters": told(0.8, 0.05), "rougeL": told(0.8, 0.05)}
    scores["exact_match"] = told(0.6, 0.05)
    before = {name: told(0.1, 0.05) for name in scores}
    found = compared(0.5, 0.1, 0.01, "nearest", before=compared(0.7, 0.1, 0.001)["all"]["before"])
    said = generation_verdict(
        "text-prompt", 90, scores, before, found, "rougeL_characters", base="the first prompt"
    )
    assert said == (
        "`text-prompt` raises ROUGE-L by characters from 10.0 % (5.0 % to 15.0 %) to 80.0 % (75.0 "
        "% to 85.0 %) on 90 test rows, 70.0 points (60.0 to 80.0; p = 0.001) better than the "
        "first prompt, and 50.0 points (40.0 to 60.0; p = 0.01) better than the answer of the "
        "nearest training row; the share of exact answers rose from 10.0 % to 60.0 %."
    )


def test_two_other_metrics_are_told_at_the_most():
    names = ("loss", "exact_match", "number_match", "rougeL", "stops", "repetition")
    scores, before = ({name: told(value, 0.01) for name in names} for value in (0.2, 0.6))
    said = generation_verdict("lora", 99, scores, before, compared(0.4, 0.05, 0.001))
    assert said.count(" fell from ") == 2
    assert "exact answers" in said
    assert "right numbers" in said


def test_a_baseline_that_is_better_by_another_metric_is_told():
    block = {"loss": told(1.2, 0.1)}, {"loss": told(2.0, 0.1)}
    worse, none = compared(-0.3, 0.1, 0.001, "nearest"), compared(-0.3, 0.4, 0.3, "few_shot")
    gains = {"rougeL": worse, "bleu": none, "chrf": worse}
    said = generation_verdict("lora", 90, *block, compared(0.8, 0.05, 0.001), gains=gains)
    assert said.endswith(
        "better than the untouched model; but better is the answer of the nearest training row (by "
        "ROUGE-L and chrF)."
    )


@pytest.mark.parametrize(
    ("rows", "words"), [(4, "4 rows are too few to show any"), (40, "differ too much")]
)
def test_a_large_difference_that_is_not_sure_is_not_said_to_be_too_small_to_see(rows, words):
    block = {"loss": told(1.0, 3.0)}, {"loss": told(4.0, 3.0)}
    said = generation_verdict("lora", rows, *block, compared(3.0, 4.0, 0.13))
    assert words in said
    assert "could have shown" not in said


def test_a_loss_of_quality_says_do_not_use():
    block = {"bleu": told(20.0, 2.0)}, {"bleu": told(30.0, 2.0)}
    said = generation_verdict("full", 90, *block, compared(-10.0, 3.0, 0.01), "bleu")
    assert said == (
        "`full` lowers BLEU from 30.0 (28.0 to 32.0) to 20.0 (18.0 to 22.0) on 90 test rows, 10.0 "
        "(7.0 to 13.0; p = 0.01) worse than the untouched model: do not use this model."
    )


def test_no_difference_shown_says_do_not_use_and_how_many_rows_would_tell():
    block = {"exact_match": told(0.42, 0.1)}, {"exact_match": told(0.4, 0.1)}
    said = generation_verdict("lora", 90, *block, compared(0.02, 0.08, 0.6), "exact_match")
    assert said == (
        "`lora` moves the share of exact answers from 40.0 % (30.0 % to 50.0 %) to 42.0 % (32.0 % "
        "to 52.0 %) on 90 test rows, which shows no difference to the untouched model: p = 0.6, "
        "and 90 rows could have shown 5.0 points, about 570 the 2.0 points seen; do not use this "
        "model on this evidence."
    )


@pytest.mark.parametrize(
    ("value", "p", "words"),
    [
        (0.3, 0.001, "and 0.300 (0.200 to 0.400; p = 0.001) better than `larger`."),
        (0.05, 0.4, "but no better than `larger` (p = 0.4): do not use this model."),
        (-0.3, 0.001, "but `larger` is better (p = 0.001): do not use this model."),
    ],
)
def test_another_baseline_has_its_say(value, p, words):
    block = {"loss": told(1.2, 0.1)}, {"loss": told(2.0, 0.1)}
    found = compared(value, 0.1, p, "larger", before=compared(0.8, 0.05, 0.001)["all"]["before"])
    assert generation_verdict("lora", 90, *block, found).endswith(words)


def test_without_the_untouched_model_nothing_is_claimed():
    said = generation_verdict("lora", 90, {"loss": told(1.2, 0.1)}, {}, {})
    assert said.endswith("so what training gave is unknown.")
    assert "nan" not in said


# ---- cost


def test_help_imports_neither_sacrebleu_nor_rouge_score():
    code = (
        "import sys, fewtune.cli, fewtune.evaluate.generate, fewtune.evaluate.change\n"
        "print([m for m in ('sacrebleu', 'rouge_score', 'nltk', 'jieba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_plus_four_is_that_of_agresti_and_coull_for_shares():
    random = np.random.default_rng(9)
    drawn = random.binomial(50, 0.3, 20_000) / 50
    share = (15 + 2) / 54
    half = 1.96 * np.sqrt(share * (1 - share) / 54)
    found = plus_four(Draws(0.3, drawn, drawn), 50)
    assert found == pytest.approx((share - half, share + half), abs=2e-3)
