"""Intervals hold what they promise, in simulation; resamples are those of the texts; p-values are fair."""

from __future__ import annotations

import math
import tracemalloc
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixtell.evaluation import intervals
from pixtell.evaluation.intervals import Interval, compare, interval
from pixtell.evaluation.metrics.bleu import bleu
from pixtell.evaluation.metrics.cider import cider_d
from pixtell.evaluation.metrics.measure import Measure, mean_of

WORDS = ["a", "dog", "cat", "runs", "sits", "on", "the", "grass", "mat", "red"]
SCORES = st.lists(st.floats(0, 1, width=32), min_size=2, max_size=12)


def texts(generator: np.random.Generator, count: int) -> list[str]:
    return [" ".join(generator.choice(WORDS, generator.integers(4, 9))) for _ in range(count)]


def width(found: Interval) -> float:
    assert found.low is not None and found.high is not None
    return found.high - found.low


def test_coverage() -> None:
    generator = np.random.default_rng(0)
    clusters = np.repeat(np.arange(80), 3).tolist()
    covered = 0
    for _ in range(300):
        # A picture makes its three items better or worse together; the mean that is sought is 0.5.
        scores = 0.5 + generator.normal(0, 0.2, 80).repeat(3) + generator.normal(0, 0.3, 240)
        found = interval(mean_of("score", scores), clusters, resamples=400)
        covered += found.low <= 0.5 <= found.high  # type: ignore[operator]
    assert 0.90 <= covered / 300 <= 0.98


def test_items_of_one_picture_are_not_independent() -> None:
    generator = np.random.default_rng(1)
    scores = np.repeat(generator.random(50), 4)
    measure = mean_of("score", scores)
    alone = interval(measure, list(range(200)))
    together = interval(measure, np.repeat(np.arange(50), 4).tolist())
    # Four equal items tell no more than one: the interval is twice as wide.
    assert width(together) / width(alone) == pytest.approx(2, rel=0.15)
    expected = 2 * 1.96 * scores.std() / math.sqrt(50)
    assert width(together) == pytest.approx(expected, rel=0.15)


def test_resampled_bleu_is_bleu_of_the_resampled_texts() -> None:
    generator = np.random.default_rng(2)
    candidates, references = texts(generator, 30), [texts(generator, 3) for _ in range(30)]
    clusters = [f"picture {place // 2}" for place in range(30)]
    for order, measure in enumerate(bleu(candidates, references)):
        values = []
        draws = np.random.default_rng(5).integers(15, size=(40, 15), dtype=np.int32)
        for drawn in draws:
            places = [2 * cluster + half for cluster in drawn for half in (0, 1)]
            again = bleu([candidates[place] for place in places], [references[place] for place in places])
            values.append(again[order].value)
        found = interval(measure, clusters, resamples=40, seed=5)
        assert [found.low, found.high] == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=1e-12)


