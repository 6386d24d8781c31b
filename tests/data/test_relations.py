"""Who does what with what: by hand, and nothing of what is passive, vague or worn."""

from __future__ import annotations

import pytest

from pixtell.data.phrases import said
from pixtell.data.relations import relations_of


def told(caption: str) -> list[tuple[str, str]]:
    return [(r.way.question.format(r.subject.noun), r.object.noun) for r in relations_of(said(caption))]


@pytest.mark.parametrize(
    ("caption", "relations"),
    [
        ("A brown dog carries a big stick .", [("what is the dog holding?", "stick")]),
        ("A man in a red hat is holding up a sign", [("what is the man holding?", "sign")]),
        ("a dog runs with a tennis ball in its mouth", [("what is in the dog's mouth?", "ball")]),
        ("The girl sits on a wooden bench", [("what is the girl sitting on?", "bench")]),
        ("a boy riding on a bicycle", [("what is the boy riding?", "bike")]),
        ("A dog chases after a cat", [("what is the dog chasing?", "cat")]),
        ("the dog jumps over a log", [("what is the dog jumping over?", "log")]),
    ],
)
def test_relations_by_hand(caption: str, relations: list[tuple[str, str]]) -> None:
    assert told(caption) == relations


@pytest.mark.parametrize(
    "caption",
    [
        "a dog is chased by a man",
        "two men hold a sign",  # no one man of whom to ask
        "a man holding his hand",
        "a man riding down the street",
        "a woman holding a baby",
        "a man with a dog in the park holding a leash",  # which of them?
        "a boy sits on the grass",
        "a dog and a cat with a ball in its mouth",  # in whose?
    ],
)
def test_what_is_not_told(caption: str) -> None:
    assert told(caption) == []


def test_whose_mouth_it_is() -> None:
    """That of the only animal before it, whoever else is named."""
    caption = "a man and a dog with a ball in its mouth and a dog"
    assert told(caption) == [("what is in the dog's mouth?", "ball")]
