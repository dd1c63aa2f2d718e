"""Several labels in one cell are seen by what stands in the other cells."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewtune.data.columns import Role
from fewtune.data.joined import holds_several, split_labels
from fewtune.data.options import DataOptions
from fewtune.data.read import read_any, shape_of

MARKS = ["、", "；", "，", ";", "; ", ",", ", ", "|", " | "]
FAULTS = ["水泵", "电机", "泄漏"]
SEVERAL = (Role("text"), Role("labels"))


def table(path, cells, head="text,label"):
    lines = [f'"unit {k} stopped at {k * 7919}","{cell}"' for k, cell in enumerate(cells)]
    path.write_text("\n".join([*([head] if head else []), *lines]), encoding="utf-8")
    return path


def joined(mark):
    return [*FAULTS, mark.join(FAULTS[:2]), mark.join(FAULTS[1:]), mark.join(FAULTS)] * 3


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("head", ["text,label", "描述,标签", "text,tags", "problem,found", None])
def test_a_file_of_joined_cells_is_one_of_several_labels(tmp_path, mark, head):
    found = read_any(table(tmp_path / "a.csv", joined(mark), head), DataOptions())
    assert found.shape.task == "multilabel"
    assert found.rows[3]["labels"] == ("水泵", "电机")
    assert found.rows[0]["labels"] == ("水泵",)
    assert any("9 rows have several labels" in note for note in found.notes)


def test_the_column_that_the_user_names_is_looked_at(tmp_path):
    path = table(tmp_path / "a.csv", joined("、"), "report,what")
    options = DataOptions(text="report", label="what")
    assert shape_of(path, options).task == "multilabel"
    assert read_any(path, options).rows[3]["labels"] == ("水泵", "电机")


@pytest.mark.parametrize(
    "cells",
    [
        ["pump", "lamp", "door"] * 4,
        ["Sales, EU", "Sales, US", "Support, EU", "Support, US"] * 3,  # no part stands alone
        ["pump", "lamp", "pump, then lamp", "gears, belts"] * 3,
        ["pump", "lamp", "pump;lamp"] * 2,  # two cells say nothing
        ["3,5", "4,0", "4,5", "5"] * 3,  # numbers with a decimal comma
    ],
)
def test_classes_with_a_mark_in_their_name_are_one_label_each(tmp_path, cells):
    assert shape_of(table(tmp_path / "a.csv", cells), DataOptions()).task == "classify"


def test_lists_in_cells_are_several_labels():
    assert holds_several(['["a"]', '["b", "a"]', "[]"])
    assert not holds_several(["[WARN]", "[INFO]", "ok", "ok", "ok"])
    assert not holds_several([])


LABEL = st.text("abc泵阀 -", min_size=1, max_size=6).map(str.strip).filter(bool)


@settings(max_examples=60, deadline=None)
@given(st.lists(LABEL, min_size=1, max_size=4, unique=True), st.sampled_from(MARKS))
def test_labels_that_were_joined_come_apart_again(labels, mark):
    assert [one.strip() for one in split_labels(mark.join(labels))] == labels


def test_a_label_that_stands_twice_counts_once_and_blanks_are_none(read):
    found = read("text,labels\na,水泵；水泵; ；电机\nb,[]\nc,\n", roles=SEVERAL)
    assert [row["labels"] for row in found.rows] == [("水泵", "电机"), ()]
    (aside,) = found.ledger.quarantined
    assert aside.code == "empty-label"
    assert aside.reason.endswith("a row that has no label says []")


def test_lists_as_pandas_writes_them_are_lists(read):
    found = read("text,labels\na,\"['水泵', '电机']\"\nb,['水泵']\nc,[]\n", roles=SEVERAL)
    assert [row["labels"] for row in found.rows] == [("水泵", "电机"), ("水泵",), ()]
    assert split_labels("[WARN], [INFO]") == ["[WARN]", " [INFO]"]
