"""One metric over many items, kept so that any subset, resample or permutation of them can be measured again.

In: what a metric counted of each item. Out: a value, each item's own score, and the sums that the value is made of.

The surprising thing: a corpus metric such as BLEU is not the mean of its items' scores, but it is a function of sums
over items. So every metric here is `combine(sum of counts)`, the mean being the simplest, and a bootstrap needs only
sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Measure:
    """A metric's value over N items.

    `items_N` are the items' own scores in the order given. `counts_NK` are what the metric counts of each item, and
    `combine` turns their sums (..., K) into values (...). `value` is that of all items; NaN when there are none.
    """

    name: str
    items_N: Floats = field(repr=False)
    counts_NK: Floats = field(repr=False)
    combine: Callable[[Floats], Floats] = field(repr=False)

    @property
    def value(self) -> float:
        return float(self.combine(self.counts_NK.sum(0))) if len(self) else float("nan")

    def __len__(self) -> int:
        return len(self.items_N)

    def select(self, places: Sequence[int] | NDArray[Any]) -> Measure:
        """The same metric over some of its items, by place."""
        chosen = np.asarray(places, dtype=np.int64)
        return replace(self, items_N=self.items_N[chosen], counts_NK=self.counts_NK[chosen])


def mean_of(name: str, items: ArrayLike) -> Measure:
    """The metric that is the mean of its items' scores."""
    items_N = np.asarray(items, dtype=np.float64)
    return Measure(name, items_N, np.stack([items_N, np.ones_like(items_N)], axis=1), _mean)


def _mean(sums: Floats) -> Floats:
    return np.asarray(sums[..., 0] / sums[..., 1], dtype=np.float64)
