"""JSON, JSON lines, parquet and Excel."""

import json
import re
import zipfile
from typing import get_args

import pytest
from seen import codes, labels, lines, texts

from fewtune.base.errors import FewtuneError
from fewtune.data.formats import FORMATS
from fewtune.data.options import DataOptions

ROWS = [{"text": f"row {k}", "label": f"c{k % 2}"} for k in range(4)]


@pytest.mark.parametrize("name", ["data.json", "data.jsonl", "data.txt", "data"])
@pytest.mark.parametrize(
    "content",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        json.dumps({"version": 1, "data": ROWS}),
        "\n".join(map(json.dumps, ROWS)) + "\n\n",
        "\ufeff" + "\n".join(map(json.dumps, ROWS)),
    ],
    ids=["array", "indented", "in an object", "lines", "lines with a mark"],
)
def test_json_is_known_by_its_content_whatever_the_suffix(read, name, content):
    assert labels(read(content, name)) == ["c0", "c1", "c0", "c1"]


def test_broken_json_lines_are_set_aside_one_by_one(read):
    good = json.dumps(ROWS[0])
    table = read(f'{good}\n{{"text": \n[1]\nnull\n\n{good}\n{good[:-1]}\n', "d.jsonl")
    assert lines(table) == [1, 6]
    assert codes(table) == [
        (2, "format-json"), (3, "format-type"), (4, "format-type"), (7, "format-json"),
    ]  # fmt: skip


@pytest.mark.parametrize("indent", [None, 2])
def test_a_damaged_array_loses_the_damaged_element(read, indent):
    content = json.dumps(ROWS, indent=indent).replace('"row 1"', '"row 1')
    table = read(content, "d.json")
    assert texts(table) == ["row 0", "row 2", "row 3"]
    assert codes(table) == [(2, "format-json")]


def test_a_truncated_array_keeps_what_is_whole(read):
    assert len(read(json.dumps(ROWS)[:-20], "d.json").rows) == 3


def test_several_lists_in_an_object_are_a_sentence(read):
    with pytest.raises(FewtuneError, match="2 lists of objects"):
        read(json.dumps({"a": ROWS, "b": ROWS}), "d.json")


def test_a_deeply_nested_line_is_broken_not_fatal(read):
    table = read("[" * 100_000 + "\n", "x.txt", format="csv", text="column 1", roles=[])
    assert table.ledger.read == 1
    good = json.dumps(ROWS[0])
    table = read(good + '\n{"text":' + "[" * 100_000 + "\n", "d.jsonl")
    assert codes(table) == [(2, "format-json")]


def test_parquet_rows_are_known_by_their_number(tmp_path, read):
    import pyarrow as pa
    import pyarrow.parquet as parquet

    rows = {"text": ["a", "b", None], "label": [3.0, 1.0, 2.0]}
    parquet.write_table(pa.table(rows), tmp_path / "d.parquet")
    raw = (tmp_path / "d.parquet").read_bytes()
    table = read(raw, "d.parquet")
    assert labels(table) == ["3", "1"]
    assert codes(table) == [(3, "empty-text")]
    with pytest.raises(FewtuneError, match="cannot be read as parquet"):
        read(raw[:40], "d.parquet")


def test_excel_rows_are_known_by_their_line_in_the_sheet(tmp_path, read):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["Problem", "Category", None], ["leaks", 3], [None, None], ["stops", 4.0]):
        book.active.append(row)
    book.create_sheet("notes").append(["other"])
    book.save(tmp_path / "d.xlsx")
    raw = (tmp_path / "d.xlsx").read_bytes()
    table = read(raw, "d.xlsx")
    assert labels(table) == ["3", "4"]
    assert lines(table) == [2, 4]
    assert any("'notes'" in note for note in table.notes)
    with pytest.raises(FewtuneError, match="cannot be read as Excel"):
        read(raw[:200], "d.xlsx")


def sheet_of(tmp_path, rows, told=None):
    """The bytes of a sheet, whose file says of its size what `told` says."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(tmp_path / "d.xlsx")
    if told:
        _retold(tmp_path / "d.xlsx", told)
    return (tmp_path / "d.xlsx").read_bytes()


def _retold(path, told):
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, raw in parts.items():
            new.writestr(name, re.sub(rb'<dimension ref="[^"]*"', told, raw))


EXCEL = [["text", "label"], *([f"row {k}", f"c{k % 2}"] for k in range(20))]


@pytest.mark.parametrize("told", ["A1:B10", "A1", "A1:A21"])
def test_what_an_excel_file_says_of_its_size_costs_no_row(tmp_path, read, told):
    raw = sheet_of(tmp_path, EXCEL, f'<dimension ref="{told}"'.encode())
    assert labels(read(raw, "d.xlsx")) == ["c0", "c1"] * 10


def test_an_excel_sheet_without_a_header_keeps_its_first_row(tmp_path, read):
    table = read(sheet_of(tmp_path, EXCEL[1:]), "d.xlsx")
    assert (table.ledger.read, lines(table)[0]) == (20, 1)
    assert any("no header" in note for note in table.notes)


def test_the_header_again_in_an_excel_sheet_is_no_row(tmp_path, read):
    table = read(sheet_of(tmp_path, [*EXCEL, ["text", "label "], ["last", "c0"]]), "d.xlsx")
    assert codes(table) == [(22, "format-header")]
    assert lines(table)[-1] == 23


def test_excel_without_openpyxl_is_a_sentence(read, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(FewtuneError, match=r"pip install fewtune\[excel\]"):
        read(b"PK\x03\x04", "d.xlsx")


def test_every_format_can_be_asked_for():
    asked = get_args(get_args(DataOptions.model_fields["format"].annotation)[0])
    assert set(asked) == set(FORMATS)
    assert len(FORMATS) == 6
