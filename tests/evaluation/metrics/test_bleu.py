"""BLEU by hand. That it equals pycocoevalcap's is held in test_pycocoevalcap.py."""

from __future__ import annotations

import math

import pytest

from pixtell.evaluation.metrics.bleu import bleu


def values(candidates: list[str], references: list[list[str]]) -> list[float]:
    return [measure.value for measure in bleu(candidates, references)]


def test_the_same_text_is_perfect() -> None:
    assert values(["a dog runs on grass"], [["a cat", "a dog runs on grass"]]) == pytest.approx([1, 1, 1, 1])


def test_ngrams_are_clipped_at_the_most_in_one_reference() -> None:
    # Papineni et al. 2002, section 2.1: seven times "the", of which two count.
    measured = bleu(["the the the the the the the"], [["the cat is on the mat", "there is a cat on the mat"]])
    assert measured[0].value == pytest.approx(2 / 7)
    assert [measure.name for measure in measured] == ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4"]


def test_by_hand() -> None:
    # 4 of 5 words, 2 of 4 pairs ("a dog", "the grass"), no triple of 3; four words too few.
    one, two, three, _ = values(["a dog on the grass"], [["a dog runs quickly over all of the grass"]])
    brevity = math.exp(1 - 9 / 5)
    assert one == pytest.approx(4 / 5 * brevity)
    assert two == pytest.approx(math.sqrt(4 / 5 * 2 / 4) * brevity)
    assert three < 1e-4


def test_brevity_is_measured_by_the_nearest_reference() -> None:
    # Lengths 3 and 5 are equally near to 4: the shorter counts, so nothing is lost.
    assert values(["a b c d"], [["a b c", "a b c d e"]])[0] == pytest.approx(1)
    assert values(["a b c d"], [["a b c d e", "a b"]])[0] == pytest.approx(math.exp(1 - 5 / 4))


def test_an_empty_text_scores_nothing() -> None:
    assert values([""], [["a dog"]]) == [0, 0, 0, 0]
    assert values(["", "a dog"], [["a dog"], ["a dog"]])[0] == pytest.approx(math.exp(-1))


def test_texts_and_references_must_be_as_many() -> None:
    with pytest.raises(ValueError):
        bleu(["a", "b"], [["a"]])
