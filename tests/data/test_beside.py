"""Columns beside those that a task reads, which make parts of the rows."""

import json

import pytest

from fewtune.base.errors import UsageError
from fewtune.data.columns import Role
from fewtune.data.load import load
from fewtune.data.options import DataOptions
from fewtune.data.read import read_any, read_rows

STATIONS = ["北京", "上海", "广州"]
ROLES = [Role("text"), Role("label")]


def write(path, rows, columns=None):
    """A csv file of some columns of rows."""
    columns = columns or list(rows[0])
    lines = [",".join(columns), *(",".join(str(row[one]) for one in columns) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def reports(count=60):
    """Rows with a station, a number of the report, a remark and a year."""
    return [
        {
            "text": f"液压泵 {k} 漏油", "label": "ab"[k % 2], "航站": STATIONS[k % 3],
            "number": f"R-{k}", "remark": f"seen on day {k}", "year": 2020 + k % 2, "fleet": "A320",
        }
        for k in range(count)
    ]  # fmt: skip


def test_columns_of_a_few_values_come_along_by_their_own_names(tmp_path):
    table = read_rows(write(tmp_path / "a.csv", reports()), ROLES, DataOptions())
    assert table.rows[1].beside == {"航站": "上海", "year": "2021"}
    assert table.rows[1].fields.keys() == {"text", "label"}
    assert set(table.columns) == {"text", "label"}


def test_a_named_column_alone_is_taken_whatever_its_case(tmp_path):
    rows = reports()
    file = write(tmp_path / "a.csv", rows)
    (row, *_) = read_rows(file, ROLES, DataOptions(slice="Year")).rows
    assert row.beside == {"year": "2020"}
    (row, *_) = read_rows(file, ROLES, DataOptions(slice="年份，航站".replace("年份", "year"))).rows
    assert row.beside == {"year": "2020", "航站": "北京"}
    many = [{**row, "machine": f"M{min(k, 40)}"} for k, row in enumerate(rows)]
    file = write(tmp_path / "b.csv", many)
    assert "machine" not in read_rows(file, ROLES, DataOptions()).rows[0].beside
    assert read_rows(file, ROLES, DataOptions(slice=("machine",))).rows[0].beside == {
        "machine": "M0"
    }


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("航占", "slice: a.csv has no column '航占'; its columns are text, label, 航站"),
        ("yaer", "Did you mean 'year'?"),
        ("fleet", "slice: the column 'fleet' of a.csv says the same in every row."),
        ("number", "'number' of a.csv has 60 values in 60 rows, none of them in 5 rows"),
    ],
)
def test_a_column_that_makes_no_parts_is_refused_in_a_sentence(tmp_path, asked, said):
    file = write(tmp_path / "a.csv", reports())
    with pytest.raises(UsageError, match="slice") as refused:
        read_rows(file, ROLES, DataOptions(slice=asked))
    assert said in str(refused.value)


def test_all_wrong_columns_are_told_at_once(tmp_path):
    file = write(tmp_path / "a.csv", reports())
    with pytest.raises(UsageError) as refused:
        read_rows(file, ROLES, DataOptions(slice="nothing,fleet,year"))
    assert len(str(refused.value).splitlines()) == 2


def test_lists_and_empty_cells_make_no_parts(tmp_path):
    lines = [
        {"text": f"t {k}", "label": "ab"[k % 2], "tags": ["x"], "unit": "泵" if k % 3 else None,
         "hot": k % 4 == 0, "size": float(k % 2)}
        for k in range(60)
    ]  # fmt: skip
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(json.dumps(one) for one in lines), encoding="utf-8")
    rows = read_rows(file, ROLES, DataOptions()).rows
    assert rows[0].beside == {"hot": "true", "size": "0"}
    with pytest.raises(UsageError, match="holds lists or objects"):
        read_rows(file, ROLES, DataOptions(slice="tags"))
    with pytest.raises(UsageError, match="says the same"):
        read_rows(file, ROLES, DataOptions(slice="unit"))


def test_rows_with_answers_bring_their_columns_too(tmp_path):
    lines = [
        {"instruction": f"what of {k}?", "output": f"do {k}", "brand": "ABC"[k % 3]}
        for k in range(60)
    ]
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(json.dumps(one) for one in lines), encoding="utf-8")
    table = read_any(file, DataOptions())
    assert table.rows[2].beside == {"brand": "C"}
    assert "messages" in table.rows[2].fields


def test_columns_go_with_their_rows_through_a_split(tmp_path):
    file = write(tmp_path / "a.csv", reports())
    data = load(file, ROLES, DataOptions())
    by_text = {row["text"]: row["航站"] for row in reports()}
    assert len(data.test) > 5
    assert all(row.beside["航站"] == by_text[row["text"]] for row in (*data.train, *data.test))


def test_only_the_file_that_is_scored_must_have_the_column(tmp_path):
    rows = reports()
    bare = write(tmp_path / "train.csv", rows, ["text", "label"])
    other = [{**row, "text": f"{row['text']}，又一次"} for row in rows]
    test = write(tmp_path / "test.csv", other)
    data = load(bare, ROLES, DataOptions(test=test, slice="航站"))
    assert data.test[0].beside == {"航站": "北京"}
    assert data.train[0].beside == {}
    with pytest.raises(UsageError, match="no column '航站'"):
        load(test, ROLES, DataOptions(test=bare, slice="航站"))
