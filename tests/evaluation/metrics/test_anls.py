"""ANLS: the quick edit distance against the table it stands for, the threshold, and the best of several answers."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pixtell.evaluation.metrics.anls import anls, levenshtein

WORDS = st.text("abcé ", max_size=12)


def slow_levenshtein(one: str, other: str) -> int:
    """Wagner and Fischer's table, row by row."""
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, 1):
        before, row = row, [place]
        for column, against in enumerate(other, 1):
            row.append(min(before[column] + 1, row[-1] + 1, before[column - 1] + (letter != against)))
    return row[-1]


@given(WORDS, WORDS)
@example("", "")
@example("", "abc")
@example("abc", "")
@example("kitten", "sitting")
@example("a" * 70, "b" * 3 + "a" * 66)
def test_the_quick_distance_is_the_slow_one(one: str, other: str) -> None:
    assert levenshtein(one, other) == slow_levenshtein(one, other) == levenshtein(other, one)


@given(st.text(max_size=200), st.text(max_size=200))
def test_long_texts_of_any_letters(one: str, other: str) -> None:
    assert levenshtein(one, other) == slow_levenshtein(one, other)


@pytest.mark.parametrize(
    ("candidate", "answers", "score"),
    [
        ("coca cola", ["coca cola"], 1.0),
        ("Coca  COLA\n", ["coca cola"], 1.0),
        ("coca-cola", ["coca cola"], 1 - 1 / 9),
        ("pepsi", ["coca cola"], 0.0),
        ("abxx", ["abcd"], 0.5),  # just a half counts
        ("axxx", ["abcd"], 0.0),
        ("abcd", ["pepsi", "abce", "abcd "], 1.0),
        ("", ["abc"], 0.0),
        ("", [""], 1.0),
    ],
)
def test_scores(candidate: str, answers: list[str], score: float) -> None:
    assert anls([candidate], [answers]).value == pytest.approx(score)


@given(st.text(max_size=8), st.lists(st.text(max_size=8), min_size=1, max_size=3))
def test_a_score_is_none_or_at_least_a_half(candidate: str, answers: list[str]) -> None:
    score = anls([candidate], [answers]).value
    assert score == 0 or 0.5 <= score <= 1
    assert anls([candidate], [[*answers, candidate]]).value == 1


def test_the_measure_is_the_mean_of_its_items() -> None:
    found = anls(["abcd", "abxx"], [["abcd"], ["abcd"]])
    assert found.name == "ANLS" and list(found.items_N) == [1, 0.5] and found.value == 0.75
