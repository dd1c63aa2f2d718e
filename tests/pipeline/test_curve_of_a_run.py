"""The learning curve of a run: whose it is, that it is written down, and how to leave it out."""

from dataclasses import dataclass

import pytest

from fewtune.pipeline import contenders
from fewtune.pipeline.learning import CHEAP, _affordable


@dataclass
class Ended:
    """What of a race's outcome decides whose curve is cheap."""

    winner: str
    cost: dict[str, float]
    seconds: float


@pytest.mark.parametrize(
    ("winner", "cost", "left", "whose"),
    [
        ("probe", {"probe": 0.5, "full": 9.0}, 60, "probe"),
        ("full", {"probe": 0.5, "full": 3.0}, 60, "full"),  # 23 s: a moment, within the budget
        ("full", {"probe": 0.5, "full": 3.0}, 5, "probe"),  # the budget is nearly spent
        ("full", {"probe": 0.5, "full": 60.0}, 600, "probe"),
        ("full", {"probe": 50.0, "full": 60.0}, 600, None),
        ("", {"probe": 0.5}, 60, None),
    ],
)
def test_the_winners_curve_is_told_where_it_is_cheap_else_the_probes(winner, cost, left, whose):
    assert CHEAP == 30
    assert _affordable(Ended(winner, cost, 40.0), 40.0 + left, 5) == whose


@pytest.fixture
def auto(train, monkeypatch):
    found = contenders.candidates
    names = ("probe", "tfidf")
    monkeypatch.setattr(
        contenders, "candidates", lambda ranked: [one for one in found(ranked) if one.name in names]
    )
    return lambda output, **options: train(output, method="auto", folds=3, budget="20m", **options)


def test_a_race_ends_with_a_curve_in_plan_and_report(auto):
    heard = []
    run = auto("with", listen=heard.append)
    curve = run.folder.plan["chosen"]["learning_curve"]
    assert curve["method"] == run.scores["method"]
    assert [one["rows"] for one in curve["points"]] == pytest.approx([10, 20, 30, 40], abs=3)
    page = (run.folder.path / "report.html").read_text(encoding="utf-8")
    assert "What more rows would bring" in page
    tried = [one["what"] for one in heard if one.name == "tried"]
    assert tried == ["methods", "learning curve"]
    named = {one["trial"] for one in heard if one.name == "trial"}
    assert f"learning curve of {run.scores['method']}" in named


def test_without_the_option_there_is_none_and_the_scores_are_the_same(auto):
    run = auto("without", learning_curve=False)
    assert "learning_curve" not in run.folder.plan["chosen"]
    assert not (run.folder.path / "learning_curve").exists()
    other = auto("with")
    assert other.scores["test"] == run.scores["test"]
    assert other.scores["method"] == run.scores["method"]
