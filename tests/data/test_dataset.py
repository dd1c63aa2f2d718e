"""A data set: parts, notes, and what makes the job impossible."""

import json

import pytest
from seen import ROLES

from fewtune.base.errors import FewtuneError
from fewtune.data.columns import Role
from fewtune.data.load import given_back, load
from fewtune.data.options import DataOptions


@pytest.fixture
def write(tmp_path):
    def to_file(rows, name="train.csv"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("text,label\n" + "".join(f"{t},{c}\n" for t, c in rows), encoding="utf-8")
        return path

    return to_file


def some(count, classes=2):
    return [(f"text number {k}", f"c{k % classes}") for k in range(count)]


def test_a_fifth_is_held_out_without_a_test_file(write):
    data = load(write(some(100)), ROLES, DataOptions(), seed=3)
    assert (len(data.train), len(data.valid), len(data.test)) == (80, 0, 20)
    assert data.split["seed"] == 3
    assert data.labels == ("c0", "c1")
    assert data.train == load(write(some(100)), ROLES, DataOptions(), seed=3).train


def test_equal_texts_stay_on_one_side_of_the_split(write):
    rows = [(f"{blank}TEXT  {k // 4}", f"c{k % 4 // 2}") for k in range(200) for blank in ("", " ")]
    data = load(write(rows), ROLES, DataOptions())
    train, test = ({row["text"].casefold() for row in part} for part in (data.train, data.test))
    assert test
    assert not train & test


def test_the_users_files_are_the_parts(write):
    options = DataOptions(
        valid=str(write(some(10), "valid.csv")), test=str(write(some(12), "test.csv"))
    )
    data = load(write(some(20)), ROLES, options)
    assert (len(data.train), len(data.valid), len(data.test)) == (20, 10, 12)
    assert data.ledger.counts()["read"] == 42
    assert data.files["test"]["rows"] == 12
    assert "test.csv" in data.split["how"]


def test_nothing_is_held_out_when_folds_are_wanted(write):
    data = load(write(some(20)), ROLES, DataOptions(), hold_out_from=None)
    assert (len(data.train), len(data.test)) == (20, 0)


def test_labels_are_in_natural_order(write):
    rows = [(f"t{k}", k % 11) for k in range(44)]
    assert load(write(rows), ROLES, DataOptions()).labels == tuple(map(str, range(11)))


def test_a_class_of_one_row_trains_and_is_told(write):
    data = load(write([*some(20), ("strange", "rare")]), ROLES, DataOptions())
    assert "rare" in {row["label"] for row in data.train}
    assert [
        n for n in data.notes if n.startswith("balance-single: class 'rare' has one row (train")
    ]


def test_a_class_of_two_rows_is_not_called_single(write):
    data = load(write([*some(20), ("one", "r"), ("two", "r")]), ROLES, DataOptions(test_share=0.5))
    assert not [n for n in data.notes if "balance-single" in n]


def test_labels_unknown_in_training_stay_in_the_test_and_are_told(write):
    test = write([("a", "c0"), ("b", "new"), ("c", "new")], "test.csv")
    data = load(write(some(20)), ROLES, DataOptions(test=str(test)))
    assert len(data.test) == 3
    assert any("'new' (2)" in note for note in data.notes)


def test_the_training_file_as_test_file_is_told(write):
    path = write(some(20))
    data = load(path, ROLES, DataOptions(test=str(path)))
    assert any("is the training file" in note for note in data.notes)


def test_files_of_one_name_are_told_apart_by_their_folder(write):
    train, test = write(some(20), "a/data.csv"), write(some(10), "b/data.csv")
    data = load(train, ROLES, DataOptions(test=str(test)))
    assert str(data.train[0].origin) == "a/data.csv:2"
    assert str(data.test[0].origin) == "b/data.csv:2"


def test_impossible_jobs_are_sentences(write):
    with pytest.raises(FewtuneError, match="5 usable rows of 5 read; training needs at least 10"):
        load(write(some(5)), ROLES, DataOptions())
    with pytest.raises(FewtuneError, match=r"2 usable rows of 12 read \(set aside: 10 empty-label"):
        load(write([*some(2), *[("x", "")] * 10]), ROLES, DataOptions())
    with pytest.raises(FewtuneError, match=r"one class \('c0'\) and two or more are needed"):
        load(write(some(20, classes=1)), ROLES, DataOptions())
    with pytest.raises(FewtuneError, match="have the same text"):
        load(write([("Same", "a"), ("same ", "b")] * 10), ROLES, DataOptions())


def test_rows_without_labels_are_split_too(tmp_path):
    path = tmp_path / "sft.jsonl"
    rows = [{"instruction": f"do {k}", "output": f"done {k}"} for k in range(20)]
    path.write_text("\n".join(map(json.dumps, rows)))
    roles = (Role("instruction"), Role("input", required=False), Role("output"))
    data = load(path, roles, DataOptions())
    assert (len(data.train), len(data.test), data.labels) == (16, 4, ())


def test_the_split_can_be_given_back_from_its_record(write):
    path = write(some(50))
    data = load(path, ROLES, DataOptions(), seed=5)
    told = json.loads(json.dumps(data.as_json()))
    again = given_back(path, ROLES, DataOptions(), told)
    assert (again.train, again.test) == (data.train, data.test)
    assert again.as_json() == data.as_json()
    write(some(51))
    with pytest.raises(FewtuneError, match="has changed since it was split"):
        given_back(path, ROLES, DataOptions(), told)


def test_as_many_labels_as_rows_are_classes_where_rows_have_several(tmp_path):
    path = tmp_path / "several.csv"
    lines = [f"text number {k * 7919},L{k};L{(k + 1) % 12}" for k in range(12)]
    path.write_text("\n".join(["text,labels", *lines]), encoding="utf-8")
    roles = (Role("text"), Role("labels"))
    assert len(load(path, roles, DataOptions(test_share=0.2), 0).labels) == 12
    alone = [f"text number {k * 7919},L{k}" for k in range(12)]
    path.write_text("\n".join(["text,label", *alone]), encoding="utf-8")
    with pytest.raises(FewtuneError, match="each of the 12 usable rows"):
        load(path, (Role("text"), Role("label")), DataOptions(), 0)
