"""Parts of the rows: what is weaker beyond chance is found, what chance does is not."""

import numpy as np
import pytest

from fewtune.evaluate.slices import LEVEL, parts_of, slices


def test_a_weak_part_is_first_and_beyond_chance():
    rows = 200
    bad = np.arange(rows) < 30
    right = np.where(bad, np.arange(rows) % 2 == 0, np.arange(rows) % 20 != 0)
    found = slices(right, {"machine": {"P-7": bad, "P-8": ~bad}})
    first, second = found
    assert (first["by"], first["name"], first["rows"], first["value"]) == (
        "machine",
        "P-7",
        30,
        0.5,
    )
    assert first["worse"]
    assert first["p"] < 1e-6
    assert not second["worse"]
    assert first["low"] < 0.5 < first["high"]


def test_of_many_equal_parts_one_is_called_worse_in_at_most_one_run_of_twenty():
    chance, runs, called = np.random.default_rng(0), 200, 0
    part = np.arange(300) % 20
    masks = {"class": {str(k): part == k for k in range(20)}}
    for _ in range(runs):
        called += any(one["worse"] for one in slices(chance.random(300) < 0.85, masks))
    assert called / runs <= LEVEL + 0.03


def test_the_intervals_hold_together():
    chance, held = np.random.default_rng(1), 0
    part = np.arange(400) % 10
    for _ in range(100):
        found = slices(chance.random(400) < 0.8, {"class": {str(k): part == k for k in range(10)}})
        held += all(one["low"] <= 0.8 <= one["high"] for one in found)
    assert held >= 90


def test_parts_of_a_few_rows_are_left_out():
    right = np.arange(30) % 3 != 0
    tiny = np.arange(30) < 4
    assert slices(right, {"class": {"rare": tiny, "all but rare": ~tiny}}) == []
    assert slices(right, {}) == []


def test_lengths_are_quarters_and_equal_lengths_stay_together():
    texts = ["水泵漏水" * k for k in (1, 1, 1, 1, 2, 3, 4, 5)]
    found = parts_of([["故障"]] * 8, texts)["length"]
    assert sum(mask.astype(int) for mask in found.values()).tolist() == [1] * 8
    assert next(iter(found)) == "4 characters"
    assert found["4 characters"].sum() == 4
    assert "length" not in parts_of([["a"]] * 8, ["same"] * 8)


def test_a_row_of_several_labels_is_in_several_classes():
    found = parts_of([["泵", "门"], ["门"], []], ["a", "bb", "ccc"])["class"]
    assert {name: mask.tolist() for name, mask in found.items()} == {
        "泵": [True, False, False],
        "门": [True, True, False],
    }


@pytest.mark.parametrize(
    ("groups", "there"),
    [(["A", "B", "A"], True), (["A", "A", None], False), ([None] * 3, False), ((), False)],
)
def test_a_group_column_divides_the_rows_where_it_has_several_values(groups, there):
    found = parts_of([["a"]] * 3, ["x", "yy", "zzz"], groups, "machine")
    assert ("machine" in found) == there


def test_a_column_that_names_rows_is_no_group():
    labels, texts = [["a"]] * 60, ["x"] * 60
    assert "id" not in parts_of(labels, texts, range(60), "id")
    assert "id" in parts_of(labels, texts, [k % 50 for k in range(60)], "id")
