"""The list of runs in terminals of some widths."""

from dataclasses import fields

import pytest

from fewtune.base.events import Event
from fewtune.cli import main
from fewtune.cli.runs import _score
from fewtune.cli.scores import _cell
from fewtune.record import RunFolder
from fewtune.record.index import Summary
from fewtune.report.words import interval, number

LONG = "Qwen2.5-0.5B-Instruct-some-more"


@pytest.fixture
def root(tmp_path):
    """A run that answers, one that labels, and one that only began."""

    def made(name, task, method, primary, block, **scores):
        plan = {"name": name, "task": task, "method": {"name": method}, "model": {"model": LONG}}
        with RunFolder.create(tmp_path / name, plan) as folder:
            folder.append(Event("started", {}, 1.0))
            folder.write_scores(
                {"task": task, "method": method, "primary": primary, "test": {primary: block},
                 "verdict": "It worked.", "rows": {"kept": 12_345}, "seconds": {"total": 7265.0},
                 **scores}
            )  # fmt: skip
            folder.append(Event("finished", {}, 2.0))

    loss = {"value": 1.2345, "low": 1.1, "high": 1.3456}
    before = {"gain": {"over": "before"}, "baselines": {"before": {"loss": {"value": 2.5}}}}
    made("维修问答-lora-12", "generate", "lora", "loss", loss, **before)
    share = {"value": 0.679, "low": 0.587, "high": 0.758}
    made("reports-full-3", "classify", "full", "accuracy", share)
    RunFolder.create(tmp_path / "begun", {"name": "begun", "method": {"name": "lora"}}).close()
    return tmp_path


def listed(root, monkeypatch, capsys, width):
    monkeypatch.setenv("COLUMNS", str(width))
    with pytest.raises(SystemExit) as left:
        main(["runs", "list", "--root", str(root)])
    assert not left.value.code
    return capsys.readouterr().out.splitlines()


def test_every_run_is_one_line_of_eighty_columns(root, monkeypatch, capsys):
    head, *lines = listed(root, monkeypatch, capsys, 80)
    assert len(lines) == 3
    (answers,) = [one for one in lines if one.startswith("维修问答-lora-12")]
    assert "loss 2.50 → 1.23 (1.10-1.35)" in answers
    assert "12,345" in answers
    assert "Qwe" in answers.split()[2]
    assert "…" in answers
    assert "2.0 h" in answers
    assert [one for one in lines if one.startswith("begun") and "unfinished" in one]
    (labels,) = [one for one in lines if one.startswith("reports-full-3")]
    assert "accuracy 67.9 % (58.7-75.8)" in labels
    wide = sum("\u4e00" <= one <= "\u9fff" for one in answers)  # two columns each
    assert max(len(head), len(answers.rstrip()) + wide, len(labels.rstrip())) <= 80


def test_with_room_the_models_name_is_longer(root, monkeypatch, capsys):
    lines = listed(root, monkeypatch, capsys, 140)
    assert any(LONG in one for one in lines)
    assert len(lines) == 4


def test_a_narrow_terminal_loses_nothing(root, monkeypatch, capsys):
    text = "".join(listed(root, monkeypatch, capsys, 50)).replace(" ", "")
    assert "67.9" in text


def test_an_interval_below_nought_is_told_apart_from_a_minus():
    mcc = {"value": -0.1, "low": -0.2, "high": 0.1}
    assert _cell("mcc", mcc) == "-0.100 (-0.20 to 0.10)"
    assert _cell("accuracy", {"value": 0.714, "low": 0.625, "high": 0.79}) == "71.4 % (62.5-79.0)"
    named = dict.fromkeys(("name", "folder", "task", "method", "model"), "a")
    rest = dict.fromkeys((one.name for one in fields(Summary)), None)
    told = Summary(**{**rest, **named, **mcc, "primary": "mcc", "state": "finished"})
    assert _score(told) == "mcc -0.10 (-0.20 to 0.10)"
    assert interval("mcc", mcc) == "−0.200 to 0.100"
    assert number("mcc", -0.1) == "−0.100"
