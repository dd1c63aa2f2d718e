"""Disks that are full or may not be written: a sentence, and nothing that looks finished."""

import errno
import os
from contextlib import contextmanager
from pathlib import Path

import pytest
from desk import assert_refused
from safetensors import SafetensorError
from safetensors.torch import save_file

from fewtune.base.files import UNFINISHED
from fewtune.record import list_runs
from fewtune.train import checkpoint

#: What is being written when the disk is full, and how far the run came.
FILES = ["plan.yaml", "environment.json", "data.json", "predictions.jsonl", "scores.json",
         "report.html", "events.jsonl", "ngrams.json", "fewtune.json", "README.md"]  # fmt: skip


@pytest.fixture
def failing(monkeypatch):
    """`with failing("scores.json", ENOSPC)`: whoever opens that file to write meets the error."""

    @contextmanager
    def fail(name, number):
        real_open, real_os_open = open, os.open

        def refuse(path, writes):
            opened = Path(str(path)).name
            half = opened.startswith(f"{name}.") and opened.endswith(UNFINISHED)
            if writes and (opened == name or half):
                raise OSError(number, os.strerror(number), str(path))

        def opened(path, mode="r", *args, **how):
            refuse(path, "w" in mode)
            return real_open(path, mode, *args, **how)

        def os_opened(path, flags, *args, **how):
            refuse(path, bool(flags & os.O_CREAT))
            return real_os_open(path, flags, *args, **how)

        with monkeypatch.context() as patched:
            patched.setattr("builtins.open", opened)
            patched.setattr("os.open", os_opened)
            yield

    return fail


@pytest.mark.parametrize("name", FILES)
def test_a_full_disk_leaves_nothing_finished_and_the_same_command_goes_on(
    name, desk, fewtune, failing
):
    words = "train good.csv --method tfidf --output runs/r"
    with failing(name, errno.ENOSPC):
        assert_refused(fewtune(words), 1, "the disk is full", "runs/r", "same command again")
    assert [run.state for run in list_runs("runs")] in ([], ["unfinished"])
    assert not list((desk / "runs").rglob(f"*{UNFINISHED}"))
    assert fewtune(words).code == 0
    assert [run.state for run in list_runs("runs")] == ["finished"]
    assert (desk / "runs" / "r" / "report.html").exists()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_read_only_folder_is_a_sentence(number, desk, fewtune, failing):
    with failing(".lock", number):
        said = fewtune("train good.csv --method tfidf --output runs/r")
        assert_refused(said, 1, "runs/r: this place may not be written", "--output")
    assert list_runs("runs") == []


def test_a_file_that_may_not_be_read(desk, fewtune, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    said = fewtune("train good.csv --method tfidf --output runs/r")
    assert_refused(said, 1, "good.csv cannot be read: Permission denied")


def full(*_, **__):
    raise SafetensorError("Error while serializing: I/O error: No space left (os error 28)")


def test_safetensors_own_error_is_understood(desk, fewtune, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("safetensors.numpy.save_file", full)
        said = fewtune("train good.csv --method tfidf --output runs/r")
    assert_refused(said, 1, "runs/r/model: the disk is full")
    assert not (desk / "runs" / "r" / "model").exists()
    assert fewtune("train good.csv --method tfidf --output runs/r").code == 0


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(
    desk, bert, fewtune, monkeypatch
):
    words = (
        "train good.csv --model bert --method full --max_steps 4 --save_steps 2 --attention eager "
        "--output runs/r"
    )

    def second_is_full(tensors, path, *args, **how):
        if "step-000004" in str(path):
            full()
        save_file(tensors, path, *args, **how)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save_file", second_is_full)
        said = fewtune(words)
    assert_refused(said, 1, "checkpoint of step 4", "step-000002 is whole", "resume")
    assert [p.name for p in (desk / "runs" / "r" / "checkpoints").iterdir()] == ["step-000002"]
    assert [run.state for run in list_runs("runs")] == ["resumable"]
    assert fewtune("resume runs/r").code == 0


def test_a_first_checkpoint_that_cannot_be_written_promises_none(desk, bert, fewtune, monkeypatch):
    monkeypatch.setattr(checkpoint, "save_file", full)
    said = fewtune(
        "train good.csv --model bert --method full --max_steps 4 --save_steps 2 --output r"
    )
    assert_refused(said, 1, "checkpoint of step 2", "there is none before it")


def test_predictions_that_cannot_be_written(desk, runs, fewtune, failing):
    with failing("out.csv", errno.ENOSPC):
        said = fewtune("predict runs/tfidf good.csv --output out.csv")
    assert_refused(said, 1, "out.csv: the disk is full")
    assert not (desk / "out.csv").exists()
