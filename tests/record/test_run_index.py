import json
import os
from pathlib import Path

import pytest

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.base.events import Event
from fewtune.cli.runs import open_run, run_verb
from fewtune.cli.screen import Screen
from fewtune.record import Difference, RunFolder, diff, index, list_runs, paired, remove_run
from fewtune.record.index import overlap

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
    told = {one.name: one for one in diff(a, b, paired(a, b))}
    assert told.keys() == {
        "train.learning_rate", "test.accuracy", "paired.accuracy", "paired.only_right",
    }  # fmt: skip
    assert told["train.learning_rate"] == Difference("train.learning_rate", 1e-4, 3e-4)
    assert told["paired.only_right"] == Difference("paired.only_right", 1, 1)
    assert told["paired.accuracy"] == Difference("paired.accuracy", 0.75, 0.75)
    both = paired(a, b)
    assert (both.rows, both.right_a, both.right_b, both.p, both.difference) == (4, 3, 3, 1.0, 0.0)


def test_runs_of_several_labels_are_paired_by_whole_rows(tmp_path):
    a, b = run(tmp_path, "a"), run(tmp_path, "b")
    for folder, said in ((a, [["x"], ["x", "y"]]), (b, [["x"], ["y"]])):
        folder.write_predictions(
            {"prediction": labels, "label": ["x", "y"][k:], "origin": f"t.csv:{k}", "text": "t"}
            for k, labels in enumerate(said)
        )
    assert paired(a, b).by == "subset_accuracy"
    told = {one.name: one for one in diff(a, b, paired(a, b))}
    assert told["paired.subset_accuracy"] == Difference("paired.subset_accuracy", 0.0, 0.5)


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


# ---- runs that write texts

REFERENCES = ["replace the seal", "reset the fuse", "mend the belt", "oil the fan"]


def writer(root, name, answers, *, over="before"):
    """A finished run of a language model that gave these answers to TEXTS."""
    plan = {
        "name": name, "task": "generate", "model": {"model": "tiny"}, "method": {"name": "lora"},
        "fingerprint": name,
    }  # fmt: skip
    folder = RunFolder.create(root / name, plan)
    folder.write_scores({
        "task": "generate", "method": "lora", "primary": "loss", "gain": {"over": over},
        "test": {"loss": {"value": 1.25, "low": 1.2, "high": 1.3}},
        "baselines": {"before": {"loss": {"value": 4.5, "low": 4.4, "high": 4.6}}},
    })  # fmt: skip
    folder.write_predictions(
        {"prediction": said, "label": meant, "text": text, "origin": "a:1", "stopped": True}
        for said, meant, text in zip(answers, REFERENCES, TEXTS, strict=True)
    )
    folder.append(Event("finished", {}, 1.0))
    folder.close()
    return folder


def test_a_loss_is_listed_with_what_it_was_before(tmp_path):
    writer(tmp_path, "against-before", REFERENCES)
    writer(tmp_path, "against-another", REFERENCES, over="few_shot")
    run(tmp_path, "classes")
    before = {one.name: one.before for one in list_runs(tmp_path)}
    assert before == {"against-before": 4.5, "against-another": None, "classes": None}
    assert {one.name: one.before for one in list_runs(tmp_path)} == before  # from the index


def test_answers_are_paired_by_what_they_share_with_the_reference(tmp_path):
    a = writer(tmp_path, "a", ["Replace the seal.", "?", "?", "?"])
    b = writer(tmp_path, "b", ["replace the fan", "reset the fuse", "mend", "?"])
    both = paired(a, b)
    assert (both.by, both.rows, both.right_a, both.right_b) == ("rougeL", 4, 1, 1)
    assert (both.only_a, both.only_b) == (1, 1)
    assert both.difference == pytest.approx((2 / 3 + 1 + 1 / 2) / 4 - 1 / 4)
    assert both.low <= both.difference <= both.high
    told = {one.name: one for one in diff(a, b, paired(a, b))}
    assert told["paired.exact_match"] == Difference("paired.exact_match", 0.25, 0.25)
    assert "paired.accuracy" not in told


