import json
import os

import pytest

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.base.events import Event
from fewtune.record import Difference, RunFolder, diff, list_runs, paired, remove_run

TEXTS = ["pump leaks", "no power", "belt torn", "fan loud"]


def run(root, name, *, time=100.0, value=0.75, rate=1e-4, said="pbbf", finished=True):
    plan = {
        "fewtune": "0.1.0",
        "name": name,
        "task": "classify",
        "model": {"model": "minilm"},
        "method": {"name": "lora", "lora_r": 8},
        "train": {"learning_rate": rate},
        "run": {"seed": 0, "output": name},
        "fingerprint": name,
    }
    folder = RunFolder.create(root / name, plan)
    folder.append(Event("started", {"run": name}, time))
    if finished:
        folder.write_scores({
            "task": "classify", "method": "lora", "primary": "accuracy", "verdict": "It worked.",
            "rows": {"kept": 40}, "seconds": {"total": 12.5},
            "test": {"accuracy": {"value": value, "low": value - 0.1, "high": value + 0.1}},
        })  # fmt: skip
        folder.write_predictions(
            {"prediction": letter, "label": text[0], "origin": f"test.csv:{line}", "text": text}
            for line, (letter, text) in enumerate(zip(said, TEXTS, strict=True), 2)
        )
        folder.append(Event("finished", {}, time + 12.5))
    folder.close()
    return folder


def test_runs_are_listed_newest_first_with_their_scores(tmp_path):
    run(tmp_path, "old", time=1.0)
    run(tmp_path, "new", time=2.0, finished=False)
    (tmp_path / "not a run").mkdir()
    (tmp_path / "notes.txt").write_text("")
    new, old = list_runs(tmp_path)
    assert (new.name, new.state, new.value) == ("new", "unfinished", None)
    assert (old.name, old.state, old.value, old.low) == ("old", "finished", 0.75, 0.65)
    assert (old.method, old.model, old.rows, old.seconds, old.time) == (
        "lora",
        "minilm",
        40,
        12.5,
        1,
    )


def test_no_folder_of_runs_is_no_runs_and_makes_none(tmp_path):
    assert list_runs(tmp_path / "runs") == []
    assert not (tmp_path / "runs").exists()


def test_finished_runs_are_read_from_the_index_until_their_scores_change(tmp_path, monkeypatch):
    folder = run(tmp_path, "one")
    before = list_runs(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("fewtune.record.index._summary", lambda _: pytest.fail("it was read again"))
        assert list_runs(tmp_path) == before
    folder.write_scores({**folder.scores, "test": {"accuracy": {"value": 0.9}}})
    assert list_runs(tmp_path)[0].value == 0.9


@pytest.mark.parametrize(
    "rubbish", [b"this is no database" * 100, b"SQLite format 3\x00" + b"\xff" * 9000]
)
def test_a_broken_index_is_rebuilt(tmp_path, rubbish):
    run(tmp_path, "one")
    (tmp_path / ".index.sqlite").write_bytes(rubbish)
    assert [one.name for one in list_runs(tmp_path)] == ["one"]
    assert [one.name for one in list_runs(tmp_path)] == ["one"]
    assert (tmp_path / ".index.sqlite").read_bytes() != rubbish


def test_a_place_without_an_index_still_lists_its_runs(tmp_path):
    run(tmp_path, "one")
    (tmp_path / ".index.sqlite").mkdir()  # stands for a folder that may not be written
    assert [one.name for one in list_runs(tmp_path)] == ["one"]


def test_a_run_whose_files_are_broken_does_not_hide_the_others(tmp_path):
    run(tmp_path, "good")
    (run(tmp_path, "bad").path / "scores.json").write_text("{")
    assert {one.name: one.state for one in list_runs(tmp_path)} == {
        "good": "finished",
        "bad": "broken",
    }


def test_a_removed_run_is_gone_from_disk_and_list(tmp_path):
    run(tmp_path, "one"), run(tmp_path, "two")
    list_runs(tmp_path)
    remove_run(tmp_path, "one")
    assert [one.name for one in list_runs(tmp_path)] == ["two"]
    assert {one for one in os.listdir(tmp_path) if "index" not in one} == {"two"}


@pytest.mark.parametrize("name", ["..", ".", "", "../runs/one", "onne", "notes"])
def test_only_a_run_of_this_folder_can_be_removed(tmp_path, name):
    root = tmp_path / "runs"
    run(root, "one")
    (root / "notes").mkdir()
    with pytest.raises(UsageError, match="no such run"):
        remove_run(root, name)
    assert RunFolder.open(root / "one").state == "finished"


def test_a_run_at_work_is_not_removed(tmp_path):
    with run(tmp_path, "one").lock(), pytest.raises(FewtuneError, match="another process"):
        remove_run(tmp_path, "one")
    remove_run(tmp_path, "one")


def test_diff_tells_the_options_that_differ_and_the_scores(tmp_path):
    a, b = run(tmp_path, "a"), run(tmp_path, "b", rate=3e-4, value=0.8, said="pnbx")
    told = {one.name: one for one in diff(a, b)}
    assert told.keys() == {
        "train.learning_rate", "test.accuracy", "paired.accuracy", "paired.only_right",
    }  # fmt: skip
    assert told["train.learning_rate"] == Difference("train.learning_rate", 1e-4, 3e-4)
    assert told["paired.only_right"] == Difference("paired.only_right", 1, 1)
    assert told["paired.accuracy"] == Difference("paired.accuracy", 0.75, 0.75)
    both = paired(a, b)
    assert (both.rows, both.right_a, both.right_b, both.p, both.difference) == (4, 3, 3, 1.0, 0.0)


def test_runs_with_other_test_rows_are_not_paired(tmp_path):
    a, b = run(tmp_path, "a"), run(tmp_path, "b")
    rows = [{**one, "text": one["text"] + "!"} for one in b.predictions]
    b.write_predictions(rows)
    assert paired(a, b) is None
    assert paired(a, run(tmp_path, "c", finished=False)) is None


def test_the_index_can_be_deleted_at_any_time(tmp_path):
    run(tmp_path, "one")
    before = list_runs(tmp_path)
    for file in tmp_path.glob(".index.sqlite*"):
        file.unlink()
    assert list_runs(tmp_path) == before
    assert json.loads(json.dumps(before[0].name)) == "one"
