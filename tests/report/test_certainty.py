"""Calibration and rejection from predictions alone."""

import pytest

from fewtune.report import write_report
from fewtune.report.certainty import (
    answers,
    bins,
    calibrated_words,
    calibration_error,
    decisions,
    kept_when,
    rejection,
    rejection_words,
)
from fewtune.report.facts import gather


def told(folder, sure, right):
    """One row an entry: how sure the model is of `a`, and whether `a` is what was written."""
    folder.write_predictions(
        {"prediction": "a", "label": "a" if hit else "b", "origin": "x.csv:2", "text": "t",
         "probability": {"a": one, "b": 1 - one}}
        for one, hit in zip(sure, right, strict=True)
    )  # fmt: skip
    return gather(folder)


def test_bins_have_the_mean_certainty_the_share_right_and_wilsons_interval():
    found = bins([(0.9, True)] * 8 + [(0.9, False)] * 2 + [(0.55, False)] * 4)
    assert [(one.rows, one.sure, one.right) for one in found] == [
        (4, pytest.approx(0.55), 0.0),
        (10, pytest.approx(0.9), 0.8),
    ]
    assert (found[1].low, found[1].high) == pytest.approx((0.490, 0.943), abs=1e-3)
    assert calibration_error(found) == pytest.approx((4 * 0.55 + 10 * 0.1) / 14)


def test_the_error_is_that_of_the_scores():
    import numpy as np

    from fewtune.evaluate.classify import score
    from fewtune.evaluate.options import EvaluateOptions

    shares = np.random.default_rng(0).dirichlet([2, 1, 1], 200)
    truth = np.random.default_rng(1).integers(0, 3, 200)
    options = EvaluateOptions(bootstrap=100)
    known = score(truth, shares, ["a", "b", "c"], options, 0)["ece"]["value"]
    found = [(float(p.max()), bool(p.argmax() == t)) for p, t in zip(shares, truth, strict=True)]
    assert calibration_error(bins(found)) == pytest.approx(known)


@pytest.mark.parametrize(
    ("sure", "hits", "said"),
    [(0.9, 90, "within chance"), (0.99, 80, "too sure"), (0.6, 95, "too cautious")],
)
def test_the_sentence_says_whether_it_is_as_sure_as_it_is_right(twelve, sure, hits, said):
    facts = told(twelve, [sure] * 100, [k < hits for k in range(100)])
    assert said in calibrated_words(facts)
    assert f"{hits} % of them are right" in calibrated_words(facts)


def test_an_average_that_is_right_hides_no_answers_that_are_not(twelve):
    sure = [0.99] * 200 + [0.6] * 200
    hits = [k % 5 > 0 for k in range(400)]  # 80 % of either kind; the mean certainty is 79.5 %
    assert "too sure of some and too cautious of others" in calibrated_words(
        told(twelve, sure, hits)
    )


def test_answers_that_are_all_certain_are_as_sure_as_they_should_be_or_too_sure(twelve):
    assert "within chance" in calibrated_words(told(twelve, [1.0] * 40, [True] * 40))
    assert "too sure" in calibrated_words(told(twelve, [1.0] * 40, [True] * 39 + [False]))


def test_labels_that_come_together_are_not_so_many_decisions(twelve):
    """Ten labels that are all there or all absent are one decision: 40 rows, not 400."""
    names = [f"l{k}" for k in range(10)]
    there = [k < 24 for k in range(40)]  # 60 % where 50 % were told
    twelve.write_predictions(
        {"prediction": names, "label": names if hit else [], "origin": "x.csv:2", "text": "t",
         "probability": dict.fromkeys(names, 0.5)}
        for hit in there
    )  # fmt: skip
    assert "as sure as it should be, within chance" in calibrated_words(gather(twelve))


def test_the_rest_is_better_when_the_least_certain_are_handed_over(twelve):
    sure = [0.99] * 80 + [0.6] * 20
    right = [True] * 78 + [False] * 2 + [False] * 10 + [True] * 10
    facts = told(twelve, sure, right)
    rest = kept_when(answers(facts), 0.2)
    assert (rest.rows, rest.right, rest.caught) == (80, 0.975, 10)
    assert rest.low < 0.975 < rest.high
    assert rejection_words(facts) == (
        "If the least certain 20 % go to a person, 98 % (91 to 99) of the rest are right, "
        "instead of 88 %: 10 of 12 mistakes are among those that a person sees."
    )
    curve = rejection(answers(facts))
    assert [one.rows for one in curve][:5] == [100, 95, 90, 85, 80]
    assert curve[4] == rest


