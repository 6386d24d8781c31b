"""The largest numbers, found by chunks, against torch's own `topk` and `argmax` over the whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pixtell.decoding.largest import CHUNK, first_largest, largest

# Too few chunks to skip any, exact multiples of a chunk, a rest of one number, git's vocabulary.
WIDTHS = (1, 5, CHUNK, 2 * CHUNK + 1, 17 * CHUNK, 20 * CHUNK + 1, 30_522)


def numbers(width: int, seed: int, steps: float = 0.0) -> Tensor:
    """Five rows, rounded to multiples of `steps` so that many are equal, with winners behind the last whole chunk."""
    scores_RV = torch.randn(5, width, generator=torch.Generator().manual_seed(seed))
    scores_RV[1] -= torch.arange(width)  # the largest lie in one chunk
    scores_RV[2] += torch.arange(width)  # the largest come last
    scores_RV[3, width // 3 :] = -float("inf")
    return (scores_RV / steps).round() * steps if steps else scores_RV


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("count", [1, 8, 12])
def test_largest_equals_topk(width: int, count: int) -> None:
    count = min(count, width)
    for seed in range(5):
        scores_RV = numbers(width, seed)
        values_RK, places_RK = largest(scores_RV, count)
        expected = scores_RV.topk(count, dim=-1)
        assert torch.equal(values_RK, expected.values)
        finite = expected.values > -float("inf")
        assert torch.equal(places_RK[finite], expected.indices[finite])


@pytest.mark.parametrize("width", WIDTHS)
def test_among_equal_numbers_each_place_counts_once(width: int) -> None:
    for seed in range(5):
        scores_RV = numbers(width, seed, steps=0.5)
        count = min(8, width)
        values_RK, places_RK = largest(scores_RV, count)
        assert torch.equal(values_RK, scores_RV.topk(count, dim=-1).values)
        assert torch.equal(scores_RV.gather(1, places_RK), values_RK)
        assert all(len(set(row)) == count for row in places_RK.tolist())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("steps", [0.0, 0.5, 3.0])
def test_first_largest_equals_argmax(width: int, steps: float) -> None:
    for seed in range(5):
        scores_RV = numbers(width, seed, steps)
        firsts = [row.index(max(row)) for row in scores_RV.tolist()]
        assert first_largest(scores_RV).tolist() == firsts


def test_not_a_number_is_found_first_and_forbidden_rows_stay_forbidden() -> None:
    scores_RV = numbers(30_522, 0)
    scores_RV[0] = float("nan")
    scores_RV[1] = -float("inf")
    values_RK, places_RK = largest(scores_RV, 8)
    assert values_RK[0].isnan().all() and values_RK[1].isneginf().all()
    assert int(places_RK.min()) >= 0 and int(places_RK.max()) < 30_522
    assert torch.equal(values_RK[2:], scores_RV[2:].topk(8, dim=-1).values)
    assert scores_RV.gather(1, first_largest(scores_RV)[:, None])[0].isnan()
