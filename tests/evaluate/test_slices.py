"""Parts of the rows: what is weaker beyond chance is found, what chance does is not."""

import numpy as np
import pytest

from fewtune.evaluate.slices import LEVEL, parts_of, slices, slices_of_losses


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


def test_parts_that_are_all_within_chance_stand_by_what_chance_does():
    rows = np.arange(400)
    parts = {f"P-{k}": (rows >= 20 * k) & (rows < 20 * k + 20) for k in range(18)}
    parts |= {"small": rows >= 395, "large": (rows >= 360) & (rows < 395)}
    right = rows % 10 != 0
    right[rows >= 395] = [True, True, True, True, False]  # 80 %: less than the large part's
    right[(rows >= 360) & (rows < 395)] = np.arange(35) % 6 != 0
    found = slices(right, {"machine": parts})
    assert {one["p"] for one in found} == {1.0}
    assert found[0]["name"] == "large"


def test_of_many_equal_parts_one_is_called_worse_in_at_most_one_run_of_twenty():
    chance, runs, called = np.random.default_rng(0), 200, 0
    part = np.arange(300) % 20
    masks = {"class": {str(k): part == k for k in range(20)}}
    for _ in range(runs):
        called += any(one["worse"] for one in slices(chance.random(300) < 0.85, masks))
    assert called / runs <= LEVEL + 0.03


@pytest.mark.parametrize(("share", "parts"), [(0.8, 10), (0.95, 40)])
def test_the_intervals_hold_together(share, parts):
    chance, held = np.random.default_rng(1), 0
    part = np.arange(400) % parts
    masks = {"class": {str(k): part == k for k in range(parts)}}
    for _ in range(100):
        found = slices(chance.random(400) < share, masks)
        held += all(one["low"] <= share <= one["high"] for one in found)
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


def test_columns_beside_divide_the_rows_by_their_own_names():
    beside = [{"航站": "北京"}, {"航站": "上海", "length": "long"}, {"length": "short"}]
    found = parts_of([["a"], ["b"], ["b"]], ["x", "yy", "zzz"], beside=beside)
    assert found["航站"]["北京"].tolist() == [True, False, False]
    assert found["航站"]["上海"].tolist() == [False, True, False]
    assert found["column length"].keys() == {"long", "short"}
    assert "x" not in found["length"]


def test_a_column_that_divides_as_the_labels_do_is_no_part_of_its_own():
    labels = [["泵"], ["门"], ["泵"], ["门"]]
    beside = [{"code": "7", "site": "N"}, {"code": "8", "site": "N"},
              {"code": "7", "site": "S"}, {"code": "8", "site": "S"}]  # fmt: skip
    found = parts_of(labels, ["x"] * 4, beside=beside)
    assert found.keys() == {"class", "site"}


def test_a_part_with_a_higher_loss_is_found_and_its_interval_holds_the_loss():
    chance = np.random.default_rng(0)
    tokens = chance.integers(5, 40, 300).astype(float)
    old = np.arange(300) < 60
    losses = tokens * np.where(old, 2.0, 1.5) * chance.lognormal(0, 0.2, 300)
    parts = {"brand": {"old": old, "new": ~old}}
    worst, other = slices_of_losses(losses, tokens, parts, 1)
    assert (worst["by"], worst["name"], worst["rows"]) == ("brand", "old", 60)
    assert worst["worse"]
    assert not other["worse"]
    assert worst["metric"] == "loss"
    assert worst["low"] < 2.0 * np.exp(0.02) < worst["high"]
    assert worst["value"] == pytest.approx(losses[old].sum() / tokens[old].sum())


def test_chance_makes_no_part_worse_by_loss_in_more_than_five_of_a_hundred():
    chance, called, held = np.random.default_rng(3), 0, 0
    for again in range(60):
        tokens = chance.integers(5, 40, 200).astype(float)
        losses = tokens * chance.lognormal(0, 0.5, 200)
        part = chance.integers(0, 8, 200)
        found = slices_of_losses(
            losses, tokens, {"site": {str(k): part == k for k in range(8)}}, again
        )
        called += any(one["worse"] for one in found)
        held += all(one["low"] <= np.exp(0.125) <= one["high"] for one in found)
    assert called <= 7
    assert held >= 54


def test_intervals_of_skewed_losses_hold_together():
    """Around the loss itself, not its logarithm, they do in 55 of 100 runs."""
    chance, held, runs = np.random.default_rng(1), 0, 200
    for again in range(runs):
        tokens = chance.integers(5, 40, 200).astype(float)
        losses = tokens * chance.lognormal(0, 0.7, 200)
        part = chance.integers(0, 20, 200)
        parts = {"site": {str(k): part == k for k in range(20)}}
        found = slices_of_losses(losses, tokens, parts, again)
        held += all(one["low"] <= np.exp(0.245) <= one["high"] for one in found)
    assert held >= 0.72 * runs


def test_no_part_by_loss_where_all_are_too_small():
    tiny = np.arange(12) < 3
    assert slices_of_losses(np.ones(12), np.ones(12), {"a": {"x": tiny}}, 0) == []


def test_of_a_column_with_many_values_the_most_frequent_are_parts():
    beside = [{"site": f"S{min(k, 60)}"} for k in range(80)]
    found = parts_of([["a"], ["b"]] * 40, ["x"] * 80, beside=beside)["site"]
    assert len(found) == 50
    assert found["S60"].sum() == 20


def test_a_group_column_of_a_name_that_is_taken_keeps_the_other_parts():
    texts = ["short"] * 10 + ["a much longer text than the others are"] * 10
    found = parts_of([["a"], ["b"]] * 10, texts, ["x", "x", "y", "y"] * 5, "length")
    assert {"class", "length", "column length"} <= {*found}
