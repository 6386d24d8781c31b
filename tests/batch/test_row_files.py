"""JSONL, CSV and TSV: cut at any byte they go on, other programs read them, and rows are appended, not rewritten."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from pixtell.batch import files
from pixtell.batch.outputs import Finished, OnExisting, OutputOptions, open_outputs, read_rows
from pixtell.batch.row import Row, Window
from pixtell.batch.row_files import Form, JsonLines, Separated, merged
from pixtell.batch.row_text import COLUMNS
from pixtell.errors import ConfigError

from .output_job import NEVER, SETTINGS, Disk, Job, item_of

FORMS = ("rows.jsonl", "rows.csv", "rows.tsv")
ROWS = [
    Row('a,"b"\n\tc.jpg', text="two boats, at dusk", alternatives=("x", "y"), mean_logprob=-0.25),
    Row("caf\udce9é.jpg", "error", code="broken", message='it "broke",\r\nbadly'),
    Row("=1.jpg", text="", labels=(("dog", 0.5),), windows=(Window(0.0, 2.0, "a dog"),)),
]


@pytest.mark.parametrize("form", FORMS[:2])
@pytest.mark.parametrize("settings", ["", '{"a": ",\\""}'])
@pytest.mark.parametrize("old", [[], [Row("old.jpg", text="kept, of before")]])
def test_a_file_cut_at_any_byte_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, settings: str, old: list[Row]
) -> None:
    monkeypatch.setattr(files, "os", Disk(NEVER))
    path = tmp_path / form
    Job(tmp_path, old, OutputOptions(settings=settings), [form]).run()
    before = path.stat().st_size if old else 0
    job = Job(
        tmp_path, [Row('a,"b"\n\tc.jpg', text="d,"), Row("é", text="e")], OutputOptions(settings=settings), [form]
    )
    job.run()
    content = path.read_bytes()
    (output,) = open_outputs(job.names, job.options)
    for length in range(before, len(content)):
        path.write_bytes(content[:length])
        output.start(job.journal)
        assert path.read_bytes() == content, length
    for length in range(before, len(content)):  # and so does a job that was killed without a journal
        path.write_bytes(content[:length])
        output.start(job.journal[:0])
        output.finish(job.journal)
        assert path.read_bytes() == content, length


@pytest.mark.parametrize("form", [JsonLines(), Separated(","), Separated("\t")])
def test_of_a_file_cut_at_any_byte_whole_rows_are_read(form: Form) -> None:
    lines = [form.line(row, SETTINGS) for row in ROWS]
    content = form.head + b"".join(lines)
    for length in range(len(content) + 1):
        found = list(form.records(content[:length]))
        assert [record.row for record in found] == ROWS[: len(found)]
        # Only that settings follow can't be told of a row that was cut between its last comma and them.
        assert all(record.raw in lines or record.raw.rstrip(b"\r\n").endswith((b",", b"\t")) for record in found)
        assert len(found) >= sum(len(form.head + b"".join(lines[:n])) <= length for n in (1, 2, 3))


@pytest.mark.parametrize("form", FORMS)
def test_rows_are_appended(tmp_path: Path, form: str) -> None:
    path = tmp_path / form
    (output,) = open_outputs([str(path)])
    finished = [Finished(item_of(row), row) for row in ROWS]
    output.start([])
    file = path.stat().st_ino
    for number, one in enumerate(finished):
        output.add([one])
        assert read_rows(path) == ROWS[: number + 1]
    output.finish(finished)
    assert path.stat().st_ino == file


@pytest.mark.parametrize(("form", "delimiter"), [("rows.csv", ","), ("rows.tsv", "\t")])
def test_python_reads_the_same_cells(tmp_path: Path, form: str, delimiter: str) -> None:
    Job(tmp_path, ROWS, OutputOptions(settings=SETTINGS), [form]).run()
    with (tmp_path / form).open(encoding="utf-8", newline="") as file:
        head, *records = csv.reader(file, delimiter=delimiter, strict=True)
    assert head == list(COLUMNS)
    assert [record[2] for record in records] == [row.text for row in ROWS]
    assert records[0][0] == ROWS[0].name and json.loads(records[1][0]) == ROWS[1].name
    assert {record[-1] for record in records} == {SETTINGS}
    assert (tmp_path / form).read_bytes().count(b"\r\n") == 1 + len(ROWS) + 1  # one stands in a message


def test_what_a_person_added_stays(tmp_path: Path) -> None:
    """A last line without its end, a mark at the beginning, empty lines, other columns."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"name": "x", "text": "mine", "by": "me"}\n\n{"name": "y", "text": "mine"}')
    Job(tmp_path, ROWS[:1], OutputOptions(), ["rows.jsonl"]).run()
    assert path.read_bytes().startswith(
        b'{"name": "x", "text": "mine", "by": "me"}\n{"name": "y", "text": "mine"}\n{"n'
    )
    assert [row.name for row in read_rows(path)] == ["x", "y", ROWS[0].name]


