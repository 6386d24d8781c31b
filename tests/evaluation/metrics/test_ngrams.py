"""N-grams by array operations are those that a loop over words finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pixtell.evaluation.metrics.ngrams import ORDERS, WORDS, NgramIndex, distinct

TEXTS = st.lists(st.lists(st.sampled_from("abcdé7"), max_size=7).map(" ".join), max_size=6)


def slow_counts(text: str, order: int) -> Counter[tuple[str, ...]]:
    words = text.split()
    return Counter(tuple(words[start : start + order]) for start in range(len(words) - order + 1))


def spelled(index: NgramIndex, order: int, number: int) -> tuple[str, ...]:
    """The words of an n-gram, from its number back through its beginnings."""
    words = list(index.words)
    if order == 0:
        return (words[index.keys[0][number]],)
    begin, last = divmod(int(index.keys[order][number]), WORDS)
    return (*spelled(index, order - 1, begin), words[last])


def held(index: NgramIndex, texts: Sequence[str], order: int) -> list[Counter[tuple[str, ...]]]:
    """What the index counts in each text, in words; every n-gram must be known."""
    found: list[Counter[tuple[str, ...]]] = [Counter() for _ in texts]
    counts = index.count(texts)[order]
    for text, number, count in zip(counts.text_M, counts.ngram_M, counts.count_M, strict=True):
        found[text][spelled(index, order, int(number))] = int(count)
    return found


@given(TEXTS)
def test_counts_are_those_of_a_loop(texts: list[str]) -> None:
    index = NgramIndex.of(texts)
    for order in range(ORDERS):
        assert held(index, texts, order) == [slow_counts(text, order + 1) for text in texts]
        assert len(index.keys[order]) == len({ngram for text in texts for ngram in slow_counts(text, order + 1)})


@given(TEXTS, TEXTS)
def test_strange_ngrams_are_told_apart(known: list[str], texts: list[str]) -> None:
    index = NgramIndex.of(known)
    seen = [{ngram for text in known for ngram in slow_counts(text, order + 1)} for order in range(ORDERS)]
    for order, counts in enumerate(index.count(texts)):
        size = len(index.keys[order])
        for place, text in enumerate(texts):
            mine = counts.text_M == place
            expected = slow_counts(text, order + 1)
            assert sorted(counts.count_M[mine]) == sorted(expected.values())
            assert int((counts.ngram_M[mine] < size).sum()) == sum(ngram in seen[order] for ngram in expected)
        strange = {ngram for text in texts for ngram in slow_counts(text, order + 1)} - seen[order]
        assert len(set(counts.ngram_M[counts.ngram_M >= size].tolist())) == len(strange), "one number for each"


@given(TEXTS, TEXTS)
def test_an_extended_index_is_that_of_all_texts(known: list[str], texts: list[str]) -> None:
    old = NgramIndex.of(known)
    index, moves = old.extended(texts)
    for order in range(ORDERS):
        both = [*known, *texts]
        assert held(index, both, order) == [slow_counts(text, order + 1) for text in both]
        assert [spelled(index, order, int(new)) for new in moves[order]] == [
            spelled(old, order, number) for number in range(len(old.keys[order]))
        ]


def test_texts_are_cut_at_any_white_space_and_never_run_into_each_other() -> None:
    index = NgramIndex.of(["a\u00a0b\t c", "d"])
    assert list(index.words) == ["a", "b", "c", "d"]
    assert [len(keys) for keys in index.keys] == [4, 2, 1, 0], "there is no 'c d'"


@given(st.lists(st.integers(0, 5)))
def test_distinct(numbers: list[int]) -> None:
    found, counts = distinct(np.array(numbers, dtype=np.int64))
    assert dict(zip(found.tolist(), counts.tolist(), strict=True)) == Counter(numbers)
    assert found.tolist() == sorted(set(numbers))
