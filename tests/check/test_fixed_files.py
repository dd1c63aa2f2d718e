"""What --fix writes, where it refuses to write, and what is said of it."""

import csv
import json
import os
from copy import deepcopy
from datetime import datetime

import pytest
from examples import FAULTS, table

import fewtune
from fewtune.base.errors import UsageError
from fewtune.cli import main

TURNS = [
    [{"role": "user", "content": f"{text}?"}, {"role": "assistant", "content": f"see {k}"}]
    for k, (text, _) in enumerate(FAULTS)
]


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """The command; its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        with pytest.raises(SystemExit) as left:
            main(["check", *words])
        said = capsys.readouterr()
        return left.value.code or 0, said.out, " ".join(said.err.split())

    return run


@pytest.fixture
def desk(tmp_path):
    (tmp_path / "a.csv").write_bytes(table([*FAULTS, FAULTS[0]]))
    (tmp_path / "test.csv").write_bytes(table(FAULTS[:4]))
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.csv").symlink_to("a.csv")
    os.link(tmp_path / "a.csv", tmp_path / "hard.csv")
    return tmp_path


@pytest.mark.parametrize(
    "target", ["a.csv", "./a.csv", "sub/../a.csv", "link.csv", "hard.csv", "test.csv"]
)
def test_a_file_that_is_read_is_never_overwritten(call, desk, target):
    before = {name: (desk / name).read_bytes() for name in ("a.csv", "test.csv")}
    code, out, err = call("a.csv", "--test", "test.csv", "--fix", target)
    assert code == 2
    assert out == ""
    assert f"fix: {target} is read for this" in err
    assert before == {name: (desk / name).read_bytes() for name in before}
    assert (desk / "link.csv").is_symlink()


@pytest.mark.parametrize("target", ["none/x.csv", "/proc/x.csv", "sub.csv"])
def test_a_place_that_cannot_be_written_is_refused_before_the_file_is_read(call, desk, target):
    (desk / "sub.csv").mkdir()
    code, _, err = call("no such file.csv", "--fix", target)
    assert code == 2
    assert "fix: " in err
    assert "there is no file" not in err
    assert "did not expect" not in err


def test_all_columns_of_a_file_are_kept(tmp_path):
    rows = [(k, text, f"{label} fault", "hall, 3") for k, (text, label) in enumerate(FAULTS)]
    rows += [(99, "motor hums", " Pump  Fault", "")]
    (tmp_path / "a.csv").write_bytes(table([*rows, rows[3]], ("id", "text", "label", "place")))
    fewtune.check(tmp_path / "a.csv", fix=str(tmp_path / "b.csv"))
    found = list(csv.reader((tmp_path / "b.csv").open(encoding="utf-8")))
    assert found[0] == ["id", "text", "label", "place"]
    assert found[1:-1] == [[str(cell) for cell in row] for row in rows[:-1]]
    assert found[-1] == ["99", "motor hums", "pump fault", ""]


def test_values_of_json_keep_their_kind(tmp_path):
    rows = [
        {"text": text, "label": k % 2, "more": {"k": [k]}} for k, (text, _) in enumerate(FAULTS)
    ]
    lines = [*map(json.dumps, [*rows, rows[0]])]
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    fewtune.check(tmp_path / "a.jsonl", fix=str(tmp_path / "b.jsonl"))
    found = (tmp_path / "b.jsonl").read_text(encoding="utf-8").splitlines()
    assert [*map(json.loads, found)] == rows


def test_a_text_that_reading_cuts_is_written_whole(lint, tmp_path):
    lint([*FAULTS, ("hums " * 100, "pump")], max_characters=100, fix=str(tmp_path / "b.csv"))
    assert len(list(csv.reader((tmp_path / "b.csv").open()))[-1][0]) == 500


def test_the_other_columns_of_a_text_that_is_cut_are_mended_as_told(lint, tmp_path):
    long = "\x07hums " * 100
    out = tmp_path / "b.csv"
    done = lint([*FAULTS, (long, " Pump ")], max_characters=100, fix=str(out))
    assert any("label 'Pump' -> 'pump'" in line for line in done.written)
    text, label = list(csv.reader(out.open()))[-1]
    assert (text, label) == ("hums " * 99 + "hums", "pump")


def test_a_file_without_a_header_gets_one(lint, tmp_path):
    rows = "".join(f'"{text}",{label}\n' for text, label in FAULTS)
    lint(rows.encode(), fix=str(tmp_path / "b.csv"))
    assert (tmp_path / "b.csv").read_text().startswith("text,label\n")
    assert fewtune.check(tmp_path / "b.csv").rows["kept"] == 16


def test_dialogues_are_written_anew_as_jsonl(tmp_path):
    rows = [{"id": k, "messages": turns} for k, turns in enumerate([*TURNS, TURNS[0]])]
    rows = deepcopy(rows)
    rows[1]["messages"][0]["content"] = "ring 13812345678"
    (tmp_path / "a.json").write_text(json.dumps(rows), encoding="utf-8")
    done = fewtune.check(tmp_path / "a.json", fix=str(tmp_path / "b.jsonl"), mask=True)
    assert "(--fix does)" in next(one.do for one in done.findings if one.code == "duplicate-exact")
    found = [json.loads(line) for line in (tmp_path / "b.jsonl").open(encoding="utf-8")]
    assert [one["id"] for one in found] == [*range(16)]
    assert found[1]["messages"][0] == {"role": "user", "content": "ring [TELEPHONE]"}
    assert found[2] == rows[2]
    with pytest.raises(UsageError, match=r"hold lists, which a table cannot; name a file.*jsonl"):
        fewtune.check(tmp_path / "a.json", fix=str(tmp_path / "b.csv"))


def test_mask_without_a_file_to_write_is_refused(call, desk):
    code, _, err = call("a.csv", "--mask")
    assert code == 2
    assert "mask: the masked rows need a file to be written to; add --fix FILE." in err


def test_many_changes_are_counted_and_in_json_told_in_full(call, tmp_path):
    (tmp_path / "a.csv").write_bytes(table(FAULTS * 4))
    _, out, _ = call("a.csv", "--fix", "b.csv")
    assert out.count("dropped [duplicate-exact]") == 20
    assert "... and 28 more changes (--all)" in out
    _, out, _ = call("a.csv", "--fix", "b.csv", "--all")
    assert out.count("dropped [duplicate-exact]") == 48
    _, out, _ = call("a.csv", "--fix", "b.csv", "--json")
    assert json.loads(out)["written"][0] == "b.csv: 16 rows, 48 changes."
    assert len(json.loads(out)["written"]) == 49


def test_how_the_file_was_read_is_said(call, desk):
    _, _, err = call("a.csv")
    assert "read 17 rows of text/label: text=text, label=label" in err


def test_an_unknown_rule_is_refused_with_the_families(call, desk):
    code, _, err = call("a.csv", "--select", "nonsense")
    assert code == 2
    assert "families are format, empty, truncated, duplicate" in err


def test_rows_of_an_excel_file_are_written_for_excel(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["日期", "故障描述", "故障类别"], [datetime(2024, 1, 3), "泵漏油", "液压"]):
        book.active.append(row)
    book.active.append([datetime(2024, 1, 4), "主轴异响", "机械"])
    book.save(tmp_path / "x.xlsx")
    fewtune.check(tmp_path / "x.xlsx", fix=str(tmp_path / "x.csv"))
    raw = (tmp_path / "x.csv").read_bytes()
    assert raw.decode("utf-8-sig").splitlines()[1] == "2024-01-03,泵漏油,液压"
    assert raw.startswith(b"\xef\xbb\xbf")
    fewtune.check(tmp_path / "x.csv", fix=str(tmp_path / "y.csv"))
    assert (tmp_path / "y.csv").read_bytes() == raw, "who has the mark needs it"
