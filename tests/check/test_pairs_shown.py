"""What is told of two rows shows both; what is told of many classes is told once."""

import json

import pytest
from examples import DIRTY, FAULTS, table

import fewtune
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


APART = [
    ("泵出口电压+5V", "泵出口电压-5V"), ("ported to C++", "ported to C#"), ("温差>5", "温差<5"),
    ("运行情况 😀", "运行情况 😡"), ("gap is 1.5 mm", "gap is 1,5 mm"), ("−3 bar", "3 bar"),
    ("负载80%", "负载80"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), APART)
def test_texts_that_differ_in_a_mark_that_says_something_are_two(lint, tmp_path, one, other):
    out = tmp_path / "out.csv"
    codes = "duplicate-normal,label-conflict,leak-exact"
    both = [(one, "pump"), (other, "pump")]
    assert lint([*FAULTS, *both], select=codes, fix=str(out)).findings == []
    assert other in out.read_text(encoding="utf-8")
    assert lint([*FAULTS, (one, "pump"), (other, "lamp")], select=codes).findings == []
    assert lint([*FAULTS, both[0]], test=[both[1]], select=codes).findings == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("电压 -5V。", "电压－5v"), ("no flow (5 bar).", "No flow, 5 bar!"),
        ("温差 > 5，停机", "温差>5 停机"), ("泵3：漏油！", "泵3，漏油"),
    ],
)  # fmt: skip
def test_texts_that_differ_in_marks_that_say_nothing_are_one(lint, one, other):
    (found,) = lint([*FAULTS, (one, "pump"), (other, "pump")], select="duplicate-normal").findings
    assert found.total == 1


def test_a_group_may_be_a_list(tmp_path):
    def lines(texts):
        rows = [{"text": text, "label": label, "who": ["a", text[0]]} for text, label in texts]
        return "\n".join(map(json.dumps, rows))

    (tmp_path / "a.jsonl").write_text(lines(FAULTS), encoding="utf-8")
    (tmp_path / "b.jsonl").write_text(lines([("pumps hum", "pump")]), encoding="utf-8")
    files = {"test": str(tmp_path / "b.jsonl"), "group": "who"}
    (one,) = fewtune.check(tmp_path / "a.jsonl", select="leak-group", **files).findings
    assert (one.code, one.total) == ("leak-group", 1)


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
