"""How sure a score is, and whether two systems differ by more than chance.

In: measures, and the cluster of each of their items. Out: 95 % intervals by the bootstrap, and for two systems the
interval and the p-value of their difference.

The surprising thing: clusters, not items, are drawn and swapped. Questions about one picture, or its captions, succeed
and fail together; drawn one by one they would promise more than they know. As a measure is a function of sums, a
resample is a sum over clusters, times how often each was drawn, and BLEU costs no more than a mean.

    N items, C clusters, K what a measure counts, R resamples or trials of one block
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixtell.evaluation.metrics.measure import Floats, Measure

RESAMPLES = 1_000  # as many as Efron and Tibshirani (1993) take for percentile intervals
TRIALS = 10_000  # the least p-value that can be found is one over this
ENDS = (0.025, 0.975)
BLOCK = 2**22  # numbers drawn at a time: 32 MB
SAME = 1e-12  # differences this close are equal: sums of floats depend on their order


@dataclass(frozen=True)
class Interval:
    """Where 95 % of resamples lie; None where nothing can be said: with one cluster only, or a value that is NaN."""

    low: float | None
    high: float | None


@dataclass(frozen=True)
class Comparison:
    """How system b differs from system a by one metric: `difference` is b less a.

    `low` and `high` are the 95 % interval of the difference, None where nothing can be said. `p_value` is how often
    a difference at least as large, in either direction, comes about when the two are the same.
    """

    name: str
    a: float
    b: float
    difference: float
    low: float | None
    high: float | None
    p_value: float


def interval(measure: Measure, clusters: Sequence[Hashable], *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """The percentile bootstrap interval of a measure's value (Efron 1979), drawing clusters with replacement.

    Clusters are given item by item, whatever they are named by. The same seed draws the same clusters for each measure.
    """
    sums_CK = _cluster_sums(measure.counts_NK, _cluster_numbers(clusters))
    return _percentiles(measure.combine, sums_CK, resamples, seed)


def compare(
    a: Measure,
    b: Measure,
    clusters: Sequence[Hashable],
    *,
    resamples: int = RESAMPLES,
    trials: int = TRIALS,
    seed: int = 0,
) -> Comparison:
    """Compare two systems by one metric over the same items, in the same order.

    The interval is that of the bootstrap on pairs: both systems are measured on each resample (Koehn 2004). The p-value
    is that of paired approximate randomisation (Noreen 1989; Riezler and Maxwell 2005 for metrics of a whole corpus):
    in each trial every cluster's texts are swapped between the systems or not, by the toss of a coin. What was observed
    is one of the trials, so that p is never 0 (Phipson and Smyth 2010).
    """
    assert a.name == b.name and len(a) == len(b), f"{a.name} of {len(a)} items and {b.name} of {len(b)} are no pair"
    cluster_N = _cluster_numbers(clusters)
    a_CK, b_CK = (_cluster_sums(measure.counts_NK, cluster_N) for measure in (a, b))
    width = a_CK.shape[1]

    def difference(sums: Floats) -> Floats:
        return b.combine(sums[..., width:]) - a.combine(sums[..., :width])

    both_CK = np.concatenate([a_CK, b_CK], axis=1)
    ends = _percentiles(difference, both_CK, resamples, seed)
    p_value = _p_value(difference, both_CK, trials, seed)
    return Comparison(a.name, a.value, b.value, b.value - a.value, ends.low, ends.high, p_value)


def _cluster_numbers(clusters: Sequence[Hashable]) -> NDArray[np.int64]:
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters], dtype=np.int64)


def _cluster_sums(counts_NK: Floats, cluster_N: NDArray[np.int64]) -> Floats:
    assert len(counts_NK) == len(cluster_N), f"{len(counts_NK)} items with {len(cluster_N)} clusters"
    size = int(cluster_N.max(initial=-1)) + 1
    return np.stack([np.bincount(cluster_N, counts_N, minlength=size) for counts_N in counts_NK.T], axis=1)


def _percentiles(combine: Callable[[Floats], Floats], sums_CK: Floats, resamples: int, seed: int) -> Interval:
    clusters = len(sums_CK)
    if clusters < 2:
        return Interval(None, None)
    generator = np.random.default_rng(seed)
    values = []
    for rows in _blocks(resamples, clusters):
        drawn_RC = generator.integers(clusters, size=(rows, clusters), dtype=np.int32)
        drawn_RC += np.arange(rows, dtype=np.int32)[:, None] * clusters  # each row counts in its own stretch
        times_RC = np.bincount(drawn_RC.reshape(-1), minlength=rows * clusters).reshape(rows, clusters)
        values.append(combine(times_RC.astype(np.float64) @ sums_CK))
    low, high = np.quantile(np.concatenate(values), ENDS)
    return Interval(float(low), float(high)) if np.isfinite(low) and np.isfinite(high) else Interval(None, None)


def _p_value(difference: Callable[[Floats], Floats], both_CK: Floats, trials: int, seed: int) -> float:
    total_K = both_CK.sum(0)
    observed = abs(difference(total_K)) if len(both_CK) else np.float64("nan")
    if np.isnan(observed):
        return float("nan")
    width = both_CK.shape[1] // 2
    # What a swap adds to the sums of a, and takes from those of b. Where both said the same, there is nothing to swap.
    change_CK = both_CK[:, width:] - both_CK[:, :width]
    change_CK = change_CK[change_CK.any(1)]
    generator = np.random.default_rng(seed)
    hits = 0
    for rows in _blocks(trials, max(1, len(change_CK))):
        swapped_RC = generator.integers(2, size=(rows, len(change_CK)), dtype=np.int8)
        change_RK = swapped_RC.astype(np.float64) @ change_CK
        found_R = np.abs(difference(total_K + np.concatenate([change_RK, -change_RK], axis=1)))
        hits += int((found_R >= observed - SAME).sum())
    return (hits + 1) / (trials + 1)


def _blocks(total: int, width: int) -> Iterator[int]:
    """How many rows of `width` numbers are made at a time, until there are `total`."""
    rows = max(1, BLOCK // width)
    while total > 0:
        yield min(rows, total)
        total -= rows
