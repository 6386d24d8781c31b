"""Which questions captions answer: by hand, kind by kind, and the many that they leave open."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixtell.data import lexicon
from pixtell.data.askable import agreed, askable, told_number
from pixtell.data.phrases import said

DOG = [
    "A brown dog carries a stick through the snow .",
    "A brown dog is running in the snow with a stick in its mouth .",
    "The dog runs through snow .",
    "A dog holds a stick .",
    "a wet dog runs in deep snow",
]
WORDS = sorted(
    lexicon.words("""
    a the two three dog dogs man men woman boy girls brown black red blue shirt ball stick is are running sits jumping
    holding carries riding bike horse in on wearing with its mouth and snow grass , another player soccer
    """)
)


def answers(captions: list[str]) -> dict[str, str]:
    return {asked.question: asked.answer for asked in askable(captions)}


def test_a_picture_by_hand() -> None:
    found = answers(DOG)
    assert {question: answer for question, answer in found.items() if answer != "no"} == {
        "how many dogs are there?": "1",
        "what color is the dog?": "brown",
        "what is the dog holding?": "stick",
        "what is in the dog's mouth?": "stick",
        "what animal is in the picture?": "dog",
        "where is the dog?": "snow",
        "is there a dog?": "yes",
        "is there snow?": "yes",
        "is there a stick?": "yes",
        "is the dog running?": "yes",
    }
    assert found["is there a cat?"] == found["is there a man?"] == found["is the dog swimming?"] == "no"
    assert "is there a snowboard?" not in found, "where there is snow one may be"


def test_kinds_and_patterns() -> None:
    kinds = {asked.question: (asked.kind, asked.pattern) for asked in askable(DOG)}
    assert kinds["how many dogs are there?"] == ("number", "number dog")
    assert kinds["what is the dog holding?"] == ("object", "what is the dog holding?")
    assert kinds["is there a cat?"] == ("yes/no", "is there a cat?")
    person = askable(["a girl holds a red ball", "a girl holding a ball", "the girl in the park"])
    assert ("object", "what is the person holding?", "what is the girl holding?", "ball") in [
        (asked.kind, asked.pattern, asked.question, asked.answer) for asked in person
    ]


@pytest.mark.parametrize(
    ("captions", "question", "answer"),
    [
        (["A man in a red shirt", "a man wearing a red t-shirt", "a man"], "what color is the man's shirt?", "red"),
        (["two dogs run", "a dog chases another dog", "dogs"], "how many dogs are there?", "2"),
        (["a man and a woman", "a man with a woman", "two people"], "how many people are there?", "2"),
        (["a boy rides a bike", "a boy on his bicycle", "a bike"], "what is the boy riding?", "bike"),
        (["a soccer player runs", "men play soccer", "a ball"], "what sport is this?", "soccer"),
        (["a man sits", "a man is sitting on a chair", "an old man"], "is the man jumping?", "no"),
        (["a man sits", "a man is sitting on a chair", "an old man"], "is the man sitting?", "yes"),
    ],
)  # fmt: skip
def test_answers_by_hand(captions: list[str], question: str, answer: str) -> None:
    assert answers(captions)[question] == answer


@pytest.mark.parametrize(
    ("captions", "question"),
    [
        (["a brown dog", "a black dog", "a dog"], "what color is the dog?"),  # they differ
        (["a brown dog", "a dog", "a dog"], "what color is the dog?"),  # one alone says it
        (["a brown dog and a dog", "a brown dog", "two dogs"], "what color is the dog?"),  # of which dog?
        (["a man in a red shirt and a boy in a red shirt", "a man in a red shirt"], "what color is the boy's shirt?"),
        (["two dogs", "three dogs", "dogs"], "how many dogs are there?"),
        (["two men", "two men in a crowd", "two men"], "how many people are there?"),  # and the crowd
        (["two men", "two men in a crowd", "two men"], "how many men are there?"),
        (["two dogs", "two dogs", "two dogs", "a dog and two dogs"], "how many dogs are there?"),  # one saw more
        (["a dog", "a dog", "grass", "snow"], "how many dogs are there?"),  # two of four: others may go unmentioned
        (["a dog with a ball", "a dog holding a ball", "a dog holds a stick"], "what is the dog holding?"),
        (["a dog with a soccer ball", "a man gives a dog a soccer ball"], "what sport is this?"),
        (["a skier", "a slope", "a hill"], "is there a person?"),  # one caption for yes, and none for no
        (["someone on a wave", "a surfer", "surfing"], "is there a pool?"),
        (["a child plays", "a child", "a kid"], "is there a boy?"),
        (["a man plays a guitar", "a man stands", "a man"], "is the man sitting?"),  # nothing is against it
    ],
)
def test_what_is_not_asked(captions: list[str], question: str) -> None:
    assert question not in answers(captions)


def test_women_are_no_men() -> None:
    found = answers(["a woman sits", "a woman on a chair", "the lady"])
    assert found["is there a man?"] == "no" and found["is there a woman?"] == "yes"
    assert "is there a girl?" not in found and "is there a person?" not in found


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ([], None),
        (["a"], None),
        (["a", "a"], "a"),
        (["a", "b", "a"], None),
        (["a", "a", "b", "a"], "a"),
        (["a", "a", "a", "b", "c"], None),
    ],
)
def test_who_agrees(told: list[str], found: str | None) -> None:
    assert agreed(told) == found


@pytest.mark.parametrize(
    ("caption", "number"),
    [
        ("a cat", 0),
        ("a dog", 1),
        ("a dog and two puppies", 3),
        ("a dog licks the dog", 1),
        ("dogs", None),
        ("two dogs and the dog", None),
        ("a dog and the other dog", None),
    ],
)
def test_numbers_of_a_caption(caption: str, number: int | None) -> None:
    assert told_number(said(caption), frozenset({"dog"})) == number


@given(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join), min_size=1, max_size=5))
def test_one_answer_a_question_in_any_order(captions: list[str]) -> None:
    asked = askable(captions)
    assert len({one.question for one in asked}) == len(asked)
    shuffled = random.Random(1).sample(captions, len(captions))
    assert sorted(map(str, askable(shuffled))) == sorted(map(str, asked))


@pytest.mark.parametrize("question", sorted(answers(DOG)))
def test_one_caption_alone_answers_nothing_but_no(question: str) -> None:
    alone = answers(DOG[:1])
    assert alone.get(question, "no") == "no"