def test_very_long_cells(tmp_path: Path) -> None:
    """Python's own reader of CSV refuses cells above 128 KiB: a long clip's windows are more."""
    row = Row("clip.mp4", windows=tuple(Window(float(n), n + 1.0, 'a "dog", running') for n in range(4000)))
    Job(tmp_path, [row], OutputOptions(), ["rows.csv"]).run()
    assert (tmp_path / "rows.csv").stat().st_size > 200_000
    assert read_rows(tmp_path / "rows.csv") == [row]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "rows.jsonl").symlink_to(tmp_path / "disk" / "real.jsonl")
    Job(tmp_path, ROWS, OutputOptions(), ["rows.jsonl"]).run()
    assert (tmp_path / "rows.jsonl").is_symlink()
    assert read_rows(tmp_path / "disk" / "real.jsonl") == ROWS


def test_merging_is_done_once() -> None:
    old = [(Row("a"), "old a"), (Row("b"), "old b"), (Row("c"), "old c")]
    new = [(Row("b"), "new b"), (Row("c", "skipped", code="exists"), "c is there"), (Row("d"), "new d")]
    once = merged(old, new)
    assert once == ["old a", "old c", "new b", "new d"]
    assert merged([(Row(text[-1]), text) for text in once], new) == once
    fresh = merged([], new)
    assert fresh == ["new b", "c is there", "new d"]
    assert merged([(Row("b"), "new b"), (Row("c"), "c is there"), (Row("d"), "new d")], new) == fresh


def test_rows_that_failed_go_with_their_inputs() -> None:
    """But not those of inputs that are still to come."""
    old = [(Row("folder", "error", code="missing"), "gone"), (Row("a"), "a"), (Row("b", "error", code="broken"), "b")]
    assert merged(old, [(Row("c"), "c")]) == ["a", "c"]
    assert merged(old, [(Row("c"), "c")], {"b"}) == ["a", "b", "c"]
    assert merged(old, [(Row("b"), "better")]) == ["a", "better"]


@pytest.mark.parametrize("on_existing", ["skip", "overwrite"])
@pytest.mark.parametrize(
    ("form", "head"),
    [
        ("rows.csv", b"name,text\r\n"),
        ("rows.csv", b"id,name,status\r\n"),
        ("rows.tsv", b"name\tcity\n"),
        ("rows.csv", b"\xef\xbb\xbf" + ",".join([*COLUMNS, "mine"]).encode() + b"\n"),
    ],
)
def test_a_table_of_other_columns_is_never_touched(
    tmp_path: Path, form: str, head: bytes, on_existing: OnExisting
) -> None:
    """A person's list of names, or one that they gave a column of their own: its rows can't stand under our head."""
    path = tmp_path / form
    content = head + head.replace(b"name", b"a.jpg", 1)
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"was not written by pixtell caption \(its columns are .*name"):
        Job(tmp_path, ROWS, OutputOptions(on_existing=on_existing), [form]).run()
    assert path.read_bytes() == content
    path.write_bytes(b"\xef\xbb\xbf" + ",".join(COLUMNS).encode() + b"\n")  # as a spreadsheet saves it
    Job(tmp_path, ROWS, OutputOptions(), ["rows.csv"]).run()
    assert read_rows(tmp_path / "rows.csv") == ROWS
