"""Batches of an epoch: complete, reproducible, without padding waste."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewtune.train.order import epoch_batches, steps_per_epoch


def realistic(rows: int = 2000) -> np.ndarray:
    """Lengths of short texts: most near 15 tokens, a tail up to 128."""
    drawn = np.random.default_rng(0).lognormal(2.6, 0.6, rows)
    return drawn.round().clip(4, 128).astype(np.int64)


def padded_over_real(lengths: np.ndarray, batches: list[np.ndarray]) -> float:
    return sum(len(b) * int(lengths[b].max()) for b in batches) / int(lengths.sum())


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 512), min_size=1, max_size=400),
    st.integers(1, 40),
    st.integers(0, 2**31),
    st.integers(0, 50),
)
def test_every_row_comes_exactly_once_in_an_epoch(lengths, size, seed, epoch):
    batches = epoch_batches(np.array(lengths), size, seed, epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert all(1 <= len(batch) <= size for batch in batches)
    assert sum(len(batch) < size for batch in batches) <= 1
    assert len(batches) == steps_per_epoch(len(lengths), size, 1)


def test_the_order_is_a_function_of_seed_and_epoch_alone():
    lengths = realistic(300)
    first = np.concatenate(epoch_batches(lengths, 8, 3, 1))
    np.random.seed(99)
    np.testing.assert_array_equal(np.concatenate(epoch_batches(lengths, 8, 3, 1)), first)
    for seed, epoch in ((3, 2), (4, 1), (1, 3)):
        assert not np.array_equal(np.concatenate(epoch_batches(lengths, 8, seed, epoch)), first)


def test_padding_costs_less_than_a_tenth_on_realistic_lengths():
    lengths = realistic()
    shuffled = np.array_split(np.random.default_rng(0).permutation(len(lengths)), 125)
    assert padded_over_real(lengths, shuffled) > 1.8  # what random batches carry
    for epoch in range(3):
        assert padded_over_real(lengths, epoch_batches(lengths, 16, 0, epoch)) < 1.10


def test_long_rows_do_not_come_first():
    """Batches are shuffled after sorting, else every epoch would start with the longest rows."""
    lengths = realistic()
    means = [lengths[batch].mean() for batch in epoch_batches(lengths, 16, 0, 0)]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3


@pytest.mark.parametrize(
    ("rows", "size", "together", "steps"),
    [(10, 4, 1, 3), (10, 4, 2, 2), (8, 4, 2, 1), (1, 16, 4, 1)],
)
def test_steps_per_epoch_round_up(rows, size, together, steps):
    assert steps_per_epoch(rows, size, together) == steps
