"""The cache on its own: places, masks and lengths against plain loops; the model's use of it is in test_decoder.py."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pixtell.cache import KVCache

LAYERS, HEADS, VISUAL, WIDTH = 2, 3, 5, 4


def empty_cache(media: int = 3, visual: int = VISUAL, seed: int = 0) -> KVCache:
    generator = torch.Generator().manual_seed(seed)
    shape = (LAYERS, media, HEADS, visual, WIDTH)
    return KVCache(torch.randn(shape, generator=generator), torch.randn(shape, generator=generator))


def numbered(rows: int, length: int, start: int = 0) -> Tensor:
    """[R, H, T, d] in which every number tells its row and place: row * 100 + start + place."""
    places = 100 * torch.arange(rows)[:, None] + start + torch.arange(length)
    return places[:, None, :, None].expand(rows, HEADS, length, WIDTH).float()


def append(cache: KVCache, length: int, lengths_R: list[int] | None = None, start: int = 0) -> None:
    """What a step does: write every layer, then advance."""
    for layer in range(LAYERS):
        cache.write(layer, numbered(cache.num_rows, length, start), -numbered(cache.num_rows, length, start))
    cache.advance(length if lengths_R is None else torch.tensor(lengths_R))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=9))
def test_by_medium_and_back(media: list[int]) -> None:
    cache = empty_cache(media=4).rows(media, capacity=1)
    rows_RHTx = torch.arange(len(media) * HEADS * 2 * 5).view(len(media), HEADS, 2, 5).float()
    grid_MHGTx = cache.by_medium(rows_RHTx)
    most = max(media.count(medium) for medium in media)
    assert grid_MHGTx.shape == (4, HEADS, most * 2, 5)
    assert torch.equal(cache.by_row(grid_MHGTx, 2), rows_RHTx)
    for medium in range(4):
        own = [rows_RHTx[row] for row, read in enumerate(media) if read == medium]
        rest = [torch.zeros(HEADS, 2, 5)] * (most - len(own))
        assert torch.equal(grid_MHGTx[medium], torch.cat([*own, *rest], dim=1))


def test_rows_share_the_visual_part_without_copying_it() -> None:
    cache = empty_cache()
    rows = cache.rows([1, 1, 0, 1], capacity=6)
    assert rows.visual_keys.data_ptr() == cache.visual_keys.data_ptr()
    assert rows.reorder([2, 0]).visual_values.data_ptr() == cache.visual_values.data_ptr()
    assert (rows.num_media, rows.num_rows, rows.capacity, rows.longest) == (3, 4, 6, 0)
    assert (cache.num_rows, cache.capacity) == (0, 0), "the cache they came from has no rows"
    assert cache.rows(torch.tensor([2, 0]), capacity=1).media_R == [2, 0]


def test_a_row_about_no_medium_is_our_mistake() -> None:
    for media in ([3], [-1]):
        with pytest.raises(AssertionError, match="of 3"):
            empty_cache().rows(media, capacity=1)


def test_text_lies_behind_text_in_rows_of_any_length() -> None:
    cache = empty_cache().rows([0, 1, 2], capacity=9)
    append(cache, 3, [1, 3, 2])
    assert cache.lengths_R.tolist() == [1, 3, 2] and cache.longest == 3 and not cache.even
    append(cache, 1, start=50)
    append(cache, 2, [2, 1, 2], start=60)
    assert cache.lengths_R.tolist() == [4, 5, 5]
    held = [[0, 50, 60, 61], [100, 101, 102, 150, 160], [200, 201, 250, 260, 261]]
    for row, places in enumerate(held):
        expected = torch.tensor(places).float()[:, None].expand(-1, WIDTH)
        for layer in range(LAYERS):
            for head in range(HEADS):
                assert torch.equal(cache.text_keys[layer, row, head, : len(places)], expected)
                assert torch.equal(cache.text_values[layer, row, head, : len(places)], -expected)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.integers(1, 3))
def test_text_mask_is_the_past_and_nothing_else(lengths: list[int], step: int) -> None:
    cache = empty_cache(media=1).rows([0] * len(lengths), capacity=8)
    append(cache, 4, lengths)
    mask = cache.text_mask(step)
    if mask is None:
        assert len(set(lengths)) == 1 and step == 1, "only one token after equal rows may read everything"
        mask = torch.ones(len(lengths), 1, 1, lengths[0] + 1, dtype=torch.bool)
    assert mask.shape == (len(lengths), 1, step, max(lengths) + step)
    for row, length in enumerate(lengths):
        for token in range(step):
            allowed = [seen <= length + token for seen in range(max(lengths) + step)]
            assert mask[row, 0, token].tolist() == allowed


def test_reorder_moves_repeats_and_drops_rows() -> None:
    cache = empty_cache().rows([0, 1, 2], capacity=4)
    append(cache, 3, [3, 1, 2])
    moved = cache.reorder([2, 1, 1, 2])
    assert moved.media_R == [2, 1, 1, 2] and moved.lengths_R.tolist() == [2, 1, 1, 2] and moved.longest == 2
    assert torch.equal(moved.text_keys[:, :, :, :2], cache.text_keys[:, [2, 1, 1, 2], :, :2])
    assert not moved.text_keys[:, :, :, 2:].any(), "behind the text is nothing"
    even = cache.reorder(torch.tensor([1, 1]))
    assert even.even and even.longest == 1
    append(moved, 1, start=70)
    assert cache.lengths_R.tolist() == [3, 1, 2], "the old cache is as it was"
    assert cache.reorder([]).num_rows == 0
    assert cache.reorder([0, 1, 2]) is cache, "documented: nothing to move gives the same cache"


def test_unread_media_are_left_behind_when_they_are_half() -> None:
    cache = empty_cache(media=5).rows([4, 0, 1, 4, 3], capacity=3)
    append(cache, 2, [1, 2, 2, 1, 2])
    few = cache.reorder([3, 2, 0])
    assert few.num_media == 2 and few.num_rows == 3
    for layer in range(LAYERS):
        read = [few.visual_keys[layer, medium] for medium in few.media_R]
        assert torch.equal(torch.stack(read), cache.visual_keys[layer, [4, 1, 4]])
    assert cache.reorder([0, 1, 2]).num_media == 5, "three of five are still read"


def test_reorder_twice_is_reorder_once() -> None:
    cache = empty_cache().rows([2, 0, 1, 0], capacity=3)
    append(cache, 2, [1, 2, 2, 1])
    twice, once = cache.reorder([3, 1, 0]).reorder([2, 0]), cache.reorder([0, 3])
    assert torch.equal(twice.visual_keys[:, twice.media_R], once.visual_keys[:, once.media_R])
    assert torch.equal(twice.text_values, once.text_values)


@settings(max_examples=40)
@given(st.data(), st.lists(st.integers(1, 4), min_size=3, max_size=5))
def test_reorder_into_a_spare_equals_reorder_into_new_memory(data: st.DataObject, lengths: list[int]) -> None:
    """A search of several steps that takes turns between two pieces of memory, beside its slow twin."""
    reused = empty_cache().rows([row % 3 for row in range(len(lengths))], capacity=12)
    plain = empty_cache().rows(reused.media_R, capacity=12)
    spare: KVCache | None = None
    for start in range(4):
        for cache in (reused, plain):
            append(cache, 1 if start else max(lengths), None if start else lengths, start=10 * start)
        order = data.draw(st.lists(st.integers(0, plain.num_rows - 1), min_size=1, max_size=6))
        following = reused.reorder(order, spare)
        if following is not reused:
            reused, spare = following, reused
        plain = plain.reorder(order)
        assert reused.media_R == plain.media_R and torch.equal(reused.lengths_R, plain.lengths_R)
        # Equal behind the text too: nothing that another row left there may be read.
        assert torch.equal(reused.text_keys, plain.text_keys)
        assert torch.equal(reused.text_values, plain.text_values)


def test_a_spare_is_used_where_it_is_large_enough() -> None:
    def rows(count: int, capacity: int = 4) -> KVCache:
        cache = empty_cache().rows([0] * count, capacity)
        append(cache, 3)
        return cache

    spare = rows(3)
    assert rows(3).reorder([2, 0, 1], spare).text_keys.data_ptr() == spare.text_keys.data_ptr()
    assert rows(3).reorder([2, 0], spare).text_values.data_ptr() == spare.text_values.data_ptr()
    assert rows(3).reorder([2, 0, 1, 1], spare).text_keys.data_ptr() != spare.text_keys.data_ptr()
    assert rows(3, capacity=5).reorder([2, 0, 1], spare).capacity == 5
    with pytest.raises(AssertionError, match="no spare of its own"):
        spare.reorder([2, 0, 1], spare)


def test_what_a_broken_row_left_in_a_spare_is_gone() -> None:
    spare, cache = (empty_cache().rows([0, 1], capacity=6) for _ in range(2))
    append(spare, 5, [5, 5])
    spare.text_keys[:, 1, :, :5] = spare.text_values[:, 1, :, :5] = float("nan")
    append(cache, 3, [1, 3])
    moved = cache.reorder([1, 0], spare)
    assert moved.text_keys.isfinite().all() and moved.text_values.isfinite().all()


def test_full_rows_are_our_mistake() -> None:
    cache = empty_cache().rows([0, 0], capacity=4)
    append(cache, 4)
    with pytest.raises(AssertionError, match=r"4 \+ 1 positions in 4"):
        append(cache, 1)
    uneven = empty_cache().rows([0, 0], capacity=4)
    append(uneven, 3, [1, 3])
    append(uneven, 1)
    with pytest.raises(AssertionError, match=r"4 \+ 1 positions in 4"):
        append(uneven, 1)


def test_select_and_join_media() -> None:
    first, second = empty_cache(2, seed=1), empty_cache(3, seed=2)
    joined = KVCache.join([first, second])
    assert joined.num_media == 5 and joined.num_rows == 0
    assert torch.equal(joined.select_media([0, 1]).visual_keys, first.visual_keys)
    assert torch.equal(joined.select_media([4, 2]).visual_values, second.visual_values[:, [2, 0]])
    assert torch.equal(joined.select_media(range(5)).visual_keys, joined.visual_keys)
    assert joined.select_media([]).num_media == 0
    alone = KVCache.join([first.rows([0], 3)])
    assert alone.num_rows == 0 and torch.equal(alone.visual_keys, first.visual_keys)
    with pytest.raises(AssertionError, match=r"caches of \[5, 6\] visual tokens"):
        KVCache.join([first, empty_cache(visual=6)])


def test_what_was_split_is_joined_without_a_copy() -> None:
    whole = empty_cache(media=4)
    parts = whole.split()
    assert [part.num_media for part in parts] == [1, 1, 1, 1]
    assert all(torch.equal(part.visual_keys[:, 0], whole.visual_keys[:, place]) for place, part in enumerate(parts))
    for count in (2, 3, 4):
        joined = KVCache.join(parts[:count])
        assert joined.visual_values.data_ptr() == whole.visual_values.data_ptr()
        assert torch.equal(joined.visual_values, whole.visual_values[:, :count])
    other = empty_cache(media=4, seed=1).split()
    for order in ([1, 0], [1, 2], [0, 2], [0, 0]):
        joined = KVCache.join([parts[place] for place in order])
        assert torch.equal(joined.visual_keys, whole.visual_keys[:, order])
    mixed = KVCache.join([parts[0], other[1]])
    assert torch.equal(mixed.visual_keys, torch.cat([parts[0].visual_keys, other[1].visual_keys], dim=1))


def test_text_beside_bfloat16_is_float32() -> None:
    plain = empty_cache()
    cache = KVCache(plain.visual_keys.bfloat16(), plain.visual_values.bfloat16()).rows([0, 1], capacity=4)
    assert cache.text_keys.dtype == cache.text_values.dtype == torch.float32
    cache.write(0, numbered(2, 1).bfloat16(), numbered(2, 1).bfloat16())
    cache.advance(torch.tensor([1, 0]))
    cache.write(0, numbered(2, 1, start=1).bfloat16(), numbered(2, 1, start=1).bfloat16())
    assert cache.text_keys[0, 0, 0, :2, 0].tolist() == [0, 1] and cache.text_values[0, 1, 0, 0, 0] == 101
