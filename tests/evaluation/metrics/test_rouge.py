"""ROUGE-L by hand, and its bits against the table. Equality with pycocoevalcap is held in test_pycocoevalcap.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixtell.evaluation.metrics.rouge import BETA, rouge_l

WORDS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=80)


def f_measure(precision: float, recall: float) -> float:
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def table_lcs(a: list[str], b: list[str]) -> int:
    """The longest common subsequence as textbooks have it."""
    above = [0] * (len(b) + 1)
    for word in a:
        row = [0]
        for place, other in enumerate(b):
            row.append(above[place] + 1 if word == other else max(above[place + 1], row[-1]))
        above = row
    return above[-1]


def test_by_hand() -> None:
    # "the dog on grass" is common: 4 of 5 words said, 4 of 6 wanted.
    measure = rouge_l(["the dog lies on grass"], [["the big dog runs on grass"]])
    assert measure.value == pytest.approx(f_measure(4 / 5, 4 / 6))
    assert measure.name == "ROUGE-L"


def test_precision_and_recall_are_the_best_of_any_reference() -> None:
    # All of what is said is in the first, all of the second is said.
    assert rouge_l(["a b c"], [["a b c d e f g", "b"]]).value == pytest.approx(1)


@given(WORDS, WORDS)
def test_bits_are_the_table(a: list[str], b: list[str]) -> None:
    common = table_lcs(a, b)
    expected = f_measure(common / len(a), common / len(b)) if common else 0.0
    assert rouge_l([" ".join(a)], [[" ".join(b)]]).value == pytest.approx(expected, abs=1e-12)


def test_empty_texts_are_one_empty_word() -> None:
    assert rouge_l(["", "", "a"], [["a"], [""], [""]]).items_N.tolist() == [0.0, 1.0, 0.0]
