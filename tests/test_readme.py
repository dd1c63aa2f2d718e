"""What the README says is what the program does: its commands run, its tables are right."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "laws"))

from tiny_models import build_speaker

from fewtune.cli import COMMANDS
from fewtune.data.formats import FORMATS
from fewtune.methods import METHODS
from fewtune.methods.base import options_of
from fewtune.trials.sections import SECTIONS

ROOT = Path(__file__).parents[1]
README, CHINESE = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh.md"))
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "benchmarks" / "README.md"]
FENCE = re.compile(r"(<!-- slow -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FLAGS_OF_COMMANDS = {
    "method", "task", "config", "json", "quiet", "debug", "help", "schema", "root", "fix", "vary",
}  # fmt: skip
#: Exit codes that are no failure: the linter finds something in what a random model cannot read.
ENDS = {"check": (0, 1)}
ROWS = 96  # of the example data: every class has some, and a probe takes seconds


def fences(page: str, language: str, slow: bool = False) -> list[str]:
    """The fenced blocks of a language; a `<!-- slow -->` line before one marks it."""
    return [
        found[3]
        for found in FENCE.finditer(page)
        if found[2] == language and bool(found[1]) == slow
    ]


def commands(page: str, slow: bool = False) -> list[str]:
    """What stands after `$ ` in the console blocks, in the page's order."""
    blocks = fences(page, "console", slow)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the README's reader has it: example data, own files, a demo run."""
    desk = tmp_path_factory.mktemp("desk")
    with open(ROOT / "examples" / "fault_reports.csv", encoding="utf-8", newline="") as file:
        rows = [(row["text"], row["label"]) for row in csv.DictReader(file)]
    write_table(desk / "examples" / "fault_reports.csv", ("text", "label"), rows[:ROWS])
    write_table(desk / "reports.csv", ("problem", "cause"), rows[:ROWS])
    write_table(desk / "later.csv", ("problem", "cause"), rows[ROWS : ROWS + 60])
    shutil.copy(ROOT / "examples" / "maintenance_chat_en.jsonl", desk / "examples")
    snapshot = desk / "hub" / "models--Qwen--Qwen2.5-0.5B-Instruct" / "snapshots" / ("a" * 40)
    build_speaker("qwen2", snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("a" * 40)
    run("fewtune train examples/fault_reports.csv --method tfidf --output runs/demo", desk)
    return desk


def write_table(path: Path, names: tuple[str, ...], rows: list[tuple[str, str]]) -> None:
    path.parent.mkdir(exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([names, *rows])


def run(command: str, desk: Path) -> None:
    """Run a line of the README in a shell whose `fewtune` is the one under test."""
    paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=desk,
        env=os.environ | {"PATH": paths, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(desk / "hub")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    fine = ENDS.get(command.split()[1], (0,))
    assert done.returncode in fine, f"$ {command}\n{done.stdout}{done.stderr}"


def test_every_quick_command_runs_in_the_readme_s_order(desk: Path):
    found = commands(README)
    assert len(found) >= 14
    for command in found:
        run(command, desk)


@pytest.mark.slow
def test_the_demo_runs(tmp_path: Path):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    found = commands(README, slow=True)
    run(found[0], tmp_path)
    assert (tmp_path / "runs" / "demo" / "report.html").is_file()


@pytest.mark.slow
def test_the_other_slow_commands_run(desk: Path):
    found = commands(README, slow=True)[1:]
    assert len(found) == 2
    for command in found:
        run(command, desk)


def test_the_python_runs(desk: Path):
    blocks = fences(README, "python")
    assert len(blocks) == 1
    (desk / "readme.py").write_text("\n".join(blocks), encoding="utf-8")
    run("python readme.py", desk)


def test_every_command_is_shown():
    shown = {line.split()[1] for line in commands(README) + commands(README, slow=True)}
    assert shown == set(COMMANDS)


@pytest.mark.parametrize("page", [README, CHINESE], ids=["en", "zh"])
def test_every_flag_in_the_text_is_an_option(page: str):
    prose = FENCE.sub("", page)
    named = set(re.findall(r"`--([a-z_-]+)", prose))
    options = {name for cls in SECTIONS.values() for name in cls.model_fields}
    known = options | set(options_of(METHODS.values())) | FLAGS_OF_COMMANDS
    assert len(named) >= 8
    assert not {name for name in named if name.removeprefix("no-") not in known}


def table(page: str) -> list[list[str]]:
    """The cells of the table of methods, without its head."""
    found = re.search(r"<!-- methods:begin -->\n(.*?)<!-- methods:end -->", page, re.DOTALL)
    assert found
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in found[1].splitlines()[2:]
    ]


def test_the_table_of_methods_is_the_registry():
    registry = [f"| `{name}` | {cls.scene} |" for name, cls in METHODS.items()]
    told = [f"| {' | '.join(cells)} |" for cells in table(README)]
    assert told == registry, "the table should be:\n" + "\n".join(registry)


def test_every_format_is_named():
    assert all(name in page for page in (README, CHINESE) for name in FORMATS)


def test_the_chinese_page_shows_the_same_commands_and_methods():
    for slow in (False, True):
        assert commands(CHINESE, slow) == commands(README, slow)
    assert [cells[0] for cells in table(CHINESE)] == [cells[0] for cells in table(README)]
    assert [bare(code) for code in fences(CHINESE, "python")] == [
        bare(code) for code in fences(README, "python")
    ]


def bare(code: str) -> list[str]:
    """Python without its comments, which are translated."""
    return [line.partition("#")[0].rstrip() for line in code.splitlines()]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path):
    page = re.sub(r"<!--.*?-->", "", path.read_text("utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", FENCE.sub("", page))
    local = [link for link in links if "://" not in link]
    missing = [link for link in local if not (path.parent / link).exists()]
    assert not missing