def test_overlap_goes_by_characters_in_chinese():
    assert overlap("更换密封圈", "更换密封垫") == 0.8
    assert overlap("", "") == 0.0


def test_a_class_and_a_text_are_never_paired(tmp_path):
    a = writer(tmp_path, "a", REFERENCES)
    b = writer(tmp_path, "b", REFERENCES)
    b.write_predictions(
        {key: value for key, value in one.items() if key != "stopped"} for one in b.predictions
    )
    assert paired(a, b) is None


def test_the_list_and_the_difference_on_the_terminal(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    writer(tmp_path, "a", ["?"] * 4)
    writer(tmp_path, "b", REFERENCES)
    run(tmp_path, "classes")
    screen = Screen()
    run_verb("list", [], tmp_path, screen)
    run_verb("diff", ["a", "b"], tmp_path, screen)
    run_verb("show", ["b"], tmp_path, screen)
    told = " ".join(capsys.readouterr().out.split())
    assert "loss 4.50 → 1.25 (1.20-1.30)" in told
    assert "accuracy 75.0 % (65.0-85.0) 12 s" in told
    assert "On the same 4 rows b is +100.0 points" in told
    assert "from a by ROUGE-L" in told
    assert "loss per token" in told


def test_the_rows_of_two_runs_are_paired_once(tmp_path, monkeypatch, capsys):
    run(tmp_path, "a"), run(tmp_path, "b")
    compared, calls = index._compared, []
    monkeypatch.setattr(index, "_compared", lambda pairs: calls.append(1) or compared(pairs))
    run_verb("diff", ["a", "b"], tmp_path, Screen())
    assert "On the same 4 rows" in capsys.readouterr().out
    assert calls == [1]


def test_a_run_with_a_long_name_can_be_removed(tmp_path):
    name = "修" * 83  # 249 bytes of the 255 that a name may have
    run(tmp_path, name)
    remove_run(tmp_path, name)
    assert not os.listdir(tmp_path)


def test_a_link_to_a_run_is_listed_and_removed_by_its_own_name(tmp_path):
    root = tmp_path / "runs"
    root.mkdir()
    elsewhere = run(tmp_path / "archive", "old").path
    (root / "link").symlink_to(elsewhere)
    assert [one.name for one in list_runs(root)] == ["link"]
    assert [one.name for one in list_runs(root)] == ["link"]  # from the index
    remove_run(root, "link")
    assert list_runs(root) == []
    assert elsewhere.is_dir()


def test_something_else_of_a_runs_name_does_not_hide_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(tmp_path / "runs", "a")
    (tmp_path / "a").mkdir()
    assert RunFolder.open("a").plan["name"] == "a"
    assert open_run("a", Path("runs")).plan["name"] == "a"
    (tmp_path / "b").mkdir()
    with pytest.raises(UsageError, match="b: this is not a run folder"):
        open_run("b", Path("runs"))
    with pytest.raises(UsageError, match="runs/c: there is no such run"):
        open_run("c", Path("runs"))
    run(tmp_path, "here")
    assert open_run("here", Path("runs")).path == Path("here")


def test_a_run_that_is_removed_while_it_is_listed_is_left_out(tmp_path, monkeypatch):
    run(tmp_path, "stays")
    monkeypatch.setattr(index, "runs_in", lambda root: [root / "gone", root / "stays"])
    assert [one.name for one in list_runs(tmp_path)] == ["stays"]


@pytest.mark.parametrize(
    "broken", [{"seconds": 5}, {"gain": [1]}, {"test": {"accuracy": 0.5}}, {"rows": "many"}]
)
def test_scores_that_somebody_edited_do_not_hide_the_other_runs(broken, tmp_path):
    run(tmp_path, "good")
    edited = run(tmp_path, "edited")
    edited.write_scores(edited.scores | broken)
    assert {one.name for one in list_runs(tmp_path)} == {"good", "edited"}
