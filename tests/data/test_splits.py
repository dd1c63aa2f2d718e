"""Splits: laws that hold for any labels and groups."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewtune.data.splits import folded, natural, stratified_folds, stratified_holdout

LABELS = st.lists(st.sampled_from("aaaabbbcde"), min_size=1, max_size=80)
SEEDS = st.integers(0, 5)


@st.composite
def grouped(draw):
    labels = draw(LABELS)
    groups = draw(st.lists(st.integers(0, 30), min_size=len(labels), max_size=len(labels)))
    return labels, groups


@settings(max_examples=100, deadline=None)
@given(LABELS, st.floats(0.05, 0.6), SEEDS)
def test_a_holdout_is_a_proportional_partition(labels, share, seed):
    train, held = stratified_holdout(labels, share, seed)
    assert sorted([*train, *held]) == list(range(len(labels)))
    assert list(train) == sorted(train)
    assert list(held) == sorted(held)
    counts, kept = Counter(labels), Counter(labels[k] for k in train)
    assert all(kept[label] >= 1 for label in counts)
    possible = sum(count - 1 for count in counts.values())
    assert len(held) == min(round(share * len(labels)), possible)


@settings(max_examples=100, deadline=None)
@given(grouped(), st.floats(0.05, 0.6), SEEDS)
def test_a_group_is_on_one_side_and_every_class_trains(case, share, seed):
    labels, groups = case
    train, held = stratified_holdout(labels, share, seed, groups)
    assert sorted([*train, *held]) == list(range(len(labels)))
    assert not {groups[k] for k in train} & {groups[k] for k in held}
    assert {labels[k] for k in train} == set(labels)
    assert len(held) <= round(share * len(labels))


@settings(max_examples=100, deadline=None)
@given(grouped(), st.integers(2, 6), SEEDS)
def test_folds_are_disjoint_keep_groups_and_leave_every_class_in_training(case, folds, seed):
    labels, groups = case
    held = stratified_folds(labels, folds, seed, groups)
    assert len(held) == folds
    everywhere = [k for fold in held for k in fold]
    assert len(everywhere) == len(set(everywhere))
    for fold in held:
        rest = set(range(len(labels))) - set(fold.tolist())
        assert {labels[k] for k in rest} == set(labels)
        assert not {groups[k] for k in fold} & {groups[k] for k in rest}


def test_proportions_are_kept_to_the_row():
    labels = ["a"] * 60 + ["b"] * 30 + ["c"] * 10
    _, held = stratified_holdout(labels, 0.2, 0)
    assert Counter(labels[k] for k in held) == {"a": 12, "b": 6, "c": 2}
    for fold in stratified_folds(labels, 5, 0):
        assert Counter(labels[k] for k in fold) == {"a": 12, "b": 6, "c": 2}


def test_the_only_row_of_a_class_always_trains():
    labels = ["a"] * 10 + ["b"]
    assert all(10 not in stratified_holdout(labels, 0.5, seed)[1] for seed in range(20))
    assert all(10 not in fold for fold in stratified_folds(labels, 3, 0))


def test_many_small_classes_share_what_is_left_by_chance():
    labels = [f"c{k % 50}" for k in range(150)]
    first, second = (stratified_holdout(labels, 0.2, seed)[1] for seed in (0, 1))
    assert len(first) == len(second) == 30
    assert {labels[k] for k in first} != {labels[k] for k in second}


def test_a_seed_gives_the_same_split_on_every_machine():
    labels = ["a", "b", "b", "a", "c", "c", "a", "b", "a", "c"]
    _, held = stratified_holdout(labels, 0.3, 7)
    assert held.dtype == np.int64
    assert held.tolist() == [0, 2, 4]
    assert [fold.tolist() for fold in stratified_folds(labels, 3, 7)] == [
        [0, 1, 8, 9],
        [3, 4, 7],
        [2, 5, 6],
    ]
    assert stratified_holdout(labels, 0.3, 8)[1].tolist() != held.tolist()


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="share"):
        stratified_holdout(["a"], 1.0, 0)
    with pytest.raises(ValueError, match="folds"):
        stratified_folds(["a"], 1, 0)


def test_texts_are_compared_without_case_and_white_space():
    assert folded("  Pump\nFAILED　now ") == "pump failed now"


def test_labels_are_ordered_as_a_person_would():
    assert natural(["10", "9", "1", "-1", "1.5"]) == ["-1", "1", "1.5", "9", "10"]
    assert natural(["P10", "p2", "P2", "A"]) == ["A", "P2", "p2", "P10"]
    assert natural(["9" * 5000, "1"])[0] == "1"
