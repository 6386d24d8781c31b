"""Words that a text must begin with, and writing that it must not read out: they hold in every search, beams too."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY_VOCABULARY

import pixtell
from pixtell.captioner import Captioner
from pixtell.config import DecodeOptions
from pixtell.constraints import closed_list, filters_of, opening, writing
from pixtell.errors import ConfigError
from pixtell.tokenizer import Tokenizer

WORDS = ("a", "dog", "dogs", "sign", "that", "says", "stop", "7", "42", "##7", "##s", "'", '"', "##ly")
PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS)
TOKENIZER = Tokenizer(PIECES)
SEARCHES: list[dict[str, Any]] = [
    {"beams": 1},
    {"beams": 4},
    {"beams": 4, "scoring": "transformers", "length_penalty": 1.0},
    {"beams": 3, "results": 3},
    {"beams": 1, "temperature": 3.0, "seed": 5, "results": 4},
]


@pytest.fixture(scope="module")
def captioner(tiny_model: Path) -> Captioner:
    return pixtell.load(str(tiny_model))


@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_texts_begin_with_the_words_and_go_on(captioner: Captioner, photos: list[Path], search: dict[str, Any]) -> None:
    options = DecodeOptions(start_with="the red dog", max_new_tokens=8, **search)
    plain = DecodeOptions(max_new_tokens=8, **search)
    assert not any(text.text.startswith("the red dog") for text in captioner.caption(photos, plain))
    for caption in captioner.caption(photos, options):
        for text in (caption, *caption.alternatives):
            assert text.text.startswith("the red dog")
            assert 3 < len(text.token_ids) <= 8
            assert TINY_VOCABULARY[text.token_ids[3]] != "##s", "the last of the words stays as it is"
            assert len(text.token_logprobs) - len(text.token_ids) in (0, 1)


def test_what_follows_depends_on_the_words_and_the_picture(captioner: Captioner, photos: list[Path]) -> None:
    texts = {captioner.caption(str(photo), start_with=words).text for photo in photos for words in ("a girl", "snow")}
    assert len({text.removeprefix("a girl").removeprefix("snow") for text in texts}) > 2


def test_an_answer_and_a_stream_begin_with_the_words_too(captioner: Captioner, photos: list[Path]) -> None:
    assert captioner.ask(str(photos[0]), "who is it?", start_with="a boy").text.startswith("a boy ")
    assert "".join(captioner.stream(str(photos[0]), start_with="a boy", beams=1)).startswith("a boy ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start_with": "a zebra"}, "can't spell it"),
        ({"start_with": "  "}, "can't spell it"),
        ({"start_with": "a dog", "max_new_tokens": 2}, "takes 2 pieces of max_new_tokens 2"),
        ({"start_with": "a dog", "choices": ("a cat",)}, "both say what the text is"),
        ({"start_with": "a dog", "banned": ("boy", "Dog")}, "says 'Dog', which is banned"),
        ({"start_with": "a dog", "banned": ("A  dog",)}, "says 'A  dog', which is banned"),
        ({"start_with": "a boy a boy", "no_repeat_ngram": 2}, "repeats itself, which no_repeat_ngram 2 forbids"),
        ({"choices": ("a dog", "dog"), "banned": ("dog",)}, "every one of them holds something banned"),
        ({"choices": ("a dog", "dog"), "min_new_tokens": 3}, "choices take up to 2 pieces, min_new_tokens 3"),
    ],
)
def test_words_that_cannot_be_meant(
    captioner: Captioner, photos: list[Path], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        captioner.caption(str(photos[0]), **changes)


def test_the_opening_knows_what_would_lengthen_it() -> None:
    ids = {piece: number for number, piece in enumerate(PIECES)}
    found = opening("a dog", TOKENIZER)
    assert found.words == (ids["a"], ids["dog"])
    assert set(found.not_after) == {ids["##7"], ids["##s"], ids["##ly"], ids["[SEP]"]}


def test_writing_is_digits_and_quotation_marks() -> None:
    assert {PIECES[number] for (number,) in writing(TOKENIZER)} == {"7", "42", "##7", '"'}


@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_no_text_keeps_writing_out(tiny_model: Path, photos: list[Path], search: dict[str, Any]) -> None:
    """What the model likes best to say is made writing: without the option it says it, with it never."""
    captioner = pixtell.load(str(tiny_model))
    options = DecodeOptions(max_new_tokens=8, **search)
    said = [text.token_ids for one in captioner.caption(photos, options) for text in (one, *one.alternatives)]
    often = Counter(token for ids in said for token in ids).most_common(2)
    pieces = list(TINY_VOCABULARY)
    for (token, _), writing_piece in zip(often, ("42", "says"), strict=False):
        pieces[token] = writing_piece
    captioner.tokenizer = Tokenizer(pieces)
    plain = captioner.caption(photos, options)
    assert any("42" in text.text for caption in plain for text in (caption, *caption.alternatives))
    for caption in captioner.caption(photos, options, no_text=True):
        for text in (caption, *caption.alternatives):
            assert not any(character.isdigit() for character in text.text)
            assert "says" not in text.text.split()


def test_nothing_asked_is_no_filter() -> None:
    assert filters_of(DecodeOptions(), TOKENIZER) == []
    assert len(filters_of(DecodeOptions(banned=("dog",), no_text=True, start_with="a sign"), TOKENIZER)) == 3


def test_what_people_type_is_a_list() -> None:
    options = DecodeOptions(banned=["stop"], choices=["a dog", "a sign"])  # type: ignore[arg-type]
    assert len(filters_of(options, TOKENIZER)) == 2


@pytest.mark.parametrize("words", ["a sign that says", "42 dogs"])
def test_writing_cannot_be_begun_with_and_kept_out(words: str) -> None:
    with pytest.raises(ConfigError, match="reads writing out, which no_text forbids"):
        filters_of(DecodeOptions(start_with=words, no_text=True), TOKENIZER)


def test_a_choice_that_is_banned_leaves_the_others() -> None:
    assert len(filters_of(DecodeOptions(choices=("a dog", "a sign"), banned=("dog",)), TOKENIZER)) == 2


def test_a_closed_list_tells_all_that_is_wrong() -> None:
    with pytest.raises(ConfigError, match=r"(?s)2 problems.*'' has no letters.*'a dog' and 'A  dog' are the same"):
        closed_list("labels", ["", "a dog", "A  dog", "sign"], TOKENIZER)
    assert closed_list("labels", ["a dog", "sign"], TOKENIZER) == [(4, 5), (7,)]
