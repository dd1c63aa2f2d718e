"""Splits of rows with several labels."""

from collections import Counter
from itertools import product
from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewtune.data.holdout import folds_of, parted
from fewtune.data.label_sets import folds_of_sets, holdout_of_sets
from fewtune.data.row import Origin, Row

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


def apart(sets, parts, shares):
    """How many rows of each label a part has more or less than its share, of every part."""
    counts = Counter(label for one in sets for label in one)
    return [
        abs(sum(label in sets[k] for k in part) - share * count)
        for part, share in zip(parts, shares, strict=True)
        for label, count in counts.items()
    ]


def any_sets(chance, rows, labels):
    """Labels from rare to common, some of which come together."""
    shares = chance.beta(0.6, 1.2, labels)
    return [[f"l{k}" for k in np.flatnonzero(chance.random(labels) < shares)] for _ in range(rows)]


def test_of_few_rows_no_other_deal_is_nearer():
    """Every way to deal them was tried."""
    chance, tried = np.random.default_rng(1), 0
    for _ in range(120):
        rows = int(chance.integers(4, 10))
        sets = any_sets(chance, rows, 3)
        counts = Counter(label for one in sets for label in one)
        if not counts or min(counts.values()) < 2:
            continue  # a label of one row is in no fold
        deals = [
            [[k for k in range(rows) if side[k] == part] for part in (0, 1)]
            for side in product((0, 1), repeat=rows)
            if abs(sum(side) - rows / 2) <= 1
        ]
        best = min(
            max(apart(sets, deal, (0.5, 0.5)))
            for deal in deals
            if all(labels_in(sets, part) == set(counts) for part in deal)
        )
        folds = folds_of_sets(sets, 2, 0)
        assert sorted(np.concatenate(folds)) == list(range(rows))
        assert max(apart(sets, folds, (0.5, 0.5))) == best, sets
        tried += 1
    assert tried > 40


def test_labels_are_within_a_row_of_their_share_in_every_fold():
    """Seen of 6,000 draws: 98 of 100 within a row, all within 3."""
    chance = np.random.default_rng(0)
    found, held = [], []
    for draw in range(200):
        sets = any_sets(chance, int(chance.integers(20, 80)), int(chance.integers(1, 9)))
        folds = int(chance.integers(2, 7))
        found += apart(sets, folds_of_sets(sets, folds, draw), [1 / folds] * folds)
        held += apart(sets, [holdout_of_sets(sets, 0.2, draw)[1]], [0.2])
    assert len(found) > 3000
    assert np.mean(np.array(found) <= 1) > 0.95
    assert np.mean(np.array(held) <= 1) > 0.95
    assert max(found + held) <= 3


def test_large_groups_hold_out_what_was_asked():
    """A machine of every thirteenth row among fifty others."""
    chance = np.random.default_rng(0)
    sets = any_sets(chance, 600, 8)
    groups = np.minimum(59, chance.geometric(0.06, 600)).tolist()
    assert max(Counter(groups).values()) > 30
    _, held = holdout_of_sets(sets, 0.2, 0, groups)
    assert len(held) == pytest.approx(120, abs=4)
    sizes = [len(fold) for fold in folds_of_sets(sets, 5, 0, groups)]
    assert max(sizes) - min(sizes) <= 8
    counts = Counter(label for one in sets for label in one)
    for label, count in counts.items():
        seen = sum(label in sets[k] for k in held)
        assert seen == pytest.approx(0.2 * count, abs=max(3, 0.06 * count))


@settings(max_examples=60, deadline=None)
@given(grouped(), st.integers(2, 6), SEEDS)
def test_only_the_last_rows_of_a_label_are_in_no_fold(case, folds, seed):
    """No row is lost without a reason: its group's absence would take a label from training."""
    sets, groups = case
    dealt = folds_of_sets(sets, folds, seed, groups)
    homes = {k: number for number, fold in enumerate(dealt) for k in fold.tolist()}
    for group in {groups[k] for k in range(len(sets)) if k not in homes}:
        rows = [k for k in range(len(sets)) if groups[k] == group]
        assert not homes.keys() & set(rows), "a whole group is out"
        others = [{homes[k] for k in homes if label in sets[k]} for label in labels_in(sets, rows)]
        assert any(len(where) <= 1 for where in others)


def test_many_rows_are_dealt_quickly():
    chance = np.random.default_rng(0)
    sets = any_sets(chance, 5000, 15)
    begun = process_time()
    folds = folds_of_sets(sets, 5, 0)
    assert process_time() - begun < 5  # seen: 0.3 s
    assert max(map(len, folds)) - min(map(len, folds)) <= 10


def test_a_seed_gives_the_same_split_and_another_one_does_not():
    sets = drawn(60)
    first, again, other = (holdout_of_sets(sets, 0.3, seed)[1].tolist() for seed in (7, 7, 8))
    assert first == again != other
    assert first[:6] == [2, 7, 8, 11, 21, 23], "on every machine"


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
