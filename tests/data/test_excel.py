"""Excel as people fill it in: titles, sheets of instructions, questions as headers, dates."""

import io
import time
import zipfile
from datetime import datetime

import pytest
from seen import ROLES, labels, lines, texts

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.data.columns import Role
from fewtune.data.excel import for_excel
from fewtune.data.options import DataOptions
from fewtune.data.read import read_rows

TITLE = "2024年设备故障报修登记表"
HEADER = ["序号", "故障描述", "故障类别"]
FAULTS = [["主轴异响。", "机械"], ["泵漏油。", "液压"], ["泵不转。", "机械"], ["油温高。", "液压"]]
ROWS = [[k, *row] for k, row in enumerate(FAULTS, 1)]
GUIDE = [["说明"], ["每行填写一台设备的一次故障"], ["类别从下拉框里选"]]


@pytest.fixture
def sheets(read):
    """Write sheets, name -> rows, and read the file back as rows of a table."""
    openpyxl = pytest.importorskip("openpyxl")

    def write_and_read(roles=ROLES, name="x.xlsx", /, **filled):
        book = openpyxl.Workbook()
        book.remove(book.active)
        for title, rows in filled.items():
            sheet = book.create_sheet(title)
            for row in rows:
                sheet.append(row)
        raw = io.BytesIO()
        book.save(raw)
        return read(raw.getvalue(), name, roles)

    return write_and_read


@pytest.mark.parametrize(
    ("top", "told", "first"),
    [
        ([[TITLE]], "row 1 is a title, the header is row 2", 3),
        ([[None, TITLE]], "row 1 is a title, the header is row 2", 3),
        (
            [[], [TITLE], [], ["填报单位：一车间"], []],
            "rows 2 to 4 are titles, the header is row 6",
            7,
        ),
    ],
    ids=["first", "centred", "several"],
)
def test_titles_above_the_header_are_no_header(sheets, top, told, first):
    table = sheets(a=[*top, HEADER, *ROWS])
    assert table.columns == {"text": "故障描述", "label": "故障类别"}
    assert lines(table) == [*range(first, first + 4)]
    assert f"x.xlsx: {told}" in table.notes


def test_a_title_is_seen_where_no_column_has_a_known_name(sheets):
    table = sheets(a=[[TITLE], ["怎么了", "属于"], *FAULTS * 3])
    assert table.columns == {"text": "怎么了", "label": "属于"}
    assert table.ledger.read == 12


def test_a_merged_title_is_a_title(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in ([TITLE], HEADER, *ROWS):
        book.active.append(row)
    book.active.merge_cells("A1:C1")
    book.save(tmp_path / "x.xlsx")
    assert labels(read_rows(tmp_path / "x.xlsx", ROLES, DataOptions())) == ["机械", "液压"] * 2


@pytest.mark.parametrize(
    ("rows", "column", "first"),
    [
        ([["text"], ["leaks"], ["stops"]], "text", 2),
        ([["text"], ["leaks"], ["stops", "seen twice"], ["hums"]], "text", 2),
        ([["Problem"], ["leaks", "seen"], ["stops", "seen twice"]], "Problem", 2),
        ([["It leaks."], ["It stops."], ["It hums.", "hot"], ["It is hot."]], "column 1", 1),
    ],
    ids=["named", "with a remark", "with remarks", "without a name"],
)
def test_a_sheet_of_one_column_has_no_title(sheets, rows, column, first):
    table = sheets([Role("text")], a=rows)
    assert table.columns == {"text": column}
    assert (lines(table)[0], len(table.rows)) == (first, len(rows) - first + 1)
    assert not any("title" in note for note in table.notes)


def test_the_sheet_with_the_table_is_read_and_not_the_instructions(sheets):
    table = sheets(说明=GUIDE, 数据=[HEADER, *ROWS], 代码=[["A", "机械"], ["B", "液压"]])
    assert texts(table) == [row[0] for row in FAULTS]
    assert "x.xlsx: sheet '数据' is read, not '说明', '代码'" in table.notes


def test_without_any_table_the_first_sheet_with_rows_is_read(sheets):
    table = sheets([Role("text")], 空=[], 一=[["漏油"], ["异响"]], 二=[["其他"]])
    assert "x.xlsx: sheet '一' is read, not '二'" in table.notes


def test_a_column_of_texts_is_read_before_a_list_of_codes(sheets):
    table = sheets([Role("text")], a=[["text"], ["leaks"]], b=[["code", "name"], ["A", "pump"]])
    assert texts(table) == ["leaks"]


@pytest.mark.parametrize(
    "header",
    [
        ["您遇到了什么故障？", "它属于哪一类？"],
        ["Wie lautet die Störung?", "Welche Art?"],
        [
            "Please describe in your own words what you saw, heard or smelled at the machine",
            "Kind.",
        ],
    ],
)
def test_questions_of_a_form_are_a_header(sheets, header):
    table = sheets(a=[header, *FAULTS])
    assert table.columns == dict(zip(("text", "label"), header, strict=True))
    assert lines(table)[0] == 2


def test_numbers_and_labels_that_come_back_are_no_header(sheets):
    for rows in (FAULTS, [["主轴异响。", 3], ["泵漏油。", 4], ["泵不转。", 5]]):
        assert lines(sheets(a=rows))[0] == 1


def test_questions_in_one_column_are_texts(sheets):
    table = sheets([Role("text")], a=[["How do I pay?"], ["Where is it?"], ["Why me?"]])
    assert len(table.rows) == 3


def test_a_date_without_a_time_is_written_as_a_date(sheets):
    when = [datetime(2024, 1, 3), datetime(2024, 1, 3, 8, 15)]
    rows = [[day, *row] for day, row in zip(when, FAULTS, strict=False)]
    roles = (*ROLES, Role("time", kind="any", aliases=("日期",)))
    table = sheets(roles, a=[["日期", *HEADER[1:]], *rows])
    assert [str(row["time"]) for row in table.rows] == ["2024-01-03", "2024-01-03 08:15:00"]


def zipped(*names):
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name in names:
            archive.writestr(name, "<a/>")
    return raw.getvalue()


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (zipped("word/document.xml", "[Content_Types].xml"), "a Word document"),
        (zipped("ppt/presentation.xml"), "a PowerPoint presentation"),
        (zipped("content.xml"), "an OpenDocument file"),
        (zipped("a.csv"), "a zip archive without a workbook"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "a PNG image"),
        (b"\n<html><table>", "a web page or XML"),
        ("描述,类别\n漏油,液压\n".encode(), "plain text"),
        (b"\x00\x01\x02\x03", "no Excel file by its first bytes"),
    ],
)
def test_a_file_of_another_kind_is_told_by_its_kind(read, raw, what):
    pytest.importorskip("openpyxl")
    with pytest.raises(FewtuneError) as caught:
        read(raw, "x.xlsx")
    assert str(caught.value) == (
        f"x.xlsx is {what}, and an Excel file was expected; give the table itself, saved as .xlsx "
        "or .csv."
    )


