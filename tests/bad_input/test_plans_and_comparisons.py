"""What is wrong with plans, races and comparisons: a sentence each, all at once, nothing begun."""

import pytest
from desk import ROWS, assert_refused, table

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


@pytest.mark.parametrize("command", ["plan", "compare", "train"])
def test_rows_of_one_group_are_told_as_that(command, desk, bert, fewtune):
    rows = [(*row, "ward 3") for row in ROWS]
    (desk / "g.csv").write_bytes(table(rows, head=("text", "label", "ward")))
    more = METHODS if command == "compare" else "--model bert"
    said = fewtune(f"{command} g.csv {more} --group ward --quiet")
    assert_refused(said, 1, "they are of one group", "another column the right one for --group")


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
