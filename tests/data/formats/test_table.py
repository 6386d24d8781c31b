"""Rows on their way: ids that are taken, splits, rows of which nothing is said, pictures that are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixtell.data.formats.pictures import Pictures
from pixtell.data.formats.table import RowTable
from pixtell.data.row import Row
from pixtell.errors import ConfigError, InputError

from .made import touch


def table(**labels: str) -> RowTable:
    made = RowTable()
    for name, label in labels.items():
        made.row(name, f"f: {name}").label = label
    return made


def finish(made: RowTable, split: str | None = None, media: Path | None = None) -> list[str]:
    return [row.id for row in made.finish("f", split, Pictures(media))]


def test_ids_are_taken_once() -> None:
    made = table(a="x")
    assert made.row("a", "there") is made.drafts["a"]
    assert made.new("a", "there") is None and made.new("b", "there") is made.drafts["b"]
    for place in ("there", "elsewhere"):
        made.ask(made.drafts["a"], place, "what?", id="q")
    made.ask(made.drafts["a"], "there", "who?")
    assert [one.id for one in made.drafts["a"].questions] == ["q", "a#1"]
    assert [one.message for one in made.problems] == [
        "there: the id a is taken by f: a",
        "elsewhere: the question id q is taken",
    ]


def test_messages_are_one_line() -> None:
    made = RowTable()
    made.problem("broken", "a\nb", ": c\n d")
    made.problem("broken", "caf\udce9", "")
    assert [one.message for one in made.problems] == ["a?b: c? d", "caf?"]


def test_rows_of_which_nothing_is_said() -> None:
    some, none = table(a="", b="x"), table(a="", b="")
    assert finish(some) == ["b"] and [one.code for one in some.problems] == ["no_texts"]
    assert finish(none) == ["a", "b"] and not none.problems


def test_splits() -> None:
    made = table(a="x", b="x", c="x")
    for name, split in (("a", "train"), ("b", "restval")):
        made.drafts[name].split = split
    assert finish(made) == ["a", "b", "c"], "restval is train: there is nothing to choose"
    assert finish(made, "train") == ["a", "b"] and finish(made, "restval") == ["b"]
    made.drafts["c"].split = "validation"
    assert finish(made, "val") == finish(made, "validation") == ["c"]
    with pytest.raises(ConfigError, match=r"holds the splits train \(2 rows\), val \(1 rows\): choose one"):
        finish(made)
    with pytest.raises(ConfigError, match="--split x: f has no splits: leave it out"):
        finish(table(a="x"), "x")


def test_pictures_that_are_not_there(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "1/c.jpg", "2/c.jpg")
    made = table(a="x", b="x", c="x")
    for name, draft in made.drafts.items():
        draft.names = (f"{name}.jpg",)
    rows = made.finish("f", None, Pictures(tmp_path))
    assert [(row.id, row.media and row.media.path.name) for row in rows] == [("a", "a.jpg"), ("b", "b.jpg")]
    assert [one.code for one in made.problems] == ["missing", "ambiguous"]
    assert made.finish("f", None, Pictures(None))[1] == Row("b", label="x", media=rows[1].media)


def test_nothing_left() -> None:
    with pytest.raises(InputError, match="f: holds no rows"):
        finish(RowTable())
    made = RowTable()
    for number in range(3):
        made.problem("broken", f"f: line {number}", " is bad")
    with pytest.raises(InputError, match=r"f: line 0 is bad \(and 2 more problems\)") as caught:
        finish(made)
    assert caught.value.code == "broken"
