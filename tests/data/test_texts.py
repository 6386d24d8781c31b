"""Rules for texts: tags for persons, words of a list, lengths."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixtell.data.texts import PERSON_TAG, TextRules, WordList, normal
from pixtell.errors import InputError


@pytest.mark.parametrize(
    "text",
    [
        "<PERSON> at the premiere",
        "actor <person> and friend",
        "by <PERSON_1>, 2010",
        "by <Person 2>",
        "[NAME] sings",
        "with </person>",
        "<first-name> waves",
        "{{person}} runs",
        "< PERSON > runs",
        "<people>",
    ],
)
def test_tags_for_persons(text: str) -> None:
    assert PERSON_TAG.search(text)
    assert TextRules().caption_fault(f"{text} and goes on") == "person"


@pytest.mark.parametrize(
    "text",
    ["a person at a desk", "two people [walking] home", "a <b>bold</b> person", "name: none", "5 < person > 3 cats"],
)
def test_no_tags(text: str) -> None:
    # The last is a tag to anybody but a mathematician.
    assert bool(PERSON_TAG.search(text)) == text.startswith("5")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a DAMN dog", True),
        ("damned if you do", False),
        ("damn!", True),
        ("what the HELL is that", True),
        ("what the  hell", True),
        ("what a hell", False),
        ("pure $h!t here", True),
        ("pure $h!ts here", False),
        ("d a m n", False),
        ("a well-known co-worker", True),
    ],
)
def test_words_of_a_list(tmp_path: Path, text: str, found: bool) -> None:
    file = tmp_path / "words.txt"
    file.write_text("\ufeff# offensive\ndamn\n\n  What the hell \n$h!t\nco-worker\n", encoding="utf-8")
    words = WordList.load(file)
    assert words.has(text) == found
    assert TextRules(words).fault(text) == ("words" if found else "")


def test_a_list_of_nothing_and_no_list(tmp_path: Path) -> None:
    assert not WordList.of(["", " "]).has("any text at all")
    with pytest.raises(InputError, match=r"none\.txt: no such list of words"):
        WordList.load(tmp_path / "none.txt")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match="can't be read as UTF-8 text"):
        WordList.load(tmp_path / "latin.txt")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a dog", "short"),
        ("a dog .", "short"),
        ("a dog runs", ""),
        ("don't run", "short"),
        ("one two three four", "long"),
    ],
)
def test_lengths_are_in_words(text: str, fault: str) -> None:
    assert TextRules(min_words=3, max_words=3).caption_fault(text) == fault


def test_texts_are_the_same_but_for_signs() -> None:
    assert normal("A dog, running.") == normal("a  DOG running !") == "a dog running"