def test_where_certainty_says_nothing_the_rest_is_no_better(twelve):
    facts = told(twelve, [0.8] * 100, [k % 5 != 0 for k in range(100)])
    assert kept_when(answers(facts), 0.2).right == pytest.approx(0.8)


def test_few_rows_or_none_with_probabilities_tell_nothing(twelve):
    for facts in (told(twelve, [0.9] * 19, [True] * 19), told(twelve, [], [])):
        assert (calibrated_words(facts), rejection_words(facts)) == ("", "")
        assert rejection(answers(facts)) == []
    assert "How sure, and how right" not in write_report(twelve).read_text(encoding="utf-8")


def test_no_mistake_is_said_as_such(twelve):
    assert "none need go" in rejection_words(told(twelve, [0.9] * 30, [True] * 30))


def test_of_several_labels_every_decision_counts_and_a_row_is_as_sure_as_its_least(twelve):
    twelve.write_predictions(
        {"prediction": ["泵"], "label": ["泵"] if k else ["门", "泵"], "origin": "x.csv:2",
         "text": "t", "probability": {"泵": 0.9, "门": 0.3}}
        for k in range(25)
    )  # fmt: skip
    facts = gather(twelve)
    assert answers(facts)[:2] == [(pytest.approx(0.7), False), (pytest.approx(0.7), True)]
    assert len(decisions(facts)) == 50
    assert decisions(facts)[:2] == [(0.9, True), (0.3, True)]


def of_sets(folder, likely, unlikely, hits, misses):
    """Forty rows with two labels: how likely each is found, and of how many rows each is one."""
    folder.write_predictions(
        {"prediction": ["泵"], "label": ["泵"] * (k < hits) + ["门"] * (k < misses),
         "origin": "x.csv:2", "text": "t", "probability": {"泵": likely, "门": unlikely}}
        for k in range(40)
    )  # fmt: skip
    return gather(folder)


@pytest.mark.parametrize(
    ("likely", "unlikely", "hits", "misses", "said"),
    [
        (0.9, 0.03, 40, 0, "too cautious, of yes and of no"),
        (0.97, 0.03, 30, 10, "too sure, of yes and of no"),
        (0.9, 0.3, 28, 4, "finds labels likelier than they are"),
        (0.9, 0.1, 36, 4, "within chance"),
    ],
)
def test_a_label_is_surely_absent_as_it_is_surely_there(
    twelve, likely, unlikely, hits, misses, said
):
    told = calibrated_words(of_sets(twelve, likely, unlikely, hits, misses))
    assert said in told
    assert "belong to their row" in told
    assert "right" not in told


def test_a_row_of_several_labels_is_right_with_all_of_them(twelve):
    sure = of_sets(twelve, 0.9, 0.1, 40, 0)
    assert rejection_words(sure).startswith("All 40 rows have all their labels right")
    page = write_report(twelve).read_text(encoding="utf-8")
    assert "labels that belong to their row, with 95 % intervals" in page
    assert "On the dashed line labels belong to their rows as often as it says" in page
    assert "have all their labels right, instead of" in rejection_words(
        of_sets(twelve, 0.9, 0.1, 30, 0)
    )


def test_the_page_shows_both_pictures(twelve):
    page = write_report(twelve).read_text(encoding="utf-8")
    assert page.count('<svg class="chart"') == 2
    assert "If the least certain 20 % go to a person" in page
    assert "The calibration error is" in page


def test_of_equally_sure_rows_none_comes_first():
    """A model that is endlessly sure of every row: whom a person sees is left to chance."""
    for hits in ([True] * 80 + [False] * 20, [False] * 20 + [True] * 80):
        rest = kept_when([(1.0, hit) for hit in hits], 0.2)
        assert (rest.rows, rest.right, rest.caught) == (80, pytest.approx(0.8), 4)
    surer = [(0.9, True)] * 50 + [(0.6, False)] * 25 + [(0.6, True)] * 25
    rest = kept_when(surer, 0.3)
    assert rest.right == pytest.approx((50 + 10) / 70)
    assert rest.caught == 15
