"""What is wrong with plans, races and comparisons: a sentence each, all at once, nothing begun."""

import json

import pytest
from desk import ROWS, assert_refused, table

from fewtune.base.errors import UsageError
from fewtune.base.files import found

METHODS = "--model bert --methods tfidf,probe --folds 2 --seeds 1"


def test_mistakes_of_a_race_are_told_at_once(desk, fewtune):
    said = fewtune("train good.csv --budget soon --folds z --search x --seed y")
    assert_refused(said, 2, "budget: a time such as", "folds: a whole", "search: a", "seed: a")
    assert not (desk / "runs").exists()


def test_mistakes_of_a_comparison_are_told_at_once(desk, bert, fewtune):
    words = "--vary lora_rr=1 --vary z --presets w --budget soon"
    said = fewtune(f"compare good.csv {METHODS} {words}")
    assert_refused(said, 2, "vary: OPTION=VALUE", "presets: one of", "budget: a time such as")
    said = fewtune("compare good.csv --model bert --methods lora --vary lora_rr=1 --vary lora_r=0")
    assert_refused(
        said, 2, "'lora_rr' is no option .*--help. lists them.*'lora_r'", "lora_r: input"
    )
    assert not (desk / "runs").exists()


def test_files_and_columns_that_are_not_there_are_told_at_once(desk, bert, fewtune):
    said = fewtune("plan god.csv --model bert --valid none.csv --test god.csv")
    assert_refused(said, 2, "no file god.csv. did you mean 'good.csv'", "no file none.csv")
    assert said.error.count("there is no file") == 2
    said = fewtune("plan good.csv --model bert --text txt --label class")
    assert_refused(said, 2, "no column 'txt' .*did you mean 'text'", "no column 'class' for the")


@pytest.mark.parametrize("command", ["plan", "compare", "train"])
def test_rows_of_one_group_are_told_as_that(command, desk, bert, fewtune):
    rows = [(*row, "ward 3") for row in ROWS]
    (desk / "g.csv").write_bytes(table(rows, head=("text", "label", "ward")))
    more = METHODS if command == "compare" else "--model bert"
    said = fewtune(f"{command} g.csv {more} --group ward --quiet")
    assert_refused(said, 1, "they are of one group", "another column the right one for --group")


def test_a_positive_class_among_three_is_refused_before_anything_is_trained(desk, fewtune):
    said = fewtune("train good.csv --method tfidf --positive pump --output runs/p")
    assert_refused(said, 2, "positive: names one of two classes, and this data has 3")
    assert not (desk / "runs").exists()


def test_the_split_of_a_run_is_taken_from_its_folder_too(runs, desk, fewtune):
    words = "train good.csv --method tfidf --quiet --bootstrap 100"
    split = json.loads((runs / "tfidf" / "data.json").read_text(encoding="utf-8"))["parts"]
    for k, name in enumerate(("runs/tfidf", "runs/tfidf/data.json")):
        assert fewtune(f"{words} --split {name} --output s{k}").code == 0
        told = json.loads((desk / f"s{k}" / "data.json").read_text(encoding="utf-8"))
        assert told["parts"] == split
    assert_refused(fewtune(f"{words} --split runs"), 2, "split: there is no file runs/data.json")
    with pytest.raises(UsageError, match="unlabelled: runs is a folder and a file was expected"):
        found("runs", "unlabelled")


def test_a_race_on_a_gpu_that_is_not_here_is_told_as_that(desk, bert, fewtune):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    for memory in ("", "--memory 24GB"):
        said = fewtune(f"train good.csv --model bert --device cuda {memory} --quiet")
        assert_refused(said, 2, "device: cuda was asked for and PyTorch finds none")


def test_a_comparison_keeps_no_model_and_says_so(desk, bert, fewtune):
    assert fewtune(f"compare good.csv {METHODS} --output runs/c --quiet").code == 0
    for words in ("predict runs/c pump", "evaluate runs/c good.csv", "chat runs/c"):
        assert_refused(fewtune(words), 2, "runs/c: this is a comparison, which keeps no model")
