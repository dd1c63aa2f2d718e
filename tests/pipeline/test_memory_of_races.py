"""Memory that is told or learned reaches everybody: plan, race, comparison and the final fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import fewtune
from fewtune.base.events import Event, tell
from fewtune.models import ladder
from fewtune.pipeline import contenders
from fewtune.pipeline.order import RUNS
from fewtune.pipeline.proposal import propose
from fewtune.record.environment import environment
from fewtune.record.folder import RunFolder
from fewtune.record.footprint import LEAST, MOST, Footprint
from fewtune.train import candidate
from fewtune.train.loop import Fit
from fewtune.train.work import WholeRows

BATCH = ("per_device_train_batch_size", "gradient_accumulation_steps")
Race = Callable[..., fewtune.Run]
on_a_cpu = pytest.mark.skipif(torch.cuda.is_available(), reason="the run was on a CPU")


@pytest.fixture(autouse=True)
def _no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own process is larger than all that a tiny model may be told."""
    monkeypatch.setattr(ladder, "resident", lambda: 0)


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[Fit]:
    """Every fit that is begun."""
    seen: list[Fit] = []
    usual = candidate.run_fit

    def run_fit(fit: Fit) -> Iterator[Event]:
        seen.append(fit)
        return usual(fit)

    monkeypatch.setattr(candidate, "run_fit", run_fit)
    return seen


@pytest.fixture
def race(train: Race, monkeypatch: pytest.MonkeyPatch) -> Race:
    """A race between the baselines and another method, which wins."""
    found, winners = contenders.candidates, ["full"]

    def candidates(ranked: Any, **options: Any) -> Any:
        mine = [one for one in ranked if one.method in ("tfidf", "probe", winners[-1])]
        return found(mine, other_rates=False)

    def last(losses: Any, *known: Any) -> str:
        return [*losses][-1]

    monkeypatch.setattr(contenders, "candidates", candidates)
    monkeypatch.setattr("fewtune.trials.race.LEVEL", 0.0)
    for room in ("race", "choosing"):
        monkeypatch.setattr(f"fewtune.trials.{room}.choose", last)

    def call(winner: str = "full", **options: Any) -> fewtune.Run:
        winners.append(winner)
        return train(method="auto", folds=2, budget="20m", **{"max_steps": 2} | options)

    return call


def predicted(files: dict[str, str], **more: Any) -> dict[str, int]:
    """Bytes that a plan tells, by method."""
    told = fewtune.plan(files["train"], model=files["model"], **more)["methods"]
    return {one["method"]: one["memory"]["predicted"] for one in told if one["memory"]}


def the_contender(run: fewtune.Run, method: str = "full") -> dict[str, Any]:
    """The one of the race with a method."""
    found = run.folder.plan["chosen"]["race"]["contenders"]
    (one,) = [one for one in found if one["method"] == method]
    return dict(one["train"])


# ---- what the user says


def test_candidates_of_a_race_train_in_the_passes_that_the_plan_names(
    files: dict[str, str], race: Race, fits: list[Fit]
) -> None:
    run = race(memory=f"{predicted(files)['full'] - 100_000}B")
    cut = the_contender(run)
    rows, times = (cut[name] for name in BATCH)
    assert rows < 16
    assert rows * times == 16
    assert run.scores["method"] == "full"
    assert len(fits) == 3  # two folds, and the winner's own
    for fit in fits:
        assert {name: getattr(fit.options, name) for name in BATCH} == cut
        assert fit.steps == 2
        assert fit.ladder.pieces == 1
    (said,) = [one for one in run.folder.plan["reasons"] if one.startswith("`full`: to fit into")]
    assert f"{rows} rows in a pass and {times} passes in a step" in said


@on_a_cpu
def test_where_no_cache_fits_folds_and_the_fit_run_without(
    files: dict[str, str], race: Race, fits: list[Fit]
) -> None:
    run = race("freeze", memory=f"{predicted(files, memory='1MB')['freeze']}B")
    assert the_contender(run, "freeze")["cache_trunk"] is False
    assert run.scores["method"] == "freeze"
    assert [fit.options.cache_trunk for fit in fits] == [False] * 3
    assert not any(fit.work.cached_bytes for fit in fits)
    assert any("frozen blocks run at every step" in one for one in run.folder.plan["reasons"])


def test_with_enough_memory_nothing_is_cut(files: dict[str, str], race: Race) -> None:
    run = race(memory=f"{predicted(files)['full'] + 100_000}B")
    assert the_contender(run) == {}
    assert not any("may be used" in one or "fit into" in one for one in run.folder.plan["reasons"])


def test_who_cannot_fit_is_not_entered_and_told(files: dict[str, str], train: Race) -> None:
    least = predicted(files, memory="1MB")
    memory = (least["full"] + least["lora"]) // 2
    run = train(method="auto", folds=2, budget="20m", max_steps=1, memory=f"{memory}B")
    entered = {one["method"] for one in run.folder.plan["chosen"]["race"]["contenders"]}
    assert "full" in entered
    assert "lora" not in entered
    (said,) = [one for one in run.folder.plan["reasons"] if one.startswith("not in the race, for ")]
    assert "`lora` (" in said
    assert "`full`" not in said


