import enum
import errno
import json
import os
import subprocess
import sys

import pytest

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.base.events import Event, tell
from fewtune.record import RunFolder, default_name, environment, writing
from fewtune.record.names import make_folder

PLAN = {"fewtune": "0.1.0", "name": "one", "task": "classify", "fingerprint": "aaaa"}


def finish(folder):
    folder.write_scores({"verdict": "It worked.", "primary": "accuracy"})
    folder.append(tell("finished", verdict="It worked.", seconds=1.0))


def test_a_new_folder_holds_the_plan_as_it_was_given(tmp_path):
    plan = {**PLAN, "data": {"path": "报修.csv"}, "train": {"learning_rate": 2e-5, "steps": None}}
    with RunFolder.create(tmp_path / "runs" / "one", plan):
        pass
    assert RunFolder.open(tmp_path / "runs" / "one").plan == plan
    assert "报修.csv" in (tmp_path / "runs" / "one" / "plan.yaml").read_text(encoding="utf-8")


def test_a_folder_with_other_files_is_refused_and_left_as_it_was(tmp_path):
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(UsageError, match=r"not a run's \(thesis\.doc\); choose another --output"):
        RunFolder.create(tmp_path, PLAN)
    assert [one.name for one in tmp_path.iterdir()] == ["thesis.doc"]


def test_a_file_in_the_folders_place_is_refused(tmp_path):
    (tmp_path / "one").write_text("")
    with pytest.raises(UsageError, match="this is a file"):
        RunFolder.create(tmp_path / "one", PLAN)
    with pytest.raises(FewtuneError, match="a file stands in its way"):
        RunFolder.create(tmp_path / "one" / "two", PLAN)


def test_another_runs_folder_is_refused_with_both_fingerprints(tmp_path):
    RunFolder.create(tmp_path / "one", PLAN).close()
    with pytest.raises(UsageError, match=r"aaaa.*bbbb.*--output.*fewtune runs rm one"):
        RunFolder.create(tmp_path / "one", {**PLAN, "fingerprint": "bbbb"})
    RunFolder.create(tmp_path / "one", PLAN).close()  # the refusal kept no lock


def test_the_same_run_keeps_the_plan_with_what_was_chosen(tmp_path):
    with RunFolder.create(tmp_path / "one", PLAN) as folder:
        folder.write_plan({**PLAN, "chosen": {"attention": "sdpa"}})
        finish(folder)
    with RunFolder.create(tmp_path / "one", PLAN) as again:
        assert again.plan["chosen"] == {"attention": "sdpa"}
        assert again.state == "finished"


def test_what_a_killed_creation_leaves_behind_is_no_foreign_file(tmp_path):
    (tmp_path / ".lock").write_text("")
    (tmp_path / "plan.yaml.0a1b2c3d.unfinished").write_text("task: cla")
    with RunFolder.create(tmp_path, PLAN) as folder:
        assert folder.plan == PLAN


def test_what_a_killed_process_left_half_written_is_swept_up_under_the_lock(tmp_path):
    folder = RunFolder.create(tmp_path / "one", PLAN)

    def killed():
        half = [folder.path / f"{name}.0a1b2c3d.unfinished" for name in ("model", "scores.json")]
        half[0].mkdir(exist_ok=True)
        for one in (half[0] / "head.safetensors", half[1]):
            one.write_text("x")
        return half

    half = killed()
    folder.close()
    assert all(one.exists() for one in half)
    RunFolder.open(folder.path).lock().close()
    assert not any(one.exists() for one in half)
    half = killed()
    RunFolder.create(folder.path, PLAN).close()
    assert not any(one.exists() for one in half)


