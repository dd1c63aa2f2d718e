"""Augmentation in a run: made from training rows, told, tried on folds where asked."""

import pytest

from fewtune.base.errors import UsageError


def test_new_rows_name_their_parents_and_are_learned(train):
    run = train(augment="delete,typing", max_steps=2)
    learned = list(run.folder.learned)
    assert {one["recipe"] for one in learned} == {"delete", "typing"}
    lines = {line for one in run.folder.data["parts"]["train"].values() for line in one}
    assert {one["origin"]["line"] for one in learned} <= lines, "of training rows only"
    (told,) = [event for event in run.folder.events if event.name == "augmented"]
    assert told["made"] == len(learned) > 20
    assert run.scores["rows"]["train"] == 48, "rows that were read, not made"


def test_the_same_command_makes_the_same_rows(train):
    first, second = (train(output=name, augment="swap", max_steps=1) for name in "ab")
    assert list(first.folder.learned) == list(second.folder.learned)


def test_auto_tries_every_recipe_on_folds_and_says_which_it_keeps(train):
    run = train(augment="auto", folds=2, max_steps=1)
    (trial,) = run.folder.plan["chosen"]["trials"]
    names = [line["name"] for line in trial["table"]]
    assert names == ["without augmentation", "delete", "swap", "typing", "aeda", "spaces", "case"]
    kept = [line["name"] for line in trial["table"] if line["better"]]
    assert {one["recipe"] for one in run.folder.learned} == set(kept)
    assert "Tried on folds" in (run.folder.path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"augment": "delet"}, "Did you mean 'delete'"),
        ({"augment": "synonym"}, "needs --lexicon"),
        ({"augment": "drop_turns"}, "these rows are texts"),
        ({"augment": "delete", "method": "tfidf"}, "no pretrained model"),
        ({"augment": "delete", "protect": "nowhere.txt"}, "protect: there is no file"),
    ],
)
def test_what_cannot_be_made_is_said_before_there_is_a_folder(train, tmp_path, options, said):
    with pytest.raises(UsageError, match=said):
        train(**options)
    assert not (tmp_path / "run").exists()
