"""A cache with room holds what transformers' own holds."""

import torch
from transformers.cache_utils import DynamicCache, DynamicSlidingWindowLayer

from fewtune.models.roomy import ROOM, RoomyLayer, with_room


def drawn(rows: int, tokens: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, 2, tokens, 4, generator=torch.Generator().manual_seed(seed))


def pair(rows: int = 3, tokens: int = 5) -> tuple[DynamicCache, DynamicCache]:
    """The same prompt in a plain cache and in one with room."""
    caches = DynamicCache(), DynamicCache()
    for cache in caches:
        cache.update(drawn(rows, tokens, 0), drawn(rows, tokens, 1), 0)
    return caches[0], with_room(caches[1])


def said(cache: DynamicCache, rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    return cache.update(drawn(rows, 1, seed), drawn(rows, 1, -seed), 0)


def test_every_token_finds_all_before_it_also_beyond_the_room():
    plain, roomy = pair()
    assert type(roomy.layers[0]) is RoomyLayer
    for step in range(1, 2 * ROOM + 10):
        for own, other in zip(said(plain, 3, step), said(roomy, 3, step), strict=True):
            assert torch.equal(own, other)
    assert roomy.get_seq_length() == plain.get_seq_length() == 5 + 2 * ROOM + 9


def test_rows_that_leave_leave_the_others_as_they_were():
    plain, roomy = pair()
    for cache in (plain, roomy):
        said(cache, 3, 1)
        cache.batch_select_indices(torch.tensor([0, 2]))
    for step in (2, 3):
        for own, other in zip(said(plain, 2, step), said(roomy, 2, step), strict=True):
            assert torch.equal(own, other)


def test_a_token_is_written_and_not_everything_copied():
    _, roomy = pair()
    before = said(roomy, 3, 1)[0].data_ptr()
    assert said(roomy, 3, 2)[0].data_ptr() == before


def test_keys_are_kept_in_the_precision_of_the_products():
    _, roomy = pair()
    keys, values = roomy.update(drawn(3, 1, 1), drawn(3, 1, 2).bfloat16(), 0)
    assert keys.dtype == values.dtype == torch.bfloat16


def test_a_sliding_window_stays_as_it_is():
    cache = DynamicCache()
    cache.layers = [DynamicSlidingWindowLayer(4)]
    assert type(with_room(cache).layers[0]) is DynamicSlidingWindowLayer
