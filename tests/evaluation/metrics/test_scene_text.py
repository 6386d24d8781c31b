"""Word accuracy: letters and digits, in any case."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixtell.evaluation.metrics.scene_text import word_accuracy


@pytest.mark.parametrize(
    ("read", "shown", "right"),
    [
        ("stop", "STOP", True),
        ("TABBY-CAT!", "tabby_cat", True),
        ("dont", "DON'T", True),
        ("two words", "twowords", True),
        ("24h", "24H", True),
        ("24", "24H", False),
        ("shop", "stop", False),
        ("caf", "café", True),
        ("", "stop", False),
        ("!", "&", False),
        ("", "&", False),
        (" & ", "&", True),
    ],
)
def test_what_is_right(read: str, shown: str, right: bool) -> None:
    assert word_accuracy([read], [shown]).value == right


@given(st.text("abAB01", min_size=1, max_size=6), st.text(".,-!_ é", max_size=4))
def test_case_and_marks_do_not_count(word: str, marks: str) -> None:
    assert word_accuracy([marks + word.swapcase() + marks], [word]).value == 1
    assert word_accuracy([word + "x"], [word]).value == 0


def test_the_share_of_right_ones() -> None:
    found = word_accuracy(["TABBY-CAT!", "shop"], ["tabby_cat", "stop"])
    assert found.name == "word accuracy" and list(found.items_N) == [1, 0] and found.value == 0.5
