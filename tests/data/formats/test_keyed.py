"""Files that belong together by name, wherever they lie."""

from __future__ import annotations

from pathlib import Path

from pixtell.data.formats.keyed import add_keyed
from pixtell.data.formats.table import RowTable
from pixtell.data.row import Stored

from .made import write


def test_rows_come_in_the_order_of_their_pictures(tmp_path: Path) -> None:
    files = {"b.txt": "of b", "a.json": '{"label": "l"}', "b.mp4": "", "c/d.jpg": "", "a.jpg": "", "c/d.cls": "3"}
    table = RowTable()
    add_keyed(table, [Stored(write(tmp_path / name, text), name) for name, text in files.items()], lambda one: one.name)
    assert [(draft.id, draft.where, draft.captions, draft.label) for draft in table.drafts.values()] == [
        ("b", "b.mp4", ["of b"], ""),
        ("c/d", "c/d.jpg", [], "3"),
        ("a", "a.jpg", [], "l"),
    ]
    assert not table.problems


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    table = RowTable()
    add_keyed(
        table, [Stored(tmp_path / "x", name) for name in ("caf\udce9.jpg", "./._a.jpg", "a")], lambda one: one.name
    )
    assert list(table.drafts) == ["caf?"]
    assert table.drafts["caf?"].media == Stored(tmp_path / "x", "caf\udce9.jpg")


def test_a_text_that_can_not_be_read_costs_its_row(tmp_path: Path) -> None:
    files = [Stored(write(tmp_path / "a.jpg", ""), "a.jpg"), Stored(tmp_path / "a.txt", "a.txt")]
    table = RowTable()
    add_keyed(table, files, lambda one: one.name)
    assert not table.drafts
    assert [(one.code, one.where) for one in table.problems] == [("missing", "a.txt")]
