"""Banned words in whatever pieces: against every text of random vocabularies, and models that want to say them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixtell.config import DecodeOptions
from pixtell.constraints import banned_words, spellings
from pixtell.decoding import Prompt, generate
from pixtell.decoding.words import BannedWords, Piece, Spellings
from pixtell.tokenizer import Tokenizer

from .table_model import CLS, SEP, TableCache, TableModel

SPECIALS = ("[PAD]", "[CLS]", "[SEP]", "[UNK]")  # as the table model numbers them
SPELLING = (*SPECIALS, "red", "dog", "do", "d", "r", "##g", "##og", "##ed", "##s", "dogs", "-", "##-", "##dog", "Dog")
LENGTH = 5
STRATEGIES = [
    DecodeOptions(beams=1, max_new_tokens=LENGTH),
    DecodeOptions(beams=1, temperature=2.0, seed=3, results=20, max_new_tokens=LENGTH),
    DecodeOptions(beams=6, results=6, max_new_tokens=LENGTH),
    DecodeOptions(beams=6, results=6, max_new_tokens=LENGTH, scoring="transformers"),
]


def says(tokenizer: Tokenizer, ids: tuple[int, ...], phrases: list[str]) -> bool:
    """The slow twin: the text is put together, and its words are looked through."""
    text = f" {' '.join(tokenizer.words(tokenizer.decode(ids)))} "
    return any(f" {' '.join(words)} " in text for phrase in phrases if (words := tokenizer.words(phrase)))


def stopped(tokenizer: Tokenizer, phrases: list[str], *pieces: str) -> list[str]:
    """The pieces that a filter forbids behind others."""
    ids = [tokenizer.vocabulary.index(piece) for piece in pieces]
    return [tokenizer.vocabulary[token] for token in sorted(banned_words(phrases, tokenizer).forbidden(ids))]


def test_every_spelling_of_a_word_is_stopped_and_no_other_word() -> None:
    tokenizer = Tokenizer(SPELLING)
    assert stopped(tokenizer, ["dog"]) == ["dog", "##dog", "Dog"], "`##dog` at the beginning is read as it stands"
    assert stopped(tokenizer, ["dog"], "do") == ["dog", "##g", "Dog"]
    assert stopped(tokenizer, ["dog"], "do", "[PAD]") == ["dog", "##g", "Dog"]
    assert stopped(tokenizer, ["dog"], "d") == ["dog", "##og", "Dog"]
    assert stopped(tokenizer, ["dog"], "r") == ["dog", "Dog"]
    assert stopped(tokenizer, ["dog"], "red", "##-") == ["dog", "##dog", "Dog"], "a mark ends a word"
    assert stopped(tokenizer, ["red  DOG"], "r", "##ed", "d") == ["##og"]
    assert stopped(tokenizer, ["red dog"], "do") == []
    assert stopped(tokenizer, ["dogs"], "do", "##g") == ["##s", "dogs"]
    assert stopped(tokenizer, [""], "do") == []


def test_marks_that_are_closed_up_spell_too() -> None:
    tokenizer = Tokenizer((*SPECIALS, "do", "n", "'", "t", "don", "x"))
    assert tokenizer.decode([4, 5, 6, 7]) == "don't"
    assert stopped(tokenizer, ["don't"], "do", "n", "'") == ["t"]
    assert stopped(tokenizer, ["don"], "do", "n") == ["'", "don"]
    assert stopped(tokenizer, ["don't"], "x", "n", "'") == []


pieces = st.builds(str.__add__, st.sampled_from(["", "##"]), st.text("abC-é中\u0301", min_size=1, max_size=3))


@given(
    vocabulary=st.lists(pieces, min_size=1, max_size=6, unique=True),
    phrases=st.lists(st.text("ab c-#é", min_size=1, max_size=5), min_size=1, max_size=3),
)
@settings(max_examples=150)
def test_exactly_what_would_complete_a_phrase_is_forbidden(vocabulary: list[str], phrases: list[str]) -> None:
    tokenizer = Tokenizer([*SPECIALS, *vocabulary])
    banned = banned_words(phrases, tokenizer)
    tokens = [token for token in range(tokenizer.vocab_size) if token != SEP]
    texts: list[tuple[int, ...]] = [()]
    for _ in range(3):
        following = []
        for ids in texts:
            expected = {token for token in tokens if says(tokenizer, (*ids, token), phrases)}
            assert banned.forbidden(ids) == expected, (ids, vocabulary, phrases)
            following += [(*ids, token) for token in tokens if token not in expected]
        texts = following[:60]


@pytest.mark.parametrize("options", STRATEGIES, ids=str)
def test_a_model_that_wants_to_say_it_never_does(options: DecodeOptions) -> None:
    tokenizer = Tokenizer(SPELLING)
    phrases = ["dog", "red -"]
    longing = torch.tensor([2.0 * any(letter in "dog" for letter in piece) for piece in SPELLING])
    said = {True: 0, False: 0}
    for seed, banned in itertools.product(range(15), [True, False]):
        model = TableModel(seed, tokenizer.vocab_size, sep_bonus=0.0)
        plain = model.logits
        model.logits = lambda medium, ids, plain=plain: plain(medium, ids) + longing  # type: ignore[method-assign]
        filters: list[BannedWords] = [banned_words(phrases, tokenizer)] if banned else []
        for text in generate(model, TableCache([0]), [Prompt(0, (CLS,))], options, filters)[0]:
            said[banned] += says(tokenizer, text.ids, phrases)
    assert said[True] == 0 and said[False] > 5


class Looked(tuple[Piece | None, ...]):
    """Pieces that count how often one of them is looked at."""

    looks = 0

    def __getitem__(self, place: Any) -> Any:
        self.looks += 1
        return super().__getitem__(place)

    def __iter__(self) -> Iterator[Piece | None]:
        for piece in super().__iter__():
            self.looks += 1
            yield piece


def test_few_looks_whatever_the_text_and_the_vocabulary() -> None:
    """Of a text of 41 pieces the last few are looked at, and of a vocabulary of 35,156 pieces no others."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(letter) for letter in itertools.product(letters, letters, letters)]
    tokenizer = Tokenizer([*SPECIALS, *words, *(f"##{word}" for word in words)])
    spelled = Spellings(spellings(tokenizer).pieces)
    banned = BannedWords([("abcdef",), ("dog",)], spelled)
    spelled.pieces = pieces = Looked(spelled.pieces)
    ids = [tokenizer.vocabulary.index(piece) for piece in ("xyz",) * 40 + ("abc",)]
    assert {tokenizer.vocabulary[token] for token in banned.forbidden(ids)} == {"##def", "dog"}
    assert len(ids) == 41 and 0 < pieces.looks <= 5
