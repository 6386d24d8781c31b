"""Exact match: one of the answers, or the same list in any order."""

from __future__ import annotations

import pytest

from pixtell.evaluation.metrics.exact import exact_match, plain


@pytest.mark.parametrize(
    ("candidate", "answers", "right"),
    [
        ("dog", ["dog"], True),
        (" Dog ", ["dog"], True),
        ("cat", ["dog", "cat"], True),
        ("dogs", ["dog"], False),
        ("coffee table", ["coffee_table"], True),
        ("coffee  _ table", ["coffee_table"], True),
        ("stand, cup", ["cup, stand"], True),
        ("stand,cup", ["cup, stand"], True),
        ("night_stand, cup", ["cup, night stand"], True),
        ("cup", ["cup, stand"], False),
        ("cup, stand, box", ["cup, stand"], False),
        ("cup stand", ["cup, stand"], False),
        ("book, book", ["book"], True),
        ("cup, stand", ["cup", "stand"], False),
        ("", ["dog"], False),
        ("", [""], True),
    ],
)
def test_what_is_right(candidate: str, answers: list[str], right: bool) -> None:
    assert exact_match([candidate], [answers]).value == right


def test_the_share_of_right_ones() -> None:
    found = exact_match(["1", "yes", "no"], [["1"], ["yes"], ["yes"]])
    assert found.name == "exact match"
    assert list(found.items_N) == [1, 1, 0] and found.value == pytest.approx(2 / 3)


def test_plain() -> None:
    assert plain("  Tabby_Cat\n s ") == "tabby cat s"
