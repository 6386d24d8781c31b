"""What is done to texts: openings go, words are replaced whole, and what is put around a text leaves it as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixtell.batch.controls import Controls, parse_replacements
from pixtell.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a photo of a dog", "a dog"),
        ("a black and white photo of two men", "two men"),
        ("An image of the sea", "the sea"),
        ("this is a picture of a cat", "a cat"),
        ("a close-up of a flower", "a flower"),
        ("the picture shows a boat", "a boat"),
        ("a photo of", "a photo of"),
        ("a photographer of birds", "a photographer of birds"),
        ("a dog beside a photo of a cat", "a dog beside a photo of a cat"),
        ("a view of the city", "the city"),
    ],
)
def test_openings_are_stripped(text: str, expected: str) -> None:
    assert Controls(strip_openings=True).apply(text) == expected
    assert Controls().apply(text) == text


def test_the_order_is_openings_words_surroundings() -> None:
    controls = Controls(
        prefix="by night:",
        suffix=", 35mm",
        trigger="sks style",
        replace=(("dog", "wolf"), ("wolf", "fox")),
        strip_openings=True,
    )
    assert controls.apply("a photo of a dog") == "sks style, by night: a fox, 35mm"
    assert controls.apply("") == "", "nothing is put around nothing"


def test_only_whole_words_are_replaced_in_any_case() -> None:
    controls = Controls(replace=(("cat", r"\1 dog"), ("t-shirt", "")))
    assert controls.apply("a Cat, a category, a bobcat and a cat's T-shirt") == (
        r"a \1 dog, a category, a bobcat and a \1 dog's"
    )


@pytest.mark.parametrize(
    ("prefix", "suffix", "expected"),
    [("a:", "end", "a: x end"), ("a: ", " end", "a: x end"), ("", ", end", "x, end"), ("", "!", "x!")],
)
def test_surroundings_are_parted_by_one_space(prefix: str, suffix: str, expected: str) -> None:
    assert Controls(prefix=prefix, suffix=suffix).apply("x") == expected


@given(st.text(), st.text(min_size=1), st.text(min_size=1))
def test_the_text_stands_whole_between_its_surroundings(text: str, prefix: str, suffix: str) -> None:
    plain = Controls().apply(text)
    written = Controls(prefix=prefix, suffix=suffix).apply(text)
    if plain:
        assert written.startswith(prefix) and written.endswith(suffix)
        assert written[len(prefix) : len(written) - len(suffix)].strip() == plain
    else:
        assert written == ""


def test_replacements_are_read() -> None:
    assert parse_replacements(["man=person", "blurry =", "a=b=c"]) == (("man", "person"), ("blurry", ""), ("a", "b=c"))
    with pytest.raises(ConfigError, match="lacks its '='"):
        parse_replacements(["man"])
    with pytest.raises(ConfigError, match="nothing to look for"):
        Controls(replace=parse_replacements(["=x"]))
