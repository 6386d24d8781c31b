"""Fields of objects by kind, and JSON that breaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pixtell.data.formats.entry import (
    Entry,
    Misshapen,
    encodable,
    kind_of,
    load_json,
    numbered,
    parse_json,
    printable,
    text_lines,
)
from pixtell.errors import InputError

from .made import write

ENTRY = Entry({"id": 7, "score": 0.5, "name": "x", "none": None, "list": ["a", 2], "one": "b", "objects": [{"k": "v"}]})


def test_fields() -> None:
    assert (ENTRY.text("id"), ENTRY.text("score"), ENTRY.text("none", "name"), ENTRY.text("other")) == (
        "7",
        "0.5",
        "x",
        "",
    )
    assert (ENTRY.texts("list"), ENTRY.texts("one"), ENTRY.texts("none")) == (["a", "2"], ["b"], [])
    assert [one.text("k") for one in ENTRY.entries("objects")] == ["v"] and ENTRY.entries("other") == []
    assert ENTRY.has("other", "id") and not ENTRY.has("none", "other")
    assert ENTRY.need("none", "id") == "7"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"id": True}, "has true or false in `id` where a text belongs"),
        ({"id": {}}, "has an object in `id` where a text belongs"),
        ({"id": ["a"]}, "has a list in `id` where a text belongs"),
        ({"id": None}, "has no `id`"),
        ({"id": ""}, "has no `id`"),
        ([], "is a list where an object belongs"),
        (None, "is null where an object belongs"),
    ],
)
def test_what_is_misshapen(value: Any, words: str) -> None:
    with pytest.raises(Misshapen, match=f"^{words}$"):
        Entry(value).need("id")


def test_lists_that_are_misshapen() -> None:
    with pytest.raises(Misshapen, match="has an object in `objects` where a text belongs"):
        ENTRY.texts("objects")
    with pytest.raises(Misshapen, match="has a text in `list` where objects belong"):
        ENTRY.entries("list")


def test_texts_can_be_written_and_printed() -> None:
    half = parse_json('{"a": "\\ud83d caf\u00e9 \\ud83d\\ude00"}')
    assert Entry(half).text("a") == "? caf\u00e9 \U0001f600"
    assert [encodable(text) for text in ("a", "\u00e9", "\udce9")] == ["a", "\u00e9", "?"]
    assert printable("a\nb\x1b\udce9 \u00e9") == "a?b?? \u00e9"


def test_kinds_and_places() -> None:
    assert [kind_of(value) for value in ({}, [], "", True, 1, 1.5, None)] == [
        "an object",
        "a list",
        "a text",
        "true or false",
        "a number",
        "a number",
        "null",
    ]
    assert list(numbered(Path("x.json"), "image", "ab")) == [("x.json: image 1", "a"), ("x.json: image 2", "b")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"a": 1,\n "b" 2}', r"line 2, column 6: "),
        ("{", "column 2: "),
        ("9" * 5000, "is broken JSON"),
        (b"\xff", r"is not UTF-8 text \(byte 0\)"),
    ],
)
def test_json_that_breaks(tmp_path: Path, content: str | bytes, words: str) -> None:
    with pytest.raises(Misshapen, match=words):
        parse_json(content)
    with pytest.raises(InputError, match=rf"x\.json: .*{words}"):
        load_json(write(tmp_path / "x.json", content))


def test_lines_keep_their_numbers(tmp_path: Path) -> None:
    file = write(tmp_path / "x", b"\xef\xbb\xbfone\r\n\r\n\n two \nthree")
    assert list(text_lines(file)) == [
        (f"{file}: line {n}", text) for n, text in ((1, b"one"), (4, b" two "), (5, b"three"))
    ]
    with pytest.raises(InputError, match="can't be read"):
        list(text_lines(tmp_path))
