"""The machine's factor: what past runs took over what was told beforehand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fewtune.base.events import tell
from fewtune.record import footprint
from fewtune.record.environment import environment
from fewtune.record.folder import RunFolder
from fewtune.record.footprint import Footprint, factor

HERE = environment()


def add_run(
    root: Path, name: str, measured: float, env: dict[str, Any] = HERE, **more: Any
) -> None:
    """A finished run that measured so many times what was told."""
    told = Footprint({"peak": 10**9}, int(measured * 10**9), **{"device": "cpu", **more})
    with RunFolder.create(root / name, {"fingerprint": name, "task": "classify"}) as folder:
        folder.write_environment(env)
        folder.write_scores({"verdict": "done", "memory": told.as_json()})
        folder.append(tell("finished", verdict="done", seconds=1.0))


def test_the_factor_is_the_median_of_what_runs_measured(tmp_path: Path) -> None:
    for name, measured in (("a", 1.0), ("b", 1.2), ("c", 1.9)):
        add_run(tmp_path, name, measured)
    assert factor(tmp_path, "cpu") == pytest.approx(1.2)


def test_without_a_run_there_is_no_factor(tmp_path: Path) -> None:
    assert factor(tmp_path, "cpu") is None
    assert factor(tmp_path / "nowhere", "cpu") is None
    add_run(tmp_path, "a", 1.1)
    assert factor(tmp_path, "cuda") is None


def test_only_the_last_runs_count(tmp_path: Path) -> None:
    for k in range(6):
        add_run(tmp_path, f"run{k}", 2.0 if k < 3 else 1.1)
    newest = [one.name for one in footprint.list_runs(tmp_path)][:3]
    expected = 1.1 if "run5" in newest else 2.0
    assert factor(tmp_path, "cpu", last=3) == pytest.approx(expected)
    assert factor(tmp_path, "cpu", last=6) == pytest.approx((1.1 + 2.0) / 2)


def test_runs_with_a_budget_are_a_kind_of_their_own(tmp_path: Path) -> None:
    add_run(tmp_path, "a", 1.4)
    add_run(tmp_path, "b", 1.02, limited=True)
    assert factor(tmp_path, "cpu") == pytest.approx(1.4)
    assert factor(tmp_path, "cpu", limited=True) == pytest.approx(1.02)


def test_another_machines_runs_and_those_that_were_cut_do_not_count(tmp_path: Path) -> None:
    add_run(tmp_path, "other", 2.0, env={**HERE, "cpu": {"model": "another"}})
    add_run(tmp_path, "cut", 2.0, rung={"pieces": 2, "recompute": False})
    assert factor(tmp_path, "cpu") is None


def test_a_factor_that_no_machine_has_is_held_back(tmp_path: Path) -> None:
    add_run(tmp_path, "a", 40.0)
    assert factor(tmp_path, "cpu") == footprint.MOST


@pytest.mark.parametrize("broken", ['{"memory": 3, "verdict": "x"}', '{"verdict": "x"}', "{"])
def test_a_run_that_says_nothing_of_memory_is_passed_over(tmp_path: Path, broken: str) -> None:
    add_run(tmp_path, "a", 1.3)
    add_run(tmp_path, "b", 1.3)
    (tmp_path / "b" / "scores.json").write_text(broken, "utf-8")
    assert factor(tmp_path, "cpu") == pytest.approx(1.3)


def test_a_footprint_is_written_as_the_scores_have_it() -> None:
    told = Footprint({"weights": 1, "peak": 2}, 3, "cpu").as_json()
    assert json.loads(json.dumps(told)) == {
        "predicted": {"weights": 1, "peak": 2},
        "measured": 3,
        "device": "cpu",
        "limited": False,
        "rung": None,
    }
