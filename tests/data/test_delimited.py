"""Delimited files: quotes, delimiters, headers, ragged rows."""

import time

import pytest
from seen import codes, labels, lines, texts

from fewtune.base.errors import FewtuneError


def test_a_row_with_a_quoted_newline_is_known_by_its_first_line(read):
    table = read('text,label\n"one\ntwo\nthree",a\nfour,b\n"fi,""ve""\r\n",c\nsix,a\n')
    assert lines(table) == [2, 5, 6, 8]
    assert texts(table)[0] == "one\ntwo\nthree"
    assert texts(table)[2] == 'fi,"ve"'


def test_a_row_with_too_many_fields_is_set_aside_with_the_numbers(read):
    table = read("text,label\ngood,a\n" + ",".join("x" * 12) + "\nfine,b\n")
    assert codes(table) == [(3, "format-ragged")]
    assert table.ledger.quarantined[0].reason == "12 fields where the header has 2"


def test_a_row_that_ends_too_early_is_missing_its_role(read):
    table = read("id,text,label\n1,good,a\n2,short\n3,fine,b\n")
    assert codes(table) == [(3, "empty-label")]
    table = read("text,label,id\ngood,a,1\nshort,b\n")
    assert codes(table) == [(3, "format-ragged")]


def test_trailing_empty_cells_of_a_spreadsheet_are_not_ragged(read):
    table = read('text,label,,\ngood,a,,\nfine,b,,,,\n"two\nlines",c,,\n')
    assert labels(table) == ["a", "b", "c"]
    assert table.ledger.counts()["quarantined"] == 0


def test_a_stray_quote_costs_no_other_row(read):
    table = read('text,label\n"5 inch bolt,a\nplain,b\n6" nut,c\n"quoted, well",d\nlast,e\n')
    assert texts(table) == ['"5 inch bolt', "plain", '6" nut', "quoted, well", "last"]
    assert [(e.origin.line, e.code) for e in table.ledger.fixed] == [(2, "format-quotes")]


def test_a_quote_never_closed_before_a_comma_is_set_aside_alone(read):
    table = read('text,label\n"bolt, 5 inch,a\nplain,b\nlast,c\n')
    assert codes(table) == [(2, "format-quotes")]
    assert lines(table) == [3, 4]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_out(read, delimiter):
    rows = ["text,label", "pump; leaks | here,a", "valve,b", "seal\tworn,a"]
    other = {",": "", ";": ";", "\t": "\t", "|": "|"}[delimiter]
    content = "\n".join(row.replace(other, " ") if other else row for row in rows)
    assert labels(read(content.replace(",", delimiter))) == ["a", "b", "a"]


def test_commas_in_unquoted_texts_do_not_beat_the_semicolons_of_the_header(read):
    table = read("text;label\none, two, three;a\nfour, five;b\nsix;a\n")
    assert labels(table) == ["a", "b", "a"]


def test_blanks_after_the_delimiter_are_no_part_of_the_label(read):
    table = read('text, label\n"a, b", x\nc, y\n')
    assert texts(table) == ["a, b", "c"]
    assert table.ledger.counts()["fixed"] == 0


def test_lines_of_label_and_text_need_no_header(read):
    content = "1 a stirring , funny film\n0 one long string of cliches .\n1 good\n0 bad , bad\n" * 3
    table = read(content, "stsa.binary.train")
    assert labels(table)[:2] == ["1", "0"]
    assert texts(table)[0] == "a stirring , funny film"
    assert lines(table)[0] == 1


def test_tabs_without_a_header_give_the_label_to_the_column_of_few_values(read):
    content = "".join(f"title number {k}, with a comma\t{k % 3}\n" for k in range(20))
    for name in ("dev.txt", "dev.tsv", "dev.csv", "dev"):
        table = read(content, name)
        assert table.columns == {"text": "column 1", "label": "column 2"}
        assert table.ledger.counts()["kept"] == 20
        assert "no header" in table.notes[0]


