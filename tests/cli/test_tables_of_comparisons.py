"""The table of a comparison in terminals of some widths, and when its run is shown again."""

import io
import json

import pytest
from rich.console import Console

from fewtune.cli import main
from fewtune.cli.comparing import show
from fewtune.cli.screen import Screen
from fewtune.record import RunFolder
from fewtune.report.comparison import COMPARISON
from fewtune.report.standing_files import markdown_text

COMMAND = "fewtune compare reports.csv --methods adapter,probe"


def told(names: list[str], spread: float | None = None) -> dict:
    """A comparison of methods that were all fitted; on several seeds, where they have a spread."""
    test = {"value": 0.843, "low": 0.81, "high": 0.872}
    score = test | {"spread": spread}
    line = {"share": 0.0012, "score": score, "test": test, "log_loss": 0.4, "rows": 90, "seeds": 1}
    line |= {"seconds": 12.3, "memory": 2**28, "bytes": 2**26, "state": "whole", "failed": ""}
    line |= {"behind": None, "forgets": None, "written": None}
    line |= {"tied": True, "method": "lora", "scene": "one thing"}
    return {
        "run": "runs/x", "metric": "accuracy", "rows": {"train": 90, "test": 60}, "folds": 5,
        "seeds": 1 if spread is None else 3, "base": names[0], "refused": {}, "missing": [],
        "notes": [], "steps": [], "aside": None,
        "data": "reports.csv", "model": "minilm", "command": COMMAND,
        "seconds": {"shared": 1.0, "total": 90.0}, "verdict": "Nothing is told apart.",
        "methods": [line | {"name": name, "rank": k} for k, name in enumerate(names, start=1)],
    }  # fmt: skip


def printed(width: int, names: list[str], spread: float | None = None) -> str:
    screen = Screen(json=False, quiet=False)
    screen.out = Console(file=io.StringIO(), width=width)
    show(screen, told(names, spread))
    return screen.out.file.getvalue()


def test_at_eighty_columns_no_name_is_broken():
    said = printed(80, ["adapter", "freeze", "lora+bitfit"])
    for whole in ("method", "adapter", "lora+bitfit", "84.3 %", "(81.0-87.2)", "256 MiB"):
        assert whole in said
    assert all(len(line) <= 80 for line in said.splitlines())


def test_the_spread_of_seeds_stands_beside_the_score_at_eighty_columns():
    said = printed(80, ["adapter", "freeze", "lora+bitfit"], spread=0.0114)
    assert "84.3 % ±1.1 " in said
    for whole in ("lora+bitfit", "(81.0-87.2)", "256 MiB"):
        assert whole in said
    assert all(len(line) <= 80 for line in said.splitlines())


def test_a_long_name_is_folded_and_numbers_are_not():
    said = printed(80, ["lora(learning_rate=0.0005)", "probe"])
    assert "256 MiB" in said
    assert "(81.0-87.2)" in said
    assert "lora(learning_ra" in said


@pytest.mark.parametrize("width", [40, 60, 120])
def test_nothing_is_cut_at_other_widths(width):
    said = printed(width, ["adapter", "probe"])
    assert "…" not in said
    assert all(len(line) <= width for line in said.splitlines())


@pytest.fixture
def compared(tmp_path):
    """The folder of a comparison that has begun."""
    plan = {"name": "cmp", "method": {"name": "compare"}, "compared": [], "command": COMMAND}
    RunFolder.create(tmp_path / "cmp", plan).close()
    return tmp_path / "cmp"


def shown(folder, capsys) -> str:
    with pytest.raises(SystemExit) as left:
        main(["runs", "show", str(folder)])
    assert not left.value.code
    return " ".join(capsys.readouterr().out.split())


def test_a_finished_comparison_is_shown_with_its_standings(compared, capsys):
    (compared / COMPARISON).write_text(json.dumps(told(["adapter", "probe"])), "utf-8")
    said = shown(compared, capsys)
    assert "2 methods compared" in said
    assert "(81.0-87.2)" in said
    assert "adapter" in said
    assert "probe" in said


def test_the_table_of_a_comparison_is_in_the_json_of_its_run(compared, capsys):
    def shown_as_json():
        with pytest.raises(SystemExit):
            main(["runs", "show", str(compared), "--json"])
        return json.loads(capsys.readouterr().out)["comparison"]

    assert shown_as_json() is None
    (compared / COMPARISON).write_text(json.dumps(told(["adapter", "probe"])), "utf-8")
    assert shown_as_json() == told(["adapter", "probe"])


def test_two_comparisons_are_told_to_have_no_rows_to_pair(compared, capsys):
    with pytest.raises(SystemExit) as left:
        main(["runs", "diff", str(compared), str(compared)])
    assert not left.value.code
    said = capsys.readouterr().out
    assert "cmp and cmp are comparisons of several methods" in said
    assert "different rows" not in said


def test_a_stopped_comparison_is_shown_with_the_command_that_goes_on(compared, capsys):
    said = shown(compared, capsys)
    assert COMMAND in said
    assert "resume" not in said
    assert "step" not in said


def test_names_and_commands_cannot_open_markup_in_the_markdown():
    evil = told(["adapter", "a|b<script>"])
    evil |= {"data": "a\n# b<script>", "command": "fewtune compare '```\n<b>'"}
    text = markdown_text(evil)
    assert text.startswith("# a # b\\<script>: 2 methods compared\n")
    assert "a\\|b\\<script>" in text
    assert text.endswith("````\nfewtune compare '```\n<b>'\n````\n")


def test_failures_and_warnings_stand_in_the_markdown_as_on_the_page():
    sick = told(["adapter", "probe"])
    sick["methods"][1] |= {"failed": "the losses are no numbers", "rank": None}
    sick["notes"] = ["2 rows are <empty>"]
    text = markdown_text(sick)
    assert "`probe` failed: the losses are no numbers\n" in text
    assert "## Warnings\n\n- 2 rows are \\<empty>\n" in text
    assert "failed" not in markdown_text(told(["adapter", "probe"]))
    assert "Warnings" not in markdown_text(told(["adapter", "probe"]))