def test_the_p_value_of_bleu_is_that_of_swapped_texts() -> None:
    generator = np.random.default_rng(3)
    references = [texts(generator, 2) for _ in range(12)]
    ours, other = texts(generator, 12), [several[0] for several in references[:4]] + texts(generator, 8)
    clusters = [place // 2 for place in range(12)]
    differences = []
    for swaps in product([False, True], repeat=6):
        sides = [(b, a) if swaps[c] else (a, b) for a, b, c in zip(ours, other, clusters, strict=True)]
        a, b = (bleu([side[n] for side in sides], references)[1].value for n in (0, 1))
        differences.append(b - a)
    exact = float(np.mean(np.abs(differences) >= abs(differences[0]) - 1e-12))
    found = compare(bleu(ours, references)[1], bleu(other, references)[1], clusters)
    assert found.difference == pytest.approx(differences[0])
    assert found.p_value == pytest.approx(exact, abs=0.02)


def test_p_values_are_uniform_when_nothing_differs() -> None:
    generator = np.random.default_rng(4)
    clusters = np.repeat(np.arange(40), 2).tolist()
    found = []
    for _ in range(400):
        picture = generator.normal(size=40)
        a, b = (np.repeat(picture + generator.normal(size=40), 2) for _ in range(2))
        found.append(compare(mean_of("x", a), mean_of("x", b), clusters, resamples=2, trials=200).p_value)
    for level in (0.05, 0.25, 0.5, 0.75):
        # Three standard errors of a share among 400.
        assert np.mean(np.array(found) <= level) == pytest.approx(level, abs=3 * math.sqrt(level * (1 - level) / 400))


def test_a_clear_difference() -> None:
    generator = np.random.default_rng(6)
    a = generator.random(200)
    b = a + 0.05 + generator.normal(0, 0.05, 200)
    found = compare(mean_of("x", a), mean_of("x", b), list(range(200)))
    assert found.p_value == 1 / 10_001, "nothing that was tried is as large, and p is never 0"
    assert found.low is not None and found.high is not None and 0 < found.low < 0.05 < found.high
    assert found.high - found.low < width(interval(mean_of("x", a), list(range(200)))), "pairs say more than each alone"
    assert (found.a, found.b) == pytest.approx((a.mean(), b.mean())) and found.name == "x"


@given(SCORES, st.integers(0, 3))
def test_the_other_way_round_is_the_opposite(scores: list[float], seed: int) -> None:
    a, b = mean_of("x", scores), mean_of("x", [*scores[::-1][1:], 0.5])
    clusters = [place % 5 for place in range(len(scores))]
    there, back = (compare(*pair, clusters, resamples=50, trials=50, seed=seed) for pair in ((a, b), (b, a)))
    assert there.difference == -back.difference and 0 < there.p_value <= 1
    assert there.p_value == back.p_value
    assert [there.low, there.high] == pytest.approx([-back.high, -back.low], abs=1e-9)  # type: ignore[operator]


@given(SCORES, st.data())
def test_an_interval_depends_on_nothing_but_its_clusters(scores: list[float], data: st.DataObject) -> None:
    clusters = data.draw(st.lists(st.integers(0, 3), min_size=len(scores), max_size=len(scores)))
    found = interval(mean_of("x", scores), clusters, resamples=50)
    assert interval(mean_of("x", scores), [f"n{c}" for c in clusters], resamples=50) == found, "names don't matter"
    if len(set(clusters)) > 1:
        assert found.low is not None and found.high is not None
        means = [np.mean([s for s, c in zip(scores, clusters, strict=True) if c == one]) for one in set(clusters)]
        assert min(means) - 1e-9 <= found.low <= found.high <= max(means) + 1e-9


def test_the_same_on_both_sides() -> None:
    measure = mean_of("x", [0.1, 0.7, 0.3])
    found = compare(measure, measure, ["a", "b", "c"])
    assert (found.difference, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_one_picture_has_no_interval() -> None:
    assert interval(mean_of("x", [0.2, 0.4]), ["a", "a"]) == Interval(None, None)
    found = compare(mean_of("x", [0.2, 0.4]), mean_of("x", [0.9, 0.9]), ["a", "a"])
    assert (found.low, found.high, found.p_value) == (None, None, 1.0), "one picture proves nothing"


def test_nothing_and_what_is_no_number() -> None:
    empty = mean_of("x", [])
    assert interval(empty, []) == Interval(None, None)
    found = compare(empty, empty, [])
    assert math.isnan(found.difference) and math.isnan(found.p_value) and found.low is None
    strange = mean_of("x", [0.5, math.nan, 0.1])
    assert interval(strange, ["a", "b", "c"]) == Interval(None, None)
    assert math.isnan(compare(strange, mean_of("x", [0.5, 0.2, 0.1]), ["a", "b", "c"]).p_value)


def test_what_is_no_pair_is_refused() -> None:
    with pytest.raises(AssertionError, match="are no pair"):
        compare(mean_of("x", [1, 2]), mean_of("x", [1]), ["a", "b"])
    with pytest.raises(AssertionError, match="2 items with 1 clusters"):
        interval(mean_of("x", [1, 2]), ["a"])


def test_blocks_change_nothing_and_bound_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(7)
    a, b = mean_of("x", generator.random(20_000)), mean_of("x", generator.random(20_000))
    clusters = list(range(20_000))

    def found(block: int) -> tuple[Interval, float, int]:
        monkeypatch.setattr(intervals, "BLOCK", block)
        tracemalloc.start()
        compared = compare(a, b, clusters, resamples=60, trials=60)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return Interval(compared.low, compared.high), compared.p_value, peak

    (small, p_small, less), (large, p_large, more) = found(60_000), found(2**22)
    assert [small.low, small.high] == pytest.approx([large.low, large.high], abs=1e-12)
    assert p_small == p_large
    assert less < 8e6 < more, "bytes"


def test_cider_has_an_interval_around_it() -> None:
    generator = np.random.default_rng(8)
    references = [texts(generator, 3) for _ in range(40)]
    measure: Measure = cider_d([several[0] for several in references], references)
    found = interval(measure, list(range(40)))
    assert found.low is not None and found.high is not None and found.low < measure.value < found.high