def test_columns_without_names_can_be_chosen_by_number(read):
    content = "".join(f"{k % 2}\tshort {k}\tmuch longer text {k}\n" for k in range(12))
    assert texts(read(content, "dev.txt", text="2"))[0] == "short 0"


def test_a_header_is_seen_in_a_file_of_unknown_suffix(read):
    table = read("Problem\tFault Code\nleaks\tP1\nstops\tP2\n", "export.txt")
    assert table.columns == {"text": "Problem", "label": "Fault Code"}
    assert lines(table) == [2, 3]


def test_prose_without_columns_is_one_column(read):
    from fewtune.data.columns import Role

    content = "I want my card\nHow do I pay\nI lost it\nHow much is it\n"
    table = read(content, "queries.txt", roles=[Role("text")])
    assert len(table.rows) == 4
    assert texts(table)[0] == "I want my card"


def test_the_header_again_in_the_middle_is_no_row(read):
    table = read("text,label\na,x\ntext,label\nb,y\n")
    assert codes(table) == [(3, "format-header")]


@pytest.mark.parametrize(
    "head", ["text,label", "\ufefftext,label", "text , label", '\ufeff"text",label']
)
def test_files_that_were_joined_with_their_marks_keep_one_header(read, head):
    joined = f"{head}\na,x\nb,y\n{head}\nc,x\n"
    table = read(joined)
    assert table.columns == {"text": "text", "label": "label"}
    assert (codes(table), lines(table)) == ([(4, "format-header")], [2, 3, 5])


@pytest.mark.parametrize(
    ("head", "classes"),
    [
        ("text,spam", ("spam", "ham")),
        ("description,fault", ("fault", "no fault")),
        ("内容,故障", ("故障", "正常")),
    ],
)
def test_a_column_may_be_called_what_a_label_is_called(read, head, classes):
    content = "".join(f"text number {k} of many,{classes[k % 2]}\n" for k in range(20))
    name = head.split(",")[1]
    assert labels(read(f"{head}\n{content}", label=name)) == [*classes] * 10
    assert labels(read(f"{head}\n{content}")) == [*classes] * 10


def test_two_columns_of_one_name_are_both_kept(read):
    table = read("text,type,type\na,x,1\nb,y,2\n", label="type (2)")
    assert labels(table) == ["1", "2"]


def test_a_text_of_a_million_characters_is_cut_and_told(read):
    table = read("text,label\n" + "word " * 200_000 + ",a\nshort,b\n")
    assert [len(text) for text in texts(table)] == [19_999, 5]  # the blank at the cut goes too
    assert table.ledger.counts()["truncated"] == 1
    assert "cut at 20,000" in table.ledger.truncated[0].reason


def test_zero_bytes_are_left_out_and_told(read):
    table = read(b"text,label\npu\x00mp leaks,a\nvalve,b\n")
    assert texts(table) == ["pump leaks", "valve"]
    assert table.ledger.fixed[0].code == "format-control"


def test_old_macintosh_line_ends_are_lines(read):
    assert lines(read(b"text,label\rone,a\rtwo,b\r")) == [2, 3]


def test_a_hundred_thousand_rows_are_read_in_seconds(read):
    content = "text,label\n" + "".join(f"pump {k} leaks,c{k % 9}\n" for k in range(100_000))
    start = time.process_time()
    table = read(content)
    assert len(table.rows) == 100_000
    assert time.process_time() - start < 5  # about 0.7 s; room for a busy machine


def test_many_stray_quotes_are_read_in_linear_time(read):
    for rows in ('"5 inch bolt,a\nplain ""text"",b\n' * 5_000, '5","c\n' * 10_000):
        start = time.process_time()
        table = read("text,label\n" + rows)
        assert table.ledger.read == 10_000
        assert time.process_time() - start < 3


def test_a_file_that_is_no_text_is_refused_in_a_sentence(read):
    with pytest.raises(FewtuneError, match="is not text"):
        read(bytes(range(256)) * 40, "photo.dat")
    with pytest.raises(FewtuneError, match="unpack it first"):
        read(b"\x1f\x8b\x08rest", "data.csv.gz")
