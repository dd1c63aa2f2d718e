"""No command writes over what it reads, or works for a file that it cannot write."""

import json

import pytest
from desk import ROWS, assert_refused, table

LATER = table([(text, "") for text, _ in ROWS])


@pytest.fixture
def later(desk):
    (desk / "later.csv").write_bytes(LATER + b" ,pump\n")
    (desk / "link.csv").symlink_to("later.csv")
    (desk / "sub").mkdir()
    (desk / "folder.csv").mkdir()
    return desk


@pytest.mark.parametrize("command", ["label", "predict"])
@pytest.mark.parametrize("target", ["later.csv", "sub/../later.csv", "link.csv"])
def test_the_rows_that_are_read_are_never_overwritten(command, target, later, kept, fewtune):
    said = fewtune(f"{command} runs/tfidf later.csv --output {target}")
    assert_refused(said, 2, f"output: {target} is read for this", "name another file")
    assert (later / "later.csv").read_bytes() == LATER + b" ,pump\n"


def test_a_file_of_the_run_is_never_overwritten(later, runs, fewtune):
    before = (runs / "tfidf" / "predictions.jsonl").read_bytes()
    said = fewtune("predict runs/tfidf later.csv --output runs/tfidf/predictions.jsonl")
    assert_refused(said, 2, "would be overwritten")
    assert (runs / "tfidf" / "predictions.jsonl").read_bytes() == before


@pytest.mark.parametrize("option", ["test", "split", "general", "lexicon", "protect"])
def test_no_input_of_a_comparison_is_overwritten(option, later, bert, fewtune):
    said = fewtune(
        f"compare good.csv --model bert --methods tfidf --{option} later.csv --csv link.csv"
    )
    assert_refused(said, 2, "csv: link.csv is read for this .later.csv. and", "name another file")
    assert (later / "later.csv").read_bytes() == LATER + b" ,pump\n"


def test_the_run_whose_split_is_taken_is_not_overwritten(runs, desk, fewtune):
    before = (runs / "tfidf" / "events.jsonl").read_bytes()
    for words in ("check good.csv --fix", "augment good.csv --augment typing --write"):
        said = fewtune(f"{words} runs/tfidf/events.jsonl --split runs/tfidf")
        assert_refused(said, 2, "would be overwritten")
    assert (runs / "tfidf" / "events.jsonl").read_bytes() == before


@pytest.mark.parametrize("command", ["label none later.csv", "predict none later.csv"])
@pytest.mark.parametrize(
    ("target", "phrase"),
    [
        ("no/x.csv", "no file can be written in the folder no"),
        ("/proc/x.csv", "no file can be written in the folder /proc"),
        ("folder.csv", "folder.csv is a folder"),
        ("x.xlsx", "a name ending in .csv"),
    ],
)
def test_a_place_that_cannot_be_written_is_told_before_the_work(
    command, target, phrase, later, fewtune
):
    assert_refused(fewtune(f"{command} --output {target}"), 2, phrase)


def test_rows_that_cannot_be_suggested_are_told(later, kept, fewtune):
    said = fewtune("label runs/tfidf later.csv --rows 5")
    assert said.code == 0
    assert "1 of 46 rows are set aside (1 empty-text)" in said.told
    told = json.loads(fewtune("label runs/tfidf later.csv --rows 5 --json").out)
    assert len(told["rows"]) == 5
    assert told["read"]["quarantined"] == 1
    assert "later.csv:47" in told["notes"][0]
    for command in ("label", "predict"):
        said = fewtune(f"{command} runs/tfidf later.csv --output out.csv --json")
        assert json.loads(said.out)["read"]["quarantined"] == 1
        assert "later.csv:47" in json.loads(said.out)["notes"][0]
