"""Rows as text: any text comes back as it was, and none is run by a spreadsheet."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixtell.batch.row import Row, Window
from pixtell.batch.row_text import (
    COLUMNS,
    cell_of,
    cells_of,
    json_of,
    json_text,
    row_of,
    row_of_cells,
    row_of_json,
    text_of,
)

from .output_job import SETTINGS, TEXTS, rows_of_a_job

ANY = st.text(max_size=6) | TEXTS


@given(ANY, st.booleans())
def test_cells(text: str, formulas: bool) -> None:
    cell = cell_of(text, formulas=formulas)
    cell.encode()
    assert text_of(cell) == text
    if formulas:
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d"))


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("two boats, at dusk", "two boats, at dusk"),
        ("=1+1", '"=1+1"'),
        ('"quoted"', '"\\"quoted\\""'),
        ("caf\udce9.jpg", '"caf\\udce9.jpg"'),
        ("café\n", "café\n"),
    ],
)
def test_what_cells_look_like(text: str, cell: str) -> None:
    assert cell_of(text) == cell


@given(rows_of_a_job())
def test_rows_come_back(rows: list[Row]) -> None:
    for row in rows:
        assert row_of_json(json_of(row, SETTINGS, more=[1])) == row
        assert row_of_cells(list(COLUMNS), cells_of(row, SETTINGS)) == row


@given(ANY)
def test_json_is_readable_and_can_be_encoded(text: str) -> None:
    written = json_text({"a": text})
    assert json.loads(written.encode()) == {"a": text}
    assert len(written.splitlines()) == 1
    if text.isprintable() and not set(text) & set('"\\'):
        assert text in written


def test_columns_hold_what_they_are_called() -> None:
    row = Row("a", text="b", mean_logprob=-0.5, review=True, edited=True, windows=(Window(0.0, 1.5, "c"),))
    cells = dict(zip(COLUMNS, cells_of(row, SETTINGS), strict=True))
    assert {name: cell for name, cell in cells.items() if cell} == {
        **{"name": "a", "status": "ok", "text": "b", "mean_logprob": "-0.5", "review": "true", "edited": "true"},
        **{"windows": '[{"start": 0.0, "end": 1.5, "text": "c", "mean_logprob": null}]', "settings": SETTINGS},
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "not an object with a name"),
        ({"text": "a"}, "not an object with a name"),
        ({"name": "a", "text": 5}, "its text is not a text"),
        ({"name": "a", "status": "good"}, "its status is 'good': it is one of ok, skipped, error"),
        ({"name": "a", "windows": [{"begin": 1}]}, "it is not a row"),
    ],
)
def test_what_is_not_a_row(content: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        row_of(content)
