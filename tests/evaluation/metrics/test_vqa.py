"""VQA accuracy against the formula written out, and what the official normalisation makes of the usual answers.

Source of the cases: github.com/GT-Vision-Lab/VQA, commit a013f004, PythonEvaluationTools/vqaEvaluation/vqaEval.py.
Each was compared with what its `processPunctuation` and `processDigitArticle` do, as were 200,000 made answers.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pixtell.evaluation.metrics.vqa import CONTRACTIONS, normalize, vqa_accuracy

NORMALISED = [
    # capitals, articles and spaces
    ("Yes", "yes"),
    ("a dog", "dog"),
    ("The Dog", "dog"),
    ("an  apple ", "apple"),
    ("the", ""),
    ("a\nred\tbus", "red bus"),
    # number words, up to ten; "none" is a number too (issue 7 there)
    ("two", "2"),
    ("Ten", "10"),
    ("eleven", "eleven"),
    ("none", "0"),
    ("zero", "0"),
    ("one on left", "1 on left"),
    # contractions without their apostrophe, and the table's slips
    ("dont", "don't"),
    ("it isnt", "it isn't"),
    ("couldnt've", "couldn't've"),
    ("don't", "don't"),
    ("Im", "im"),
    ("id've", "id've"),
    ("somebody'd", "somebodyd"),
    # punctuation: beside a space it goes, elsewhere it becomes a space
    ("yes!", "yes"),
    ("yes, sir", "yes sir"),
    ("red,white", "red white"),
    ("red/white", "red white"),
    ("t-shirt", "t shirt"),
    ("t-shirt - blue", "tshirt blue"),
    ("(left)", "left"),
    ("stop_sign", "stop sign"),
    ("10:30", "10:30"),
    ("dog's", "dog's"),
    # periods and decimal points; commas between digits
    ("3.5", "3.5"),
    ("3.", "3"),
    ("U.S.", "us"),
    ("a.m.", "am"),
    (".5", ".5"),
    ("1,000", "1000"),
    ("1,000,000.50", "1000000.50"),
    ("1,000 red-white", "1000 redwhite"),
    ("." * 40, "." * 8),
    ("", ""),
]
ANSWERS = st.sampled_from(["yes", "Yes", "a yes", "yes.", "no", "No", "2", "two", "Two"])


def written_out(candidate: str, answers: list[str]) -> float:
    """The official score of answers that need no cleaning of line ends: leave one out, count, average."""
    if len(set(answers)) > 1:
        candidate, answers = normalize(candidate), [normalize(answer) for answer in answers]
    scores = []
    for left_out in range(len(answers)):
        others = answers[:left_out] + answers[left_out + 1 :]
        scores.append(min(1, len([other for other in others if other == candidate]) / 3))
    return sum(scores) / len(scores)


@pytest.mark.parametrize(("answer", "expected"), NORMALISED)
def test_normalises_as_the_official_code(answer: str, expected: str) -> None:
    assert normalize(answer) == expected


def test_the_table_of_contractions_is_whole() -> None:
    """Of the official 120, four have capitals that nothing matches and two are what they mean already."""
    assert len(CONTRACTIONS) == 120 - 4 - 2
    for spelling, meant in CONTRACTIONS.items():
        assert spelling != meant and re.sub("'", "", spelling) == re.sub("'", "", meant)
        assert spelling == spelling.lower() and meant not in CONTRACTIONS


@given(ANSWERS, st.lists(ANSWERS, min_size=10, max_size=14))
@example("yes", ["yes"] * 10)
@example("Yes", ["yes"] * 10)
@example("yes", ["yes"] * 3 + ["no"] * 7)
def test_ten_answers_or_more_score_by_the_formula(candidate: str, answers: list[str]) -> None:
    assert vqa_accuracy([candidate], [answers]).value == pytest.approx(written_out(candidate, answers), abs=1e-12)


@given(ANSWERS, st.lists(ANSWERS, min_size=5, max_size=5))
def test_five_answers_score_as_if_each_was_written_twice(candidate: str, answers: list[str]) -> None:
    """OK-VQA (Marino et al. 2019) has five answers and writes each twice."""
    assert vqa_accuracy([candidate], [answers]).value == pytest.approx(written_out(candidate, answers * 2), abs=1e-12)


@given(ANSWERS, st.lists(ANSWERS, min_size=1, max_size=12))
def test_a_score_is_a_share_and_has_no_order(candidate: str, answers: list[str]) -> None:
    score = vqa_accuracy([candidate], [answers]).value
    assert 0 <= score <= 1
    assert vqa_accuracy([candidate], [answers[::-1]]).value == score


@pytest.mark.parametrize(("people", "score"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (9, 1.0)])
def test_how_many_agree(people: int, score: float) -> None:
    answers = ["cat"] * people + [f"{n}" for n in range(10 - people)]
    assert vqa_accuracy(["a cat"], [answers]).value == pytest.approx(score)


def test_the_same_from_all_ten_is_not_normalised() -> None:
    """As the official code; its author on why: issue 14 there."""
    assert vqa_accuracy(["Black."], [["black"] * 10]).value == 0
    assert vqa_accuracy(["The Who"], [["The Who"] * 10]).value == 1
    for spaced in (" The Who ", "The\nWho", "The\tWho"):
        assert vqa_accuracy([spaced], [["The Who"] * 10]).value == 1
        assert vqa_accuracy(["The Who"], [[spaced] * 10]).value == 1
    assert vqa_accuracy(["Black."], [["black"] * 9 + ["Black"]]).value == 1


@pytest.mark.parametrize(
    ("answers", "score"),
    [(["yes"], 1.0), (["no"], 0.0), (["A yes!"], 1.0), (["yes", "no"], 1.0), (["yes", "no", "no", "no"], 0.75)],
)
def test_few_answers_stand_for_ten(answers: list[str], score: float) -> None:
    assert vqa_accuracy(["Yes"], [answers]).value == pytest.approx(score)


def test_the_measure_is_the_mean_of_its_items() -> None:
    found = vqa_accuracy(["cat", "dog"], [["cat"] * 3 + ["dog"] * 7] * 2)
    assert found.name == "VQA accuracy"
    assert list(found.items_N) == pytest.approx([0.9, 1.0])
    assert found.value == pytest.approx(0.95) and found.select([0]).value == pytest.approx(0.9)
