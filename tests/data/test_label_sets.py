"""Splits of rows with several labels."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewtune.data.holdout import folds_of, parted
from fewtune.data.row import Origin, Row
from fewtune.data.splits import folds_of_sets, holdout_of_sets

SETS = st.lists(st.frozensets(st.sampled_from("aabbcde"), max_size=3), min_size=1, max_size=60)
SEEDS = st.integers(0, 5)


@st.composite
def grouped(draw):
    sets = draw(SETS)
    groups = draw(st.lists(st.integers(0, 30), min_size=len(sets), max_size=len(sets)))
    return sets, groups


def labels_in(sets, rows):
    return {label for k in rows for label in sets[k]}


@settings(max_examples=100, deadline=None)
@given(grouped(), st.floats(0.05, 0.6), SEEDS)
def test_a_holdout_parts_rows_keeps_groups_and_every_label_trains(case, share, seed):
    sets, groups = case
    train, held = holdout_of_sets(sets, share, seed, groups)
    assert sorted([*train, *held]) == list(range(len(sets)))
    assert not {groups[k] for k in train} & {groups[k] for k in held}
    assert labels_in(sets, train) == labels_in(sets, range(len(sets)))


@settings(max_examples=100, deadline=None)
@given(grouped(), st.integers(2, 6), SEEDS)
def test_folds_are_disjoint_keep_groups_and_leave_every_label_in_training(case, folds, seed):
    sets, groups = case
    held = folds_of_sets(sets, folds, seed, groups)
    everywhere = [k for fold in held for k in fold]
    assert len(held) == folds
    assert len(everywhere) == len(set(everywhere))
    for fold in held:
        rest = set(range(len(sets))) - set(fold.tolist())
        assert labels_in(sets, rest) == labels_in(sets, range(len(sets)))
        assert not {groups[k] for k in fold} & {groups[k] for k in rest}


def drawn(rows=500):
    chance = np.random.default_rng(0)
    shares = {"a": 0.6, "b": 0.3, "c": 0.1, "d": 0.02}
    return [
        [label for label, share in shares.items() if chance.random() < share] for _ in range(rows)
    ]


def test_every_label_is_held_out_in_proportion():
    sets = drawn()
    counts = Counter(label for one in sets for label in one)
    for seed in range(5):
        _, held = holdout_of_sets(sets, 0.2, seed)
        assert len(held) == pytest.approx(100, abs=2)
        seen = Counter(label for k in held for label in sets[k])
        for label, count in counts.items():
            assert seen[label] == pytest.approx(0.2 * count, abs=3), label
        for fold in folds_of_sets(sets, 5, seed):
            seen = Counter(label for k in fold for label in sets[k])
            assert all(seen[label] == pytest.approx(n / 5, abs=3) for label, n in counts.items())
            assert seen["d"] >= 1


def test_a_seed_gives_the_same_split_and_another_one_does_not():
    sets = drawn(60)
    first, again, other = (holdout_of_sets(sets, 0.3, seed)[1].tolist() for seed in (7, 7, 8))
    assert first == again != other


def test_rows_with_label_sets_are_split_by_all_their_labels():
    rows = [
        Row(Origin("a", k), {"text": f"{'xyz'[k % 3]}{k} {k * 7919}", "labels": tuple(one)})
        for k, one in enumerate(drawn(100))
    ]
    train, held = parted(rows, 0.2, 0)
    assert len(train) + len(held) == 100
    folds = folds_of(rows, 5, 0)
    rare = sum("c" in row["labels"] for row in rows)
    assert max(sum("c" in rows[k]["labels"] for k in fold) for fold in folds) <= rare // 5 + 2


def test_wrong_arguments_are_told_apart():
    with pytest.raises(ValueError, match="share"):
        holdout_of_sets([["a"]], 1.0, 0)
    with pytest.raises(ValueError, match="folds"):
        folds_of_sets([["a"]], 1, 0)
