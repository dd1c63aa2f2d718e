"""From files to rows: nothing disappears without a line in the ledger."""

import json

import pytest
from seen import ROLES, codes, labels, texts

from fewtune.base.errors import FewtuneError, UsageError
from fewtune.data.columns import Role
from fewtune.data.options import DataOptions
from fewtune.data.read import read_rows


def jsonl(*rows):
    return "\n".join(json.dumps(row) for row in rows) + "\n"


def test_empty_texts_and_labels_are_set_aside(read):
    table = read("text,label\n,a\ngood,a\nlost,\n  ,b\nnice,\u3000\nfine,b\n")
    assert codes(table) == [
        (2, "empty-text"), (4, "empty-label"), (5, "empty-text"), (6, "empty-label"),
    ]  # fmt: skip
    assert table.ledger.counts() == {
        "read": 6, "kept": 2, "quarantined": 4, "fixed": 0, "truncated": 0,
    }  # fmt: skip


def test_a_label_is_text_however_it_was_written(read):
    rows = [{"text": "t", "label": value} for value in (3, 3.0, "3", "3.0", True, 1.5, -1.0)]
    table = read(jsonl(*rows), "d.jsonl")
    assert labels(table) == ["3", "3", "3", "3", "true", "1.5", "-1"]
    assert "'3.0' are read as '3'" in table.notes[0]


def test_a_missing_or_nested_label_is_set_aside(read):
    rows = [{"text": "t", "label": v} for v in ("a", None, ["a"], {"x": 1}, float("nan"))]
    table = read(jsonl(*rows, {"text": "u"}), "d.jsonl")
    assert codes(table) == [
        (2, "empty-label"), (3, "format-type"), (4, "format-type"), (5, "empty-label"),
        (6, "empty-label"),
    ]  # fmt: skip


def test_blanks_around_a_label_are_mended_and_told(read):
    table = read("text,label\n a ,pump\nb, pump\nc,pump \n")
    assert labels(table) == ["pump"] * 3
    assert texts(table)[0] == "a"
    assert [(e.origin.line, e.code) for e in table.ledger.fixed] == [
        (3, "format-spaces"), (4, "format-spaces"),
    ]  # fmt: skip


def test_half_an_emoji_is_left_out_so_that_the_text_can_be_written(read):
    table = read('{"text": "good \\ud83d", "label": "a"}\n', "d.jsonl")
    assert texts(table) == ["good"]
    assert table.ledger.counts()["fixed"] == 1


def test_a_row_set_aside_is_not_also_counted_as_mended(read):
    table = read('{"text": "a\\u0000b", "label": ""}\n{"text": "a", "label": "b"}\n', "d.jsonl")
    assert table.ledger.counts()["fixed"] == 0


def test_several_labels_come_as_a_tuple(read):
    roles = (Role("text"), Role("labels"))
    rows = [{"text": "t", "labels": v} for v in (["b", "a", "b"], [], "x; y", '["p", "q"]', 4)]
    table = read(jsonl(*rows), "d.jsonl", roles=roles)
    assert [row["labels"] for row in table.rows] == [
        ("b", "a"), (), ("x", "y"), ("p", "q"), ("4",),
    ]  # fmt: skip


def test_an_unlabelled_file_is_read_where_the_label_is_optional(read):
    roles = (Role("text"), Role("label", required=False))
    table = read("text,label\na,x\nb,\n", roles=roles)
    assert [row.get("label") for row in table.rows] == ["x", None]


def test_strict_stops_at_the_first_broken_row(read):
    with pytest.raises(FewtuneError, match=r"data\.csv:3: 3 fields where the header has 2 \[form"):
        read("text,label\na,b\na,b,c\n,d\n", strict=True)


def test_impossible_files_are_sentences(tmp_path, read):
    (tmp_path / "train.csv").write_text("text,label\na,b\n")
    with pytest.raises(UsageError, match=r"there is no file .*Did you mean 'train\.csv'"):
        read_rows(tmp_path / "trian.csv", ROLES, DataOptions())
    with pytest.raises(UsageError, match=r"is a folder and a file was expected; it holds train"):
        read_rows(tmp_path, ROLES, DataOptions())
    for nothing in (b"", b"\n\n", b"\xef\xbb\xbf"):
        with pytest.raises(FewtuneError, match="is empty"):
            read(nothing, "empty.csv")
    with pytest.raises(FewtuneError, match="has a header and no rows"):
        read("text,label\n")
    with pytest.raises(FewtuneError, match="none of its 2 rows can be used; the first"):
        read("text,label\n,a\nb,\n")
    with pytest.raises(FewtuneError, match="none of its 2 rows can be used"):
        read('["a", "b"]', "d.json")
    with pytest.raises(FewtuneError, match="holds no rows"):
        read("[]", "d.json")
