"""The journal: whole batches or none, entries of the same settings only, and a refusal of everything that isn't one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixtell.batch.item import File, Item
from pixtell.batch.journal import UNKNOWN, Entry, Journal
from pixtell.batch.output import Finished, Note
from pixtell.batch.row import Row, Window
from pixtell.errors import ConfigError, InputError, PixtellError

SETTINGS = {"beams": 4, "banned": ["dog"]}
ODD = "ä\udcff\n.jpg"
ROWS = [
    Row("a.jpg", text="a dog", mean_logprob=-0.5, sha256="0a", answers=(("who?", "a dog"),), labels=(("dog", 0.9),)),
    Row(ODD, "error", code="broken", message="it is"),
    Row("c.mp4", text="one; two", windows=(Window(0.0, 10.0, "one", -0.1), Window(10.0, 12.5, "two")), review=True),
]


def finished(row: Row, *notes: Note) -> Finished:
    return Finished(Item(row.name, File(row.name, row.name), row.name), row, notes)


def write(path: Path) -> None:
    with Journal(path, SETTINGS) as journal:
        journal.append([(finished(ROWS[0], Note("txt", "absent")), (10, 20))])
        journal.append([(finished(ROWS[1]), (0, 0)), (finished(ROWS[2]), (30, 40))])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal"
    write(path)
    with Journal(path, SETTINGS) as journal:
        assert [entry.row for entry in journal.entries.values()] == ROWS
        assert journal.entries["a.jpg"] == Entry((10, 20), ROWS[0], (Note("txt", "absent"),))
        assert journal.entries[ODD].stamp == UNKNOWN


def test_a_file_cut_at_any_byte_holds_whole_batches(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    write(whole)
    content = whole.read_bytes()
    lines = content.splitlines(keepends=True)
    assert len(lines) == 4
    ends = [sum(map(len, lines[: number + 1])) for number in range(4)]
    for length in range(len(content) + 1):
        path = tmp_path / "cut"
        path.write_bytes(content[:length])
        with Journal(path, SETTINGS) as journal:
            batches = sum(end <= length for end in ends[2:])
            assert list(journal.entries) == [row.name for row in ROWS][: (0, 1, 3)[batches]]
            journal.append([(finished(ROWS[0]), (1, 1))])
        with Journal(path, SETTINGS) as journal:
            assert journal.entries["a.jpg"].stamp == (1, 1)


def test_other_settings_find_nothing_and_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    write(path)
    with Journal(path, {**SETTINGS, "beams": 1}) as journal:
        assert journal.entries == {}
        journal.append([(finished(ROWS[2]), (1, 1))])
    with Journal(path, SETTINGS) as journal:
        assert [entry.row for entry in journal.entries.values()] == ROWS
        journal.append([(finished(ROWS[0]), (7, 7))])
    with Journal(path, {**SETTINGS, "beams": 1}) as journal:
        assert list(journal.entries) == [ROWS[2].name]
    with Journal(path, SETTINGS) as journal:
        assert journal.entries["a.jpg"].stamp == (7, 7)


def test_two_processes_cannot_be_at_one_job(tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="this system has no such locks")
    with Journal(tmp_path / "j", SETTINGS), pytest.raises(PixtellError, match="another process is at it"):
        Journal(tmp_path / "j", SETTINGS)
    Journal(tmp_path / "j", SETTINGS).close()


@pytest.mark.parametrize("content", ["my notes\n", "my notes", '{"name": "a.jpg"}\n'])
def test_a_file_that_is_not_a_journal_is_never_touched(tmp_path: Path, content: str) -> None:
    path = tmp_path / "notes"
    path.write_text(content)
    with pytest.raises(ConfigError, match="no journal of this version"):
        Journal(path, SETTINGS)
    assert path.read_text() == content


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    write(path)
    path.write_text(path.read_text().replace('"batch"', '"botch"', 1))
    with pytest.raises(InputError, match="line 3 is damaged"):
        Journal(path, SETTINGS)


def test_a_folder_that_refuses_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PixtellError, match="the journal can't be written"):
        Journal(tmp_path / "file" / "journal", SETTINGS)


@pytest.mark.parametrize(
    ("row", "stamp", "holds"),
    [
        (ROWS[0], (10, 20), True),
        (ROWS[0], (10, 21), False),
        (ROWS[0], UNKNOWN, True),  # an address: what it answered is not asked for again
        (Row("x", "error", code="broken"), UNKNOWN, False),
        (ROWS[1], (10, 20), True),
        (Row("x", "error", code="missing"), (10, 20), False),
        *(
            (Row("x", "error", code=code), (10, 20), False)
            for code in ("crashed", "memory", "missing_extra", "timeout")
        ),
    ],
)
def test_when_an_outcome_stands(row: Row, stamp: tuple[int, int], holds: bool) -> None:
    own = stamp if stamp == UNKNOWN else (10, 20)
    assert Entry(own, row).still_holds(stamp) is holds
