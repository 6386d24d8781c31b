"""CIDEr-D by hand, against a slow twin, and as a reward. Equality with pycocoevalcap is in test_pycocoevalcap.py."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixtell.errors import InputError
from pixtell.evaluation.metrics.cider import DocumentFrequencies, PreparedCider, cider_d

TEXT = st.lists(st.sampled_from("abcde"), max_size=7).map(" ".join)
ITEMS = st.lists(st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=3)), min_size=1, max_size=5)


def slow_cider(candidate: str, references: list[str], documents: list[list[str]]) -> float:
    """The formula, read from the paper and the authors' counts; `documents` are the references of all pictures."""
    frequency = Counter(ngram for texts in documents for ngram in set().union(*map(ngrams, texts)))

    def vector(text: str, order: int) -> dict[tuple[str, ...], float]:
        rarity = {ngram: math.log(len(documents)) - math.log(max(1, frequency[ngram])) for ngram in ngrams(text)}
        return {ngram: count * rarity[ngram] for ngram, count in ngrams(text).items() if len(ngram) == order}

    total = 0.0
    for reference in references:
        bigrams = [max(0, len(text.split()) - 1) for text in (candidate, reference)]
        penalty = math.exp(-((bigrams[0] - bigrams[1]) ** 2) / 72)
        for order in range(1, 5):
            mine, theirs = vector(candidate, order), vector(reference, order)
            length = math.hypot(*mine.values()) * math.hypot(*theirs.values())
            if length:
                shared = sum(min(mine[ngram], theirs[ngram]) * theirs[ngram] for ngram in mine.keys() & theirs)
                total += penalty * shared / length
    return 10 * total / 4 / len(references)


def ngrams(text: str) -> Counter[tuple[str, ...]]:
    words = text.split()
    return Counter(tuple(words[at : at + n]) for n in range(1, 5) for at in range(len(words) - n + 1))


@given(ITEMS)
def test_the_slow_twin(items: list[tuple[str, list[str]]]) -> None:
    references = [texts for _, texts in items]
    measure = cider_d([text for text, _ in items], references)
    slow = [slow_cider(text, texts, references) for text, texts in items]
    assert measure.items_N.tolist() == pytest.approx(slow, abs=1e-9)
    assert measure.value == pytest.approx(float(np.mean(slow)), abs=1e-9)


@given(ITEMS, st.lists(st.lists(TEXT, min_size=1, max_size=3), min_size=1, max_size=5))
def test_frequencies_of_other_documents(items: list[tuple[str, list[str]]], documents: list[list[str]]) -> None:
    candidates, references = [text for text, _ in items], [texts for _, texts in items]
    found = cider_d(candidates, references, DocumentFrequencies.of(documents))
    slow = [slow_cider(text, texts, documents) for text, texts in items]
    assert found.items_N.tolist() == pytest.approx(slow, abs=1e-9)


def test_by_hand() -> None:
    # Two pictures: every n-gram is in one of two documents and weighs log 2, so the cosines are plain counts.
    measure = cider_d(["a dog", "the cat"], [["a dog"], ["a red cat"]])
    # "a" is in both documents and weighs nothing. Unigrams: "dog" is "dog", 1. Bigrams: the same, 1. None longer.
    assert measure.items_N[0] == pytest.approx(10 * (1 + 1) / 4)
    # Unigrams: ("the", "cat") against ("red", "cat"), 1/2; no bigram; one bigram fewer, hence the penalty.
    assert measure.items_N[1] == pytest.approx(10 * (1 / 2) / 4 * math.exp(-1 / 72))
    assert measure.name == "CIDEr"


def test_one_picture_has_nothing_rare() -> None:
    assert cider_d(["a dog"], [["a dog"]]).value == 0.0
    frequencies = DocumentFrequencies.of([["a dog"], ["a cat"], ["a bus"]])
    assert cider_d(["a dog"], [["a dog"]], frequencies).value == pytest.approx(5.0)


def test_empty_texts_and_repetition() -> None:
    references = [["a dog runs", "the dog"], ["two cats"], ["a bus"]]
    assert cider_d(["", "two cats", ""], references).items_N.tolist() == [0.0, pytest.approx(5.0), 0.0]
    once, thrice = (cider_d([text, "x", "x"], references).items_N[0] for text in ("the dog", "the dog dog dog"))
    assert thrice < once, "saying it again gains nothing"
    assert math.isnan(cider_d([], []).value)


def test_items_without_references_are_named() -> None:
    with pytest.raises(InputError, match="2 items have no references, the first is item 1"):
        cider_d(["a", "b", "c"], [["a"], [], []])


@given(ITEMS, st.data())
def test_rewards_of_a_batch_are_those_of_each_alone(items: list[tuple[str, list[str]]], data: st.DataObject) -> None:
    references = [texts for _, texts in items]
    prepared = PreparedCider.of(references)
    assert len(prepared) == len(items)
    places = data.draw(st.lists(st.integers(0, len(items) - 1), max_size=8))
    captions = [data.draw(TEXT) for _ in places]
    found = prepared.score(places, captions)
    assert found.tolist() == pytest.approx(
        [slow_cider(text, references[place], references) for place, text in zip(places, captions, strict=True)],
        abs=1e-9,
    )


def test_places_and_captions_must_be_as_many() -> None:
    with pytest.raises(AssertionError, match="1 places for 2 captions"):
        PreparedCider.of([["a"]]).score([0], ["a", "b"])
