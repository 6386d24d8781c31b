"""The public names: those of `pixtell.__all__` are those that docs/python.md documents, and all of them are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pixtell

PAGE = Path(__file__).resolve().parent.parent / "docs" / "python.md"


def documented() -> set[str]:
    """The names in the first column of the page's table."""
    return set(re.findall(r"^\| `(?:pixtell\.)?(\w+)[^`]*` \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE))


def test_all_is_what_is_documented() -> None:
    assert set(pixtell.__all__) == documented()
    assert len(pixtell.__all__) == len(set(pixtell.__all__))


@pytest.mark.parametrize("name", pixtell.__all__)
def test_every_name_is_there_and_says_what_it_is(name: str) -> None:
    value = getattr(pixtell, name)
    assert name == "PRESETS" or value.__doc__
    assert name in dir(pixtell)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Captoiner'"):
        pixtell.Captoiner  # noqa: B018
