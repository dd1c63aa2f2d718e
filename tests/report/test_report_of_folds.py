"""A run without test rows: page, card and terminal say what was scored, and tell the race."""

import re

import pytest
from written_runs import written_run

from fewtune.base.events import Event
from fewtune.cli.scores import score_table
from fewtune.cli.screen import Screen
from fewtune.report import markdown, write_report
from fewtune.report.card import model_card
from fewtune.report.facts import gather
from fewtune.report.tried import race

WHERE = "training rows, each held out in one of 5 folds"


def line(name, state, **told):
    return {"name": name, "state": state, "rows": 0, "folds": 0, "better": False} | told


def ran(loss, folds=5, **gain):
    told = {"rows": 60 * folds, "folds": folds, "log_loss": loss, "accuracy": 1 - loss / 4}
    return told | {"seconds": 2.5} | gain


GAIN = {"gain": -0.05, "low": -0.09, "high": 0.01, "p": 0.04}
TABLE = [
    line("probe", "tied", **ran(0.31)),
    line("tfidf", "behind", **ran(0.52, **GAIN)),
    line("full", "chosen", **ran(0.3, gain=0.01, low=-0.02, high=0.04, p=0.4)),
    line("bitfit", "beaten", **ran(0.9, folds=2, **GAIN)),
    line("lora", "out of time"),
]


@pytest.fixture
def folded(twelve):
    """The twelve classes' run, as if no row had been held out."""
    plan, scores = twelve.plan, twelve.scores
    plan["chosen"] |= {
        "race": {"winner": "full", "budget": 60.0},
        "trials": [{"what": "methods", "table": TABLE, "kept": True}],
    }
    plan["reasons"].append("`full`: log-loss 0.300, 92.5 % right on 5 folds of the training rows.")
    rows = list(twelve.predictions)
    verdict = f"`full` is right on 87.1 % of 201 {WHERE}."
    scores |= {"scored_on": WHERE, "method": "full", "verdict": verdict}
    scores["rows"] |= {"train": len(rows), "test": 0, "kept": len(rows)}
    twelve.write_plan(plan)
    twelve.write_scores(scores)
    twelve.write_predictions(one | {"fold": n % 5 + 1} for n, one in enumerate(rows))
    return twelve


