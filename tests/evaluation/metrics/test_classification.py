"""Classification by generation: the name and nothing else, or the name among other words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixtell.evaluation.metrics.classification import name_accuracy


@pytest.mark.parametrize(
    ("text", "name", "is_it", "holds_it"),
    [
        ("tabby cat", "tabby_cat", True, True),
        ("Tabby  Cat", "tabby cat", True, True),
        ("a tabby cat on a sofa.", "tabby_cat", False, True),
        ("a tabby cat.", "tabby_cat", False, True),
        ("a cat that is tabby", "tabby_cat", False, False),
        ("a caterpillar", "cat", False, False),
        ("a bobcat", "cat", False, False),
        ("the cat's tail", "cat", False, True),
        ("tabby cats", "tabby_cat", False, False),
        ("a potter's wheel", "potter's wheel", False, True),
        ("c", "c++", False, False),
        ("written in c++ today", "c++", False, True),
        ("", "cat", False, False),
        ("a cat.", "_", False, False),
    ],
)
def test_what_counts(text: str, name: str, is_it: bool, holds_it: bool) -> None:
    assert [measure.value for measure in name_accuracy([text], [name])] == [is_it, holds_it]


@given(st.text("ab _.", max_size=10), st.text("ab _", max_size=6).filter(lambda name: name.strip("_ ")))
def test_what_is_the_name_holds_it(text: str, name: str) -> None:
    top, contains = (measure.value for measure in name_accuracy([text], [name]))
    assert top <= contains
    words, wanted = text.replace("_", " ").replace(".", " . ").split(), name.replace("_", " ").split()
    held = any(words[start : start + len(wanted)] == wanted for start in range(len(words)))
    assert contains == held


def test_two_measures() -> None:
    found = name_accuracy(["Tabby cat", "a stop sign"], ["tabby_cat", "stop"])
    assert [(measure.name, measure.value) for measure in found] == [("top-1", 0.5), ("contains", 1.0)]