def test_where_nothing_fits_one_is_tried_and_told(race: Race, fits: list[Fit]) -> None:
    run = race(memory="1MB")
    (rows,) = {getattr(fit.options, name) for fit in fits for name in BATCH[:1]}
    assert rows < 16  # the way of least memory
    assert any("`full` races though it takes" in one for one in run.folder.plan["reasons"])


# ---- what happens all the same


def test_memory_that_runs_out_in_a_race_cuts_its_passes(
    race: Race, four_rows_fit: list[int], fits: list[Fit]
) -> None:
    run = race()
    assert run.scores["method"] == "full"
    assert max(four_rows_fit) == 4
    assert [fit.ladder.pieces for fit in fits] == [4, 4, 4]
    assert {fit.options.per_device_train_batch_size for fit in fits} == {16}


def test_memory_that_runs_out_in_a_comparison_cuts_its_passes(
    files: dict[str, str], tmp_path: Path, four_rows_fit: list[int], fits: list[Fit]
) -> None:
    told = fewtune.compare(
        files["train"], model=files["model"], output=str(tmp_path / "table"), bf16=False,
        methods="probe,full,bitfit", folds=2, seeds=1, max_steps=2, bootstrap=100,
        attention="eager", memory="900GB",
    )  # fmt: skip
    assert {one["state"] for one in told["methods"]} == {"whole"}
    assert max(four_rows_fit) == 4
    assert len(fits) == 4
    assert {fit.ladder.pieces for fit in fits} == {4}


def test_a_comparison_tells_what_finds_no_memory_and_goes_on(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss(self: Any, rows: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(WholeRows, "loss", loss)
    told = fewtune.compare(
        files["train"], model=files["model"], output=str(tmp_path / "table"), folds=2, seeds=1,
        methods="probe,full", max_steps=2, bootstrap=100, attention="eager", memory="900GB",
    )  # fmt: skip
    found = {one["name"]: one for one in told["methods"]}
    assert found["full"]["state"] == "failed"
    assert "memory ran out" in found["full"]["failed"]
    assert found["probe"]["rank"] == 1


# ---- what past runs have taught


@pytest.fixture
def taught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory whose only run took 1.5 times what was told, with --memory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEWTUNE_CACHE", str(tmp_path / "cache"))  # other tests' runs teach nothing
    found = Footprint({"fit": 10**9}, 15 * 10**8, device="cpu", limited=True)
    with RunFolder.create(RUNS / "one", {"fingerprint": "one", "task": "classify"}) as folder:
        folder.write_environment(environment())
        folder.write_scores({"verdict": "done", "memory": found.as_json()})
        folder.append(tell("finished", verdict="done", seconds=1.0))
    return tmp_path


@on_a_cpu
def test_a_plan_takes_what_past_runs_here_measured(files: dict[str, str], taught: Path) -> None:
    given = {"model": files["model"], "memory": "16GB"}
    found = propose(files["train"], given)
    assert found.facts.hardware.factor == pytest.approx(1.5)
    (full,) = [one for one in found.methods if one.method == "full"]
    assert full.memory is not None
    assert full.bytes == int(1.5 * full.memory.fit) + full.memory.process
    assert any("1.50 times the computed peak, as past runs have" in one for one in found.notes)


@on_a_cpu
def test_a_plan_takes_nothing_from_runs_of_another_kind_or_place(
    files: dict[str, str], taught: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = propose(files["train"], {"model": files["model"]})  # those hold freed memory
    assert without.facts.hardware.factor == 1
    monkeypatch.chdir(files["model"])
    found = propose(files["train"], {"model": files["model"], "memory": "16GB"})
    assert found.facts.hardware.factor == 1
    assert not any("past runs" in one for one in found.notes)


@on_a_cpu
def test_a_run_elsewhere_teaches_the_next_plan(
    files: dict[str, str], train: Race, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEWTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("fewtune.record.footprint.SMALLEST", 1)  # the model is a tiny one
    run = train("elsewhere", method="full", max_steps=1, memory="16GB")
    told = run.folder.scores["memory"]
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    found = propose(files["train"], {"model": files["model"], "memory": "16GB"})
    ratio = told["measured"] / told["predicted"]["fit"]
    assert found.facts.hardware.factor == pytest.approx(min(MOST, max(LEAST, ratio)))


@on_a_cpu
def test_a_race_takes_it_too(files: dict[str, str], taught: Path, race: Race) -> None:
    memory = f"{predicted(files, memory='16GB')['full'] - 100_000}B"
    cut = the_contender(race(memory=memory, output="with"))
    assert cut["per_device_train_batch_size"] < 16
    (taught / RUNS).rename(taught / "elsewhere")
    assert the_contender(race(memory=memory, output="without")) == {}
