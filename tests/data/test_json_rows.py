"""No row of JSON vanishes, however objects and lists stand in the file."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seen import labels, lines, texts

ROWS = [{"text": f"pump {k} is hot", "label": "ab"[k % 2]} for k in range(6)]
SAID = [json.dumps(row) for row in ROWS]
LISTS = [[row["text"], row["label"]] for row in ROWS]

WAYS = {
    "two lists": ("a.json", f"[{', '.join(SAID[:4])}]\n[{', '.join(SAID[4:])}]"),
    "two lists on one line": ("a.json", f"[{', '.join(SAID[:4])}][{', '.join(SAID[4:])}]"),
    "lists in lines": ("a.jsonl", f"[{', '.join(SAID[:4])}]\n[{', '.join(SAID[4:])}]\n"),
    "objects on one line": ("a.jsonl", "".join(SAID)),
    "objects in a .json": ("a.json", " ".join(SAID)),
    "some on one line": ("a.jsonl", "\n".join([*SAID[:3], SAID[3] + SAID[4], SAID[5]])),
    "objects over lines": ("a.jsonl", "\n".join(json.dumps(row, indent=2) for row in ROWS)),
    "cells in lines": ("a.jsonl", "\n".join(map(json.dumps, LISTS))),
    "cells in a list": ("a.json", json.dumps(LISTS)),
    "cells with a head": ("a.jsonl", "\n".join(map(json.dumps, [["text", "label"], *LISTS]))),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_row_is_read(read, way):
    name, content = WAYS[way]
    table = read(content, name)
    assert texts(table) == [row["text"] for row in ROWS]
    assert labels(table) == [row["label"] for row in ROWS]
    assert table.ledger.read == 6
    first = 2 if "head" in way else 1
    assert lines(table) == [*range(first, first + 6)]


def test_objects_on_one_line_beside_a_broken_one_are_counted_one_by_one(read):
    table = read("\n".join([SAID[0], SAID[1] + SAID[2] + SAID[3], '{"text": "no end', SAID[4]]),
                 "a.jsonl")  # fmt: skip
    assert texts(table) == [ROWS[0]["text"], ROWS[4]["text"]]
    assert table.ledger.read == 6
    assert [entry.reason for entry in table.ledger.quarantined][:3] == [
        "3 objects on one line where one is expected"
    ] * 3


def test_a_damaged_list_and_one_after_it_are_both_read(read):
    whole = f"[{SAID[0]},\n{SAID[1]},\n{{broken}},\n{SAID[2]}\n]\n[{SAID[3]},\n{SAID[4]}]"
    table = read(whole, "a.json")
    assert len(table.rows) == 5
    assert table.ledger.read == 6


def test_a_list_of_another_length_is_set_aside(read):
    table = read("\n".join(map(json.dumps, [*LISTS, ["a", "b", "c"]])), "a.jsonl")
    assert [entry.code for entry in table.ledger.quarantined] == ["format-ragged"]
    assert len(table.rows) == 6


@given(st.lists(st.sampled_from(["\n", " ", ", ", ""]), min_size=5, max_size=5))
def test_whatever_stands_between_objects_they_are_all_read(tmp_path_factory, between):
    from seen import ROLES

    from fewtune.data.options import DataOptions
    from fewtune.data.read import read_rows

    path = tmp_path_factory.mktemp("between") / "a.jsonl"
    parts = [part for pair in zip(SAID, [*between, ""], strict=True) for part in pair]
    path.write_text("".join(parts), encoding="utf-8")
    assert len(read_rows(path, ROLES, DataOptions()).rows) == 6


@pytest.mark.parametrize("key", ["role", "from"])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_single_dialogue_is_a_row_and_not_a_list_of_rows(tmp_path, key, name):
    from fewtune.data.options import DataOptions
    from fewtune.data.read import read_any

    turns = [{key: "user", "content": "hot?"}, {key: "assistant", "content": "yes"}]
    (tmp_path / name).write_text(json.dumps({"messages": turns}), encoding="utf-8")
    table = read_any(tmp_path / name, DataOptions())
    assert table.shape.task == "generate"
    assert len(table.rows) == 1


def test_a_list_of_numbers_among_objects_is_one_broken_row(read):
    table = read("\n".join([*SAID, "[1, 2]"]), "a.jsonl")
    assert [(entry.origin.line, entry.code) for entry in table.ledger.quarantined] == [
        (7, "format-type")
    ]
    assert lines(table) == [*range(1, 7)]


def test_a_list_of_objects_among_objects_is_read(read):
    table = read("\n".join([*SAID[:3], f"[{', '.join(SAID[3:])}]"]), "a.jsonl")
    assert texts(table) == [row["text"] for row in ROWS]
