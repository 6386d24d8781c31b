"""The order of rows: every row once an epoch, streams by their weights, shares that are all."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pixtell.data.order import row_at, share, size_at, turn

SEEDS = st.integers(0, 2**63)


@given(seed=SEEDS, stream=st.integers(0, 9), size=st.integers(1, 60), epoch=st.integers(0, 10**6))
def test_every_row_once_an_epoch(seed: int, stream: int, size: int, epoch: int) -> None:
    rows = [row_at(seed, stream, epoch * size + place, size) for place in range(size)]
    assert sorted(rows) == list(range(size))


def test_epochs_streams_and_seeds_have_orders_of_their_own() -> None:
    orders = {
        tuple(row_at(seed, stream, epoch * 30 + place, 30) for place in range(30))
        for seed in range(3)
        for stream in range(3)
        for epoch in range(3)
    }
    assert len(orders) == 27


@given(seed=SEEDS, weights=st.lists(st.integers(1, 6), min_size=1, max_size=4), cycle=st.integers(0, 10**9))
def test_a_cycle_has_exactly_the_weights(seed: int, weights: list[int], cycle: int) -> None:
    total = sum(weights)
    turns = [turn(seed, tuple(weights), cycle * total + place) for place in range(total)]
    assert Counter(stream for stream, _ in turns) == dict(enumerate(weights))
    for stream, weight in enumerate(weights):
        served = [count for one, count in turns if one == stream]
        assert served == list(range(cycle * weight, (cycle + 1) * weight)), "turns are counted without gaps"


@given(count=st.integers(1, 200), world=st.integers(1, 40))
def test_shares_are_all_and_even(count: int, world: int) -> None:
    shares = [share(count, rank, world) for rank in range(world)]
    assert [place for one in shares for place in one] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_sizes_have_equal_chances() -> None:
    drawn = [size_at(1, step, (160, 176, 192, 208, 224)) for step in range(1000)]
    assert 150 < sum(one == other for one, other in pairwise(drawn)) < 250, "whatever the step before had"
    sizes = Counter(drawn)
    assert set(sizes) == {160, 176, 192, 208, 224} and min(sizes.values()) > 150
