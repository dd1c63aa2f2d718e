"""Real processes, killed at bad moments: what `fewtune resume` ends with is what would have been.

One chain of kills a method, because every process spends seconds on its imports.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any

import pytest
from jobs import QUICK

import fewtune
from fewtune.base.events import tell
from fewtune.base.files import UNFINISHED
from fewtune.pipeline.order import resume
from fewtune.record.folder import RunFolder

STEPS = 40
PATIENCE = 120  # seconds
#: The attention kernel is named: two runs that measure it may choose differently.
OPTIONS = QUICK | {"max_steps": STEPS, "save_steps": 3, "per_device_train_batch_size": 4}
METHODS: dict[str, dict[str, Any]] = {
    "full": {},
    "lora+adapter": {"lora_r": 2, "lora_dropout": 0.1, "reduction_factor": 4},
}


def command(*words: str) -> subprocess.Popen[str]:
    """A process of its own, on one core, so that it adds up in the same order as the others."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return subprocess.Popen(
        [sys.executable, "-m", "fewtune", *words],
        env=os.environ | threads,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_one_core,
    )


def _one_core() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def options(files: dict[str, str], method: str, output: Path) -> dict[str, Any]:
    """Of one run."""
    given = {"model": files["model"], "test": files["test"], "output": str(output)}
    return given | OPTIONS | METHODS[method] | {"method": method}


def flags(files: dict[str, str], method: str, output: Path) -> list[str]:
    """The same, as typed."""
    given = options(files, method, output)
    return ["train", files["train"], *(f"--{name}={value}" for name, value in given.items())]


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def strike(
    process: subprocess.Popen[str], now: Callable[[], bool], how: int = signal.SIGKILL
) -> tuple[int, str]:
    """Wait for the moment and signal; the exit code, and what was said."""
    begun = monotonic()
    while not now():
        assert process.poll() is None, process.communicate()
        assert monotonic() - begun < PATIENCE
        sleep(0.002)
    process.send_signal(how)
    _, err = process.communicate(timeout=PATIENCE)
    return process.returncode, err


class Moments:
    """When to strike a run; what was told before now does not count."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.begun = time()

    def told(self, name: str, step: int = 0) -> bool:
        """An event of that name, and of that step or a later one, has been written."""
        events = [e for e in RunFolder(self.run).events if e.time >= self.begun]
        return any(e.name == name and e.fields.get("step", 0) >= step for e in events)

    def writing_a_checkpoint(self) -> bool:
        """A checkpoint is half written now."""
        folder = self.run / "checkpoints"
        half = folder.is_dir() and any(folder.glob(f"*{UNFINISHED}"))
        return half and self.told("step")  # not one that an earlier process left


def after(run: Path, name: str, step: int = 0) -> Callable[[], bool]:
    """The moment when something has been told."""
    moments = Moments(run)
    return lambda: moments.told(name, step)


def while_writing(run: Path) -> Callable[[], bool]:
    """The moment when a checkpoint is being written."""
    return Moments(run).writing_a_checkpoint


def artefact(run: Path) -> dict[str, bytes]:
    """Weights and predictions, byte by byte."""
    weights = (run / "model").rglob("*.safetensors")
    found = {str(path.relative_to(run)): path.read_bytes() for path in weights}
    return found | {"predictions": (run / "predictions.jsonl").read_bytes()}


@pytest.fixture(scope="module")
def whole(files, tmp_path_factory) -> Callable[[str], Path]:
    """The uninterrupted run of a method, on one thread as the processes are."""
    root, made = tmp_path_factory.mktemp("whole"), {}

    def run(method: str) -> Path:
        if method not in made:
            made[method] = root / method
            given = options(files, method, made[method])
            fewtune.train(files["train"], **given)
        return made[method]

    return run


def assert_same_artefact(run: Path, other: Path) -> None:
    a, b = artefact(run), artefact(other)
    assert a.keys() == b.keys()
    assert [name for name in a if a[name] != b[name]] == []


def test_killed_before_the_first_step_stopped_by_hand_and_killed_near_the_end(
    files, whole, tmp_path
):
    run = tmp_path / "run"
    # without a checkpoint, resume starts anew
    code, _ = strike(command(*flags(files, "full", run)), after(run, "planned"))
    assert code == -signal.SIGKILL
    assert RunFolder.open(run).state == "unfinished"
    # Ctrl-C: the step is finished and saved, and the way on is told
    code, err = strike(command("resume", str(run)), after(run, "step", 4), signal.SIGINT)
    assert code == 130
    assert f"`fewtune resume {run}` goes on" in " ".join(err.split())
    assert "Traceback" not in err
    assert RunFolder.open(run).state == "resumable"
    events = [event.name for event in RunFolder.open(run).events]
    assert events.count("started") == 1  # anew: nothing of the first process is left
    # training is over, and the model is not saved
    strike(command("resume", str(run)), after(run, "trained"))
    assert RunFolder.open(run).state == "resumable"
    code, out, err = finish(command("resume", str(run), "--json"))
    assert code == 0, err
    scores = json.loads(out)
    assert scores["method"] == "full"
    earlier, planned = scores["seconds"]["before_it_was_stopped"], RunFolder.open(run).plan["spent"]
    assert scores["seconds"]["total"] > earlier > planned > 0
    assert_same_artefact(run, whole("full"))


def test_killed_after_a_step_and_while_a_checkpoint_is_written(files, whole, tmp_path):
    run = tmp_path / "run"
    strike(command(*flags(files, "lora+adapter", run)), after(run, "step", 5))
    assert RunFolder.open(run).state == "resumable"
    strike(command("resume", str(run)), while_writing(run))
    assert fewtune.resume(run).scores["method"] == "lora+adapter"
    assert_same_artefact(run, whole("lora+adapter"))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_killed_again_and_again_while_checkpoints_are_written(files, whole, tmp_path, method):
    run = tmp_path / "run"
    strike(command(*flags(files, method, run)), while_writing(run))
    for name, step in (("step", 8), ("checkpoint", 15), ("step", 24)):
        strike(command("resume", str(run)), after(run, name, step))
        strike(command("resume", str(run)), while_writing(run))
    strike(command("resume", str(run)), after(run, "saved"))
    code, _, err = finish(command("resume", str(run)))
    assert code == 0, err
    assert_same_artefact(run, whole(method))


def test_a_run_that_another_process_finishes_before_the_lock_is_had_stays(tmp_path, monkeypatch):
    RunFolder.create(tmp_path / "run", {"name": "run", "fingerprint": "aaaa"}).close()
    lock = RunFolder.lock

    def late(folder):
        """The other process ends while this one waits for its turn."""
        folder.write_scores({"verdict": "It worked."})
        folder.append(tell("finished", verdict="It worked.", seconds=1.0))
        return lock(folder)

    monkeypatch.setattr(RunFolder, "lock", late)
    folder, events = resume(tmp_path / "run")
    assert [*events] == []
    assert folder.scores["verdict"] == "It worked."
    monkeypatch.undo()
    folder.lock()  # the lock is free again
    folder.close()