def test_a_damaged_workbook_is_told_without_the_words_of_a_programmer(read):
    pytest.importorskip("openpyxl")
    for raw in (zipped("xl/workbook.xml"), zipped("xl/workbook.xml")[:40]):
        with pytest.raises(FewtuneError, match="cannot be read as Excel, for it is damaged or not"):
            read(raw, "x.xlsx")


def test_a_csv_made_from_excel_has_a_mark_and_is_read_back(read):
    text = "文本,标签\n漏油,液压\n异响,机械\n"
    made = for_excel(text, "folder/A.XLSX")
    assert made.encode("utf-8").startswith(b"\xef\xbb\xbf")
    assert labels(read(made)) == labels(read(text)) == ["液压", "机械"]
    assert for_excel(text, "a.csv") == text


def test_a_file_that_shares_the_suffix_alone_is_not_meant(tmp_path):
    for name in ("两页.xlsx", "一月报修.csv", "一月报修.xlsx"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UsageError) as caught:
        read_rows(tmp_path / "没有.xlsx", ROLES, DataOptions())
    assert "Did you mean" not in str(caught.value)
    with pytest.raises(UsageError, match=r"Did you mean '一月报修\.xlsx'"):
        read_rows(tmp_path / "一月保修.xlsx", ROLES, DataOptions())


def test_cells_merged_downwards_stand_in_each_of_their_rows(read):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append([TITLE])
    sheet.append(["设备", "故障描述", "故障类别"])
    for k in range(12):
        sheet.append([f"P{k // 4}" if k % 4 == 0 else None, f"泵 {k} 漏油", None])
    for k in range(3):
        sheet.cell(3 + 4 * k, 3, ["液压", "机械", "液压"][k])
        sheet.merge_cells(start_row=3 + 4 * k, end_row=6 + 4 * k, start_column=1, end_column=1)
        sheet.merge_cells(start_row=3 + 4 * k, end_row=6 + 4 * k, start_column=3, end_column=3)
    sheet.merge_cells("A1:C1")  # to the side: it stays one cell
    raw = io.BytesIO()
    book.save(raw)
    group = Role("group", required=False, kind="any", aliases=("设备",))
    table = read(raw.getvalue(), "x.xlsx", (*ROLES, group))
    assert labels(table) == ["液压"] * 4 + ["机械"] * 4 + ["液压"] * 4
    assert [row["group"] for row in table.rows] == ["P0"] * 4 + ["P1"] * 4 + ["P2"] * 4
    assert "cells merged downwards (A3:A6, C3:C6, A7:A10, ...) stand in each" in " ".join(
        table.notes
    )


def test_a_csv_made_from_another_encoding_has_a_mark_too(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("故障描述,类别\n泵漏油,液压\n", encoding="gb18030")
    assert for_excel("x", path).startswith("\ufeff")
    path.write_text("故障描述,类别\n泵漏油,液压\n", encoding="utf-8")
    assert for_excel("x", path) == "x"


def test_a_stray_cell_far_away_costs_no_time(read):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in [HEADER, *ROWS]:
        book.active.append(row)
    book.active.cell(200_000, 12).font = openpyxl.styles.Font(bold=True)
    raw = io.BytesIO()
    book.save(raw)
    begun = time.process_time()
    assert len(read(raw.getvalue(), "x.xlsx", ROLES).rows) == 4
    assert time.process_time() - begun < 5
