"""The machine's factor: what past runs took over what was told beforehand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fewtune.base.events import tell
from fewtune.record import footprint
from fewtune.record.environment import environment
from fewtune.record.folder import RunFolder
from fewtune.record.footprint import Footprint, factor, keep
from fewtune.record.remembered import KEPT, remembered

HERE = environment()


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own: what it remembers is no other test's."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("FEWTUNE_CACHE", str(folder))
    return folder


def add_run(
    root: Path, name: str, measured: float, env: dict[str, Any] = HERE, **more: Any
) -> None:
    """A finished run that measured so many times what was told."""
    told = Footprint({"fit": 10**9}, int(measured * 10**9), **{"device": "cpu", **more})
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


# ---- what the cache remembers


def told(measured: float, **more: Any) -> dict[str, Any]:
    """A footprint as scores have it."""
    return Footprint({"fit": 10**9}, int(measured * 10**9), **{"device": "cpu", **more}).as_json()


def files_of(cache: Path) -> list[Path]:
    return sorted(path for path in cache.rglob("*") if path.is_file())


def test_runs_anywhere_are_remembered_beside_those_in_the_folder(tmp_path: Path) -> None:
    keep(told(1.4), tmp_path / "elsewhere")
    assert factor(tmp_path, "cpu") == pytest.approx(1.4)
    add_run(tmp_path, "a", 1.2)
    assert factor(tmp_path, "cpu") == pytest.approx(1.3)
    assert factor(tmp_path, "cpu", limited=True) is None
    assert factor(tmp_path, "cuda") is None


def test_a_run_in_the_folder_that_is_remembered_too_counts_once(tmp_path: Path) -> None:
    for name, measured in (("a", 1.0), ("b", 1.0), ("c", 2.0), ("d", 2.2)):
        add_run(tmp_path, name, measured)
    expected = factor(tmp_path, "cpu")
    keep(told(2.2), tmp_path / "d")
    assert factor(tmp_path, "cpu") == expected == pytest.approx(1.5)


def test_what_says_nothing_of_the_machine_is_not_kept(tmp_path: Path, cache: Path) -> None:
    keep(told(2.0, rung={"pieces": 2, "recompute": False}), tmp_path / "cut")
    keep(told(0.0), tmp_path / "unmeasured")
    keep({**told(1.0), "predicted": {"fit": 10**6}}, tmp_path / "tiny")
    assert not files_of(cache)


def test_only_the_newest_are_kept(tmp_path: Path, cache: Path) -> None:
    for k in range(KEPT + 5):
        keep(told(2.0 if k < 5 else 1.1), tmp_path / f"run{k}")
    assert len(files_of(cache)) == KEPT
    assert {one.measured for one in remembered("cpu", limited=False)} == {11 * 10**8}


@pytest.mark.parametrize(
    "broken",
    ["", "{", "[]", "3", '{"predicted": "x"}', '{"predicted": 0, "measured": 1, "time": 1}'],
)
def test_a_damaged_file_is_passed_over(tmp_path: Path, cache: Path, broken: str) -> None:
    keep(told(3.0), tmp_path / "a")
    (path,) = files_of(cache)
    path.write_text(broken, "utf-8")
    assert factor(tmp_path, "cpu") is None
    keep(told(1.4), tmp_path / "b")
    assert factor(tmp_path, "cpu") == pytest.approx(1.4)


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("FEWTUNE_CACHE", str(blocked))
    keep(told(1.4), tmp_path / "a")
    assert factor(tmp_path, "cpu") is None


def test_two_processes_lose_nothing(tmp_path: Path, cache: Path) -> None:
    """Both write at once, and while both throw away what is old."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from fewtune.record.remembered import remember\n"
        "for k in range(30):\n"
        "    remember(10**9, 10**9 + k, 'cpu', False, Path(sys.argv[1], str(k)))\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, name]) for name in ("a", "b")]
    assert [one.wait() for one in both] == [0, 0]
    assert len(files_of(cache)) == KEPT
    assert len(remembered("cpu", limited=False)) == KEPT