def read(page):
    return " ".join(re.sub(r"<style.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL).split())


def test_the_page_and_the_card_name_no_test_rows_where_there_are_none(folded):
    page = read(write_report(folded).read_text(encoding="utf-8"))
    card = model_card(folded.plan, folded.data, folded.scores, "def predict(texts): ...")
    for text in (page, card, markdown(folded)):
        assert "test row" not in text
        assert "held-out rows" in text
    assert f"on 201 {WHERE}" in page
    assert f"On 201 {WHERE}" in card
    assert "the same rows tested it, each answered by a fit that left it out" in page
    assert "learned them all" in card


def test_rows_that_were_kept_and_not_scored_are_not_said_to_be(twelve):
    twelve.write_scores({**twelve.scores, "scored": 125})
    page = read(write_report(twelve).read_text(encoding="utf-8"))
    card = model_card(twelve.plan, twelve.data, twelve.scores, "def predict(texts): ...")
    assert "these 125 test rows could have shown" in page
    assert "201 were kept to test it, of which 125 were scored" in page
    assert "rest on 125 test rows" in card


def test_the_positive_class_is_named_where_its_scores_are(chinese):
    chinese.write_scores({**chinese.scores, "positive": "电气故障"})
    said = "The positive class is 电气故障."
    assert said in read(write_report(chinese).read_text(encoding="utf-8"))
    assert said in model_card(chinese.plan, chinese.data, chinese.scores, "...")


def test_a_run_with_test_rows_says_so_still(twelve):
    assert gather(twelve).tested == 201
    assert "on the test rows" in read(write_report(twelve).read_text(encoding="utf-8"))


def test_the_race_is_told_with_the_chosen_first_and_those_that_left_last(folded):
    found = race(gather(folded))
    assert [one["name"] for one in found["lines"]] == ["full", "probe", "tfidf", "bitfit"]
    assert [one["ours"] for one in found["lines"]] == [True, False, False, False]
    assert found["late"] == ["lora"]
    assert found["lines"][2]["gain"] == "−0.050 (−0.090 to +0.010)"
    page = read(write_report(folded).read_text(encoding="utf-8"))
    assert "The race between methods" in page
    assert "beaten beyond noise" in page
    assert "No time was left for lora" in page
    assert "| **full** | chosen | 5 | 0.300 |" in markdown(folded)


def test_a_race_for_answers_is_told_in_nats_a_token(tmp_path, capsys):
    folder = written_run(tmp_path / "repairs-lora-1")
    told = {"rows": 60, "folds": 5, "seconds": 2.5, "token_accuracy": 0.612}
    table = [
        line("before", "to compare with", **told, loss=4.4),
        line("lora", "chosen", **told, loss=1.3, gain=3.1, low=3.0, high=3.2, p=0.001),
    ]
    trials = [{"what": "methods", "table": table, "kept": True}]
    folder.write_plan({**folder.plan, "chosen": {"race": {"winner": "lora"}, "trials": trials}})
    page = read(write_report(folder).read_text(encoding="utf-8"))
    raced = page.split("The race between methods")[1].split("time a fold")[0]
    card = model_card(folder.plan, folder.data, folder.scores, "def predict(texts): ...")
    chosen = card.split("How the method was chosen")[1].split("## Limits")[0]
    for text in (raced, chosen, markdown(folder).split("## The race")[1]):
        assert not re.search("log.loss", text, re.IGNORECASE)
        assert "loss per token ↓" in text
        assert "token accuracy" in text
    assert "gains are in nats a token" in chosen
    assert "Gains are in nats a token over before" in raced
    assert "| **lora** | chosen | 5 | 1.300 | 61.2 % |" in markdown(folder)
    Screen().listen(Event("tried", {"what": "methods", "table": table, "kept": ["lora"]}))
    terminal = " ".join(capsys.readouterr().err.split())
    assert "tokens right" in terminal
    assert "lora 1.300 61.2%" in terminal


def test_of_several_labels_a_right_row_has_all_of_them(folded):
    folded.write_scores({**folded.scores, "task": "multilabel"})
    found = race(gather(folded))
    assert (found["loss"], found["right"]) == ("log loss", "rows with all labels right")


def test_a_run_without_a_race_tells_none(twelve):
    assert race(gather(twelve)) == {}
    assert "race" not in read(write_report(twelve).read_text(encoding="utf-8"))


def test_the_terminal_tells_the_race_and_that_no_rows_are_held_out(folded, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    screen = Screen()
    split = {"train": 201, "valid": 0, "test": 0, "classes": 12, "how": "no rows are held out"}
    screen.listen(Event("split", split))
    screen.listen(Event("left", {"trial": "bitfit", "by": "full", "folds": 2, "p": 0.0012}))
    screen.listen(
        Event("racing", {"trials": ["probe", "full"], "folds": 5, "budget": 240.0, "soft": True})
    )
    ended = {"what": "methods", "table": TABLE, "kept": ["full"], "enough": 700.0}
    screen.listen(Event("tried", ended))
    err = capsys.readouterr().err
    assert "201 training rows · 12 classes · no rows are held out" in err
    assert "test rows" not in err
    assert "bitfit leaves after 2 folds: behind full (p = 0.0012)" in err
    assert "full is chosen" in err
    assert "2 candidates on 5 folds, in about 4.0 min (--budget): probe, full" in err
    asked = "it would take about 12 min (--budget 13m)"
    assert f"no time was left for: lora; with all of them {asked}" in " ".join(err.split())
    screen.out.print(score_table(screen, folded.scores | {"task": "classify"}))
    assert "test rows" not in capsys.readouterr().out
