"""Which rows a step sees: the order of a training, as arithmetic on numbers.

In: a seed, and the number of a step or of a place in a stream. Out: row numbers, and each process's share of them.

The surprising thing: nothing is remembered and no process is asked about. A stream is an endless line of places,
epoch after epoch; the row at a place follows from (seed, place) alone, so a training goes on from any step, with any
number of processes, where it was.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

# What chance is drawn for; parts of a generator's key, so that no two draws share their numbers.
LOOK, TURN, EPOCH, SIZE, WORDS = 1, 2, 3, 4, 5

# Columns of numbers that are remembered: one for each stream in its epoch, and its next. (Only time depends on it.)
_KEPT = 16


def turn(seed: int, weights: tuple[int, ...], step: int) -> tuple[int, int]:
    """Which stream serves `step`, and how many times it has served before.

    Every cycle of `sum(weights)` steps, shuffled anew, each stream serves as often as its weight says.
    """
    cycle = [number for number, weight in enumerate(weights) for _ in range(weight)]
    round_number, place = divmod(step, len(cycle))
    order = np.random.default_rng((seed, TURN, round_number)).permutation(cycle)
    number = int(order[place])
    return number, round_number * weights[number] + int((order[:place] == number).sum())


def row_at(seed: int, stream: int, place: int, size: int) -> int:
    """The row at a place of a stream over `size` rows: each row once an epoch, in a fresh random order."""
    epoch, within = divmod(place, size)
    return int(_epoch(seed, stream, epoch, size)[within])


def share(count: int, rank: int, world: int) -> range:
    """Which of `count` places of a batch process `rank` of `world` has: stretches in order that differ by at most 1."""
    return range(rank * count // world, (rank + 1) * count // world)


def size_at(seed: int, step: int, sizes: tuple[int, ...]) -> int:
    """The side in pixels that all pictures of a step have."""
    return sizes[int(np.random.default_rng((seed, SIZE, step)).integers(len(sizes)))]


@lru_cache(maxsize=_KEPT)
def _epoch(seed: int, stream: int, epoch: int, size: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    return np.random.default_rng((seed, EPOCH, stream, epoch)).permutation(np.arange(size, dtype=np.int32))
