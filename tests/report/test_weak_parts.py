"""The weakest part of the scored rows, in report and text."""

import pytest

from fewtune.report import markdown, write_report
from fewtune.report.card import model_card
from fewtune.report.facts import gather
from fewtune.report.weak import weak_words, weakest


def part(name, value, p, by="class", rows=40):
    ends = {"low": value - 0.1, "high": min(1.0, value + 0.1)}
    return {"by": by, "name": name, "rows": rows, "value": value, **ends, "p": p, "worse": p < 0.05}


@pytest.fixture
def sliced(twelve):
    found = [part("液压故障", 0.55, 0.002), part("8 to 20 characters", 0.8, 0.3, "length")]
    found += [part(f"unit <{k}>", 0.9, 1.0, "machine") for k in range(14)]
    twelve.write_scores(twelve.scores | {"slices": found})
    return twelve


def test_the_weakest_part_is_said_with_its_interval_and_the_number_of_parts(sliced):
    said = weakest(gather(sliced))["said"]
    assert said == (
        "Weakest is class 液压故障: 55.0 % of 40 rows are right (45.0 to 65.0 %), fewer than of "
        "the other rows (p = 0.002, corrected for 16 parts). Look at its labels first; more rows "
        "of this kind would help most."
    )
    page = write_report(sliced).read_text(encoding="utf-8")
    assert "Where it is weaker" in page
    assert "and 4 more in scores.json" in page
    assert "unit &lt;0&gt;" in page
    assert "<0>" not in page
    assert "Weakest is class 液压故障" in markdown(sliced)


def test_the_card_names_weak_parts_among_its_limits(sliced):
    card = model_card(sliced.plan, sliced.data, sliced.scores, "def predict(texts): ...")
    assert "- It is weaker on class 液压故障: 55.0 % of 40 rows are right (45.0 to 65.0 %)." in card
    assert card.count("It is weaker on") == 1


def test_several_weak_parts_are_counted():
    said = weak_words([part("a", 0.5, 0.001), part("b", 0.6, 0.01), part("c", 0.9, 1.0)])
    assert "2 of 3 parts are worse beyond chance." in said


def test_no_part_beyond_chance_is_called_weak():
    said = weak_words([part("5 to 9 characters", 0.8, 0.2, "length"), part("a", 0.9, 1.0)])
    assert said.startswith("None of 2 parts is worse than the rest beyond chance")
    assert "texts of 5 to 9 characters" in said


def test_scores_without_parts_tell_nothing(twelve):
    assert weakest(gather(twelve)) == {}
    assert "Where it is weaker" not in write_report(twelve).read_text(encoding="utf-8")
