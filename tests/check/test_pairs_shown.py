"""What is told of two rows shows both; what is told of many classes is told once."""

import json

import pytest
from examples import DIRTY, FAULTS, table

from fewtune.cli import main


@pytest.mark.parametrize(
    ("code", "row", "other"),
    [
        ("duplicate-exact", "train.csv:18", "train.csv:3"),
        ("duplicate-normal", "train.csv:18", "train.csv:3"),
        ("duplicate-near", "train.csv:3", "train.csv:18"),
        ("leak-exact", "test.csv:2", "train.csv:3"),
        ("leak-near", "test.csv:2", "train.csv:3"),
    ],
)
def test_the_other_row_of_a_pair_is_named(lint, code, row, other):
    done = lint(**DIRTY[code], select=code)
    (one,) = done.findings
    assert one.as_json()["beside"][row] == other


def test_both_rows_of_a_pair_are_printed_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    near = ("the suction side of the pump 2 draws air", "pump")
    (tmp_path / "a.csv").write_bytes(table([*FAULTS, near]))
    with pytest.raises(SystemExit):
        main(["check", "a.csv", "--select", "duplicate-near"])
    shown = [line.split() for line in capsys.readouterr().out.splitlines() if "  a.csv:" in line]
    assert [line[0] for line in shown] == ["a.csv:3", "a.csv:18"]


def test_labels_in_texts_are_one_finding_for_all_classes(lint):
    rows = [(f"{text} near {label} {k}", f"{label} {k % 3}x") for k, (text, label) in
            enumerate(FAULTS * 4)]  # fmt: skip
    rows = [(f"{text} {label}", label) for text, label in rows]
    (one,) = lint(rows, select="leak-label-in-text").findings
    assert "the texts of 6 classes contain the label itself" in one.message
    assert json.dumps(one.as_json())
