"""Phrases of captions: nouns, numbers and colours by hand, and nothing where the words are not known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixtell.data.phrases import said, singular


def told(caption: str) -> list[tuple[str, int | None, str]]:
    return [(phrase.noun, phrase.number, phrase.color) for phrase in said(caption).phrases]


@pytest.mark.parametrize(
    ("caption", "phrases"),
    [
        ("A black dog is being chase by two brown dogs .", [("dog", 1, "black"), ("dog", 2, "brown")]),
        ("the white and brown puppies", [("dog", None, "brown and white")]),
        ("A big , fluffy , tan dog", [("dog", 1, "tan")]),
        ("The man 's dark red t-shirt", [("man", 1, ""), ("shirt", 1, "red")]),
        ("a woman's blue life jacket", [("woman", 1, ""), ("life-jacket", 1, "blue")]),
        ("a couple of boys hold a soccer ball", [("boy", 2, ""), ("ball", 1, "")]),
        ("Dogs run on grass", [("dog", None, ""), ("grass", 1, "")]),
        ("A couple and the other dog", [("couple", None, ""), ("dog", None, "")]),
        ("a football player catches a football", [("player", 1, ""), ("ball", 1, "")]),
    ],
)
def test_phrases_by_hand(caption: str, phrases: list[tuple[str, int | None, str]]) -> None:
    assert told(caption) == phrases


@pytest.mark.parametrize(
    ("caption", "phrases"),
    [
        ("a man rock climbing", [("man", 1, "")]),  # no rock
        ("a boy swings", [("boy", 1, "")]),  # no swings
        ("boys watch a football game", [("boy", None, "")]),  # no ball
        ("a black and a white dog", [("dog", 1, "white")]),  # not "black and white"
        ("a brown mottled dog", [("dog", 1, "")]),  # who knows what is brown
        ("red, blue and green balls", [("ball", None, "")]),  # of which each has one
        ("two dog run", [("dog", None, "")]),  # a slip: one or two
    ],
)
def test_what_is_not_clear_is_not_said(caption: str, phrases: list[tuple[str, int | None, str]]) -> None:
    assert told(caption) == phrases


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("men", ("man", True)),
        ("dogs", ("dog", True)),
        ("puppies", ("puppy", True)),
        ("benches", ("bench", True)),
        ("dress", ("dress", False)),
        ("grass", ("grass", False)),
        ("running", ("running", False)),
    ],
)
def test_singulars(word: str, found: tuple[str, bool]) -> None:
    assert singular(word) == found


def test_new_and_known() -> None:
    phrases = said("a dog chases the dog and another dog").phrases
    assert [phrase.new for phrase in phrases] == [True, False, True]


def test_who_does_it() -> None:
    caption = said("A man in a red hat watches a dog while a boy is holding a ball")
    place = caption.words.index("holding")
    actor = caption.actor(place)
    assert actor is not None and actor.noun == "boy", "right before the verb, whoever is named before"
    assert caption.actor(1) is None
    far = said("A man with a dog in the park holding a leash")
    assert far.actor(far.words.index("holding")) is None, "it may be either"


@given(st.text(alphabet="adogsbrwnkhite 's,.-and", max_size=60))
def test_phrases_lie_one_after_another(caption: str) -> None:
    read = said(caption)
    end = 0
    for phrase in read.phrases:
        assert end <= phrase.start < phrase.end <= len(read.words)
        end = phrase.end