def test_a_place_that_may_not_be_written_is_told_in_a_sentence(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(FewtuneError, match=r"may not be written .*--output"):
        RunFolder.create(tmp_path / "one", PLAN)


def test_a_full_disk_is_told_in_a_sentence_and_the_old_file_stays(tmp_path, monkeypatch):
    folder = RunFolder.create(tmp_path / "one", PLAN)
    folder.write_scores({"verdict": "old"})

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(FewtuneError, match=r"scores\.json: the disk is full"):
        folder.write_scores({"verdict": "new"})
    with pytest.raises(FewtuneError, match=r"events\.jsonl: the disk is full"):
        folder.append(tell("finished", verdict="new", seconds=1))
    assert folder.scores == {"verdict": "old"}
    message = "checkpoints: the disk is full"
    with pytest.raises(FewtuneError, match=message), writing(folder.checkpoints):
        full()


def test_two_processes_cannot_hold_one_run(tmp_path):
    RunFolder.create(tmp_path / "one", PLAN).close()
    code = (
        "import sys; from fewtune.record import RunFolder;"
        "folder = RunFolder.open(sys.argv[1]).lock(); print('held', flush=True); input()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "one"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert other.stdout.readline() == "held\n"
    with pytest.raises(FewtuneError, match=rf"another process \(number {other.pid}\)"):
        RunFolder.create(tmp_path / "one", PLAN)
    assert RunFolder.open(tmp_path / "one").plan == PLAN  # reading needs no lock
    other.kill()  # kill -9: nothing is left to clean up
    other.wait()
    RunFolder.create(tmp_path / "one", PLAN).close()


def test_a_lock_that_is_a_link_is_refused_and_what_it_leads_to_stays(tmp_path):
    thesis = tmp_path / "thesis.doc"
    thesis.write_text("years of work")
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / ".lock").symlink_to(thesis)
    with pytest.raises(FewtuneError, match=r"\.lock: this is a link"):
        RunFolder.create(folder, PLAN)
    assert thesis.read_text() == "years of work"


def test_a_default_name_that_is_taken_meanwhile_is_counted_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = {**PLAN, "fingerprint": "bbbb"}

    def name():
        return default_name("a.csv", "lora", "runs", "bbbb")

    def plan_of(name, first="a-lora-1"):
        if name == first:  # another process is faster
            held.append(RunFolder.create(f"runs/{first}", PLAN))
        return {**other, "name": name}

    held = []
    with make_folder(None, name, plan_of) as folder:  # which holds the folder
        assert (folder.name, folder.plan["name"]) == ("a-lora-2", "a-lora-2")
    held[0].close()
    with make_folder(None, name, lambda _: other) as again:
        assert again.name == "a-lora-2"
        with pytest.raises(FewtuneError, match="another process"):  # works on this very run
            make_folder(None, name, lambda _: other)
    with pytest.raises(UsageError, match="another run lives here"):
        make_folder("runs/a-lora-1", name, lambda _: other)


def test_a_full_disk_is_no_name_that_was_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(FewtuneError, match="the disk is full"):
        make_folder(None, lambda: default_name("a.csv", "lora", "runs"), lambda _: PLAN)
    assert [one.name for one in (tmp_path / "runs").iterdir()] == ["a-lora-1"]


def test_opening_what_is_no_run_folder_says_so(tmp_path):
    with pytest.raises(UsageError, match="not a run folder"):
        RunFolder.open(tmp_path)
    with pytest.raises(UsageError, match="no such run folder"):
        RunFolder.open(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["a: [", "just words", "\x00"])
def test_a_broken_plan_is_told_in_a_sentence(tmp_path, text):
    (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(FewtuneError, match=r"plan\.yaml: the run's plan"):
        _ = RunFolder.open(tmp_path).plan


def test_broken_scores_are_told_in_a_sentence(tmp_path):
    folder = RunFolder.create(tmp_path / "one", PLAN)
    (folder.path / "scores.json").write_text('{"verd')
    with pytest.raises(FewtuneError, match=r"scores\.json: cannot be read"):
        _ = folder.scores


def test_events_come_back_in_order(tmp_path):
    folder = RunFolder.create(tmp_path / "one", PLAN)
    told = [tell("started", run="one"), tell("step", step=1, loss=0.5), tell("finished")]
    for event in told:
        folder.append(event)
    assert list(folder.events) == told
    assert folder.last_event == told[-1]


def test_half_a_line_is_passed_over_and_the_next_event_is_not_glued_to_it(tmp_path):
    folder = RunFolder.create(tmp_path / "one", PLAN)
    folder.append(tell("started", run="one"))
    with open(folder.path / "events.jsonl", "a") as file:
        file.write('{"name": "step", "ti')
    assert [event.name for event in folder.events] == ["started"]
    assert folder.last_event.name == "started"
    folder.append(tell("step", step=2))
    assert [event.name for event in folder.events] == ["started", "step"]


def test_events_of_a_newer_fewtune_are_passed_over(tmp_path):
    folder = RunFolder.create(tmp_path / "one", PLAN)
    (folder.path / "events.jsonl").write_text('{"name": "danced", "time": 1}\n[1]\n')
    assert list(folder.events) == []
    assert folder.last_event is None


def test_a_loss_that_is_no_number_is_written_as_null(tmp_path):
    folder = RunFolder.create(tmp_path / "one", PLAN)
    folder.append(Event("step", {"loss": float("nan")}, 0.0))
    assert next(folder.events)["loss"] is None
    assert json.loads((folder.path / "events.jsonl").read_text())["loss"] is None


def test_numpy_numbers_paths_and_surrogates_can_be_written(tmp_path):
    import numpy as np

    folder = RunFolder.create(tmp_path / "one", PLAN)
    folder.write_scores({"value": np.float32(0.5), "matrix": np.eye(2, dtype=int), "at": tmp_path})
    assert folder.scores == {"value": 0.5, "matrix": [[1, 0], [0, 1]], "at": str(tmp_path)}
    folder.write_predictions([{"text": "a\ud800b", "probability": {"x": np.float64(1)}}])
    assert next(folder.predictions)["probability"] == {"x": 1.0}
    with pytest.raises(TypeError, match="object cannot be written"):
        folder.write_scores({"what": object()})


def test_members_of_enumerations_and_numpy_texts_are_written_as_what_they_are(tmp_path):
    import numpy as np

    class Size(enum.StrEnum):
        SMALL = "small"

    class Colour(str, enum.Enum):  # noqa: UP042 - as it was before 3.11
        RED = "red"

    class Count(enum.IntEnum):
        TWO = 2

    told = {Size.SMALL: Size.SMALL, "colour": Colour.RED, "word": np.str_("修"), "n": Count.TWO}
    plain = {"small": "small", "colour": "red", "word": "修", "n": 2}
    folder = RunFolder.create(tmp_path / "one", PLAN | told)
    assert folder.plan == PLAN | plain
    folder.write_scores(told)
    assert folder.scores == plain


def test_the_state_follows_from_the_files(tmp_path):
    folder = RunFolder.create(tmp_path / "one", PLAN)
    assert folder.state == "unfinished"
    folder.checkpoints.mkdir()
    (folder.checkpoints / "step-5.unfinished").mkdir()
    assert folder.state == "unfinished"
    (folder.checkpoints / "step-5").mkdir()
    assert folder.state == "resumable"
    folder.append(tell("finished"))
    assert folder.state == "resumable"  # no scores
    folder.write_scores({"verdict": "It worked."})
    assert folder.state == "finished"
    folder.append(tell("started"))
    assert folder.state == "resumable"  # "finished" is not the last word any more


def test_starting_anew_keeps_only_the_plan_and_the_lock(tmp_path):
    with RunFolder.create(tmp_path / "one", PLAN) as folder:
        finish(folder)
        folder.model.mkdir()
        (folder.model / "head.safetensors").write_text("x")
        folder.start_anew()
        assert sorted(one.name for one in folder.path.iterdir()) == [".lock", "plan.yaml"]


def test_what_was_decided_is_forgotten_where_all_is_computed_anew(tmp_path):
    with RunFolder.create(tmp_path / "one", PLAN) as folder:
        finish(folder)
        folder.write_learned([{"text": "x"}])
        (folder.path / "race" / "fits").mkdir(parents=True)
        folder.write_plan(folder.plan | {"chosen": {"race": 1}})
        (folder.path / "notes.txt").write_text("somebody's own")
        folder.forget(PLAN, ["race"])
        names = sorted(one.name for one in folder.path.iterdir())
        assert names == [".lock", "notes.txt", "plan.yaml"]
        assert folder.plan == PLAN


def test_default_names_count_up_and_the_same_run_keeps_its_own(tmp_path):
    assert default_name("a/fault reports.csv", "lora", tmp_path) == "fault_reports-lora-1"
    RunFolder.create(tmp_path / "fault_reports-lora-1", PLAN).close()
    assert default_name("fault reports.csv", "lora", tmp_path) == "fault_reports-lora-2"
    assert default_name("fault reports.csv", "lora", tmp_path, "aaaa") == "fault_reports-lora-1"
    assert default_name("fault reports.csv", "lora", tmp_path, "bbbb") == "fault_reports-lora-2"
    assert default_name("报修记录.csv", "lora+adapter", tmp_path) == "报修记录-lora+adapter-1"
    (tmp_path / default_name("修" * 300 + ".csv", "lora", tmp_path)).mkdir()  # not too long


def test_the_environment_holds_versions_and_machine_and_nobodys_name():
    told = environment()
    assert told["packages"].keys() >= {"fewtune", "torch", "transformers"}
    assert told["cpu"]["cores"] >= 1
    assert set(told["cpu"]["bf16"]) <= {"avx512_bf16", "amx_bf16", "bf16"}
    text = json.dumps(told)
    assert os.uname().nodename not in text or os.uname().nodename in {"linux", "Linux"}
    assert os.path.expanduser("~") not in text


def test_the_time_of_a_run_that_was_stopped_is_that_of_its_parts(tmp_path):
    with RunFolder.create(tmp_path / "one", PLAN) as folder:
        assert folder.spent == 0
        for name, moment in (
            ("started", 10.0), ("step", 14.0),
            ("started", 500.0), ("step", 507.5), ("step", 503.0),  # the clock was put back
        ):  # fmt: skip
            folder.append(Event(name, {}, moment))
        assert folder.spent == 4 + 3
        folder.start_anew()
        assert folder.spent == 7
        folder.append(Event("started", {}, 900.0))
        folder.append(Event("step", {}, 901.0))
        assert folder.spent == 8
        folder.forget(PLAN, ())
        assert folder.spent == 0


def test_a_run_killed_while_it_starts_anew_counts_no_time_twice(tmp_path, monkeypatch):
    with RunFolder.create(tmp_path / "one", PLAN) as folder:
        folder.append(Event("started", {}, 10.0))
        folder.append(Event("step", {}, 17.0))

        def killed(_self, name):
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(RunFolder, "_remove", killed)
            with pytest.raises(KeyboardInterrupt):
                folder.start_anew()
        assert folder.spent == 7
        folder.start_anew()
        assert folder.spent == 7
