"""Sidecars: what was there before, what a person wrote since, and names that file systems refuse."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from pixtell.batch import sidecars
from pixtell.batch.files import temporary
from pixtell.batch.item import Held, Item
from pixtell.batch.outputs import Finished, OnExisting, OutputOptions, noted, open_outputs, read_rows
from pixtell.batch.row import Row
from pixtell.batch.sidecars import Kind
from pixtell.errors import ConfigError, InputError, PixtellError

from .output_job import Job, tree

ITEM = Item("photos/a.jpg", Held("photos/a.jpg", b""), "a.jpg")
ROW = Row("photos/a.jpg", text="two boats")


def written(folder: Path, on_existing: OnExisting = "skip", kind: str = "txt", row: Row = ROW) -> bytes | None:
    """What stands beside the picture after a job of one item, all of it done twice."""
    item = replace(ITEM, folder=folder)
    (output,) = open_outputs([kind], OutputOptions(on_existing=on_existing))
    finished = noted(Finished(item, row), [output])
    for _ in range(2):
        output.start([])
        output.add([finished])
        output.finish([finished])
        output.start([finished])
    path = folder / f"a.{kind}"
    return path.read_bytes() if path.exists() else None


@pytest.mark.parametrize(
    ("before", "on_existing", "after"),
    [
        (None, "skip", b"two boats"),
        (None, "append", b"two boats"),
        (b"mine\n", "skip", b"mine\n"),
        (b"mine\n", "error", b"mine\n"),
        (b" \n", "skip", b"two boats"),
        (b"mine\n", "overwrite", b"two boats"),
        (b"mine\n", "append", b"mine, two boats"),
        (b"mine\n", "prepend", b"two boats, mine"),
        (b"\xef\xbb\xbfmine", "prepend", b"two boats, mine"),
        ("größe".encode("utf-16"), "append", "größe, two boats".encode()),
        ("größe".encode("latin-1"), "append", "größe, ".encode("latin-1") + b"two boats"),
        (b"one\ntwo", "append", b"one\ntwo\ntwo boats"),
    ],
)
def test_what_was_there_before(tmp_path: Path, before: bytes | None, on_existing: OnExisting, after: bytes) -> None:
    if before is not None:
        (tmp_path / "a.txt").write_bytes(before)
    assert written(tmp_path, on_existing) == after
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    ("row", "content"),
    [
        (ROW, b"two boats"),
        (replace(ROW, text="", answers=(("what\nis it?", "a boat"), ("how many?", "two"))), None),
        (replace(ROW, answers=(("how many?", "two"),)), b"two boats\nhow many?\ttwo"),
        (replace(ROW, text="", labels=(("boat", 0.75), ("ship", 0.125))), b"boat\t0.75\nship\t0.125"),
        (replace(ROW, text="boat", labels=(("boat", 0.75),)), b"boat"),
        (replace(ROW, text="caf\udce9 \ud800"), b"caf? ?"),
        (replace(ROW, text="caf\udce9"), b"caf\xe9"),
    ],
)
def test_what_a_text_file_says(tmp_path: Path, row: Row, content: bytes | None) -> None:
    expected = b"what is it?\ta boat\nhow many?\ttwo" if content is None else content
    assert written(tmp_path, row=row) == expected
    if row.answers:
        found = read_rows(tmp_path / "a.txt")[0]
        assert (found.name, found.text) == (str(tmp_path / "a"), row.text)
        assert found.answers == tuple((question.replace("\n", " "), answer) for question, answer in row.answers)


@pytest.mark.parametrize(
    "row",
    [
        Row("photos/a.jpg", "error", text="half", code="broken"),
        Row("photos/a.jpg", "skipped", text="half", code="exists"),
        replace(ROW, review=True),
        Row("photos/a.jpg"),
    ],
)
@pytest.mark.parametrize("kind", ["txt", "xmp"])
def test_rows_without_a_good_text_have_none(tmp_path: Path, row: Row, kind: str) -> None:
    assert written(tmp_path, "overwrite", kind, row) is None


@pytest.mark.parametrize("on_existing", ["skip", "overwrite", "append"])
@pytest.mark.parametrize("before", [None, "theirs"])
def test_what_a_person_changed_since_is_never_touched(
    tmp_path: Path, on_existing: OnExisting, before: str | None
) -> None:
    path = tmp_path / "a.txt"
    if before:
        path.write_text(before)
    (output,) = open_outputs(["txt"], OutputOptions(tmp_path, on_existing=on_existing))
    finished = noted(Finished(ITEM, ROW), [output])
    output.start([])
    output.add([finished])
    path.write_text("two red boats")
    for _ in range(2):
        output.start([finished])
        output.finish([finished])
    assert path.read_text() == "two red boats"
    path.unlink()
    output.start([finished])
    assert path.read_text() == "two boats"  # what is missing is written


def test_a_row_without_a_note_writes_only_what_is_missing(tmp_path: Path) -> None:
    (output,) = open_outputs(["txt"], OutputOptions(tmp_path, on_existing="overwrite"))
    (tmp_path / "a.txt").write_text("mine")
    output.start([Finished(ITEM, ROW)])
    assert (tmp_path / "a.txt").read_text() == "mine"
    (tmp_path / "a.txt").unlink()
    output.start([Finished(ITEM, ROW)])
    assert (tmp_path / "a.txt").read_text() == "two boats"


def test_what_a_killed_run_left_goes_though_a_person_wrote_the_file(tmp_path: Path) -> None:
    (output,) = open_outputs(["txt"], OutputOptions(tmp_path))
    finished = noted(Finished(ITEM, ROW), [output])
    temporary(tmp_path / "a.txt").write_bytes(b"two bo")
    (tmp_path / "a.txt").write_bytes(b"mine")
    output.start([finished])
    assert tree(tmp_path) == {"a.txt": b"mine"}


def test_existing(tmp_path: Path) -> None:
    text, packet = open_outputs(["txt", "xmp"], OutputOptions(tmp_path))
    assert not text.existing(ITEM) and not packet.existing(ITEM)
    (tmp_path / "a.txt").write_text("  ")
    (tmp_path / "a.xmp").write_text("<x/>")
    assert not text.existing(ITEM)
    (tmp_path / "a.txt").write_text("mine")
    assert text.existing(ITEM)
    with pytest.raises(InputError, match=r"^photos/a\.jpg: its sidecar can't be gone on with: .*a\.xmp: it is not XMP"):
        packet.existing(ITEM)
    (tmp_path / "a.txt").unlink()
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(InputError, match=r"a\.txt: is there but can't be read \(Is a directory\)"):
        text.existing(ITEM)
    failed = Finished(ITEM, Row(ITEM.name, "error", code="sidecar"))
    assert noted(failed, [text]) is failed


def test_what_is_no_xmp_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.xmp").write_text("notes")
    with pytest.raises(PixtellError, match="it is kept as it is"):
        written(tmp_path, "overwrite", "xmp")
    assert (tmp_path / "a.xmp").read_text() == "notes"


def test_the_tree_is_mirrored_and_names_are_full_or_stems(tmp_path: Path) -> None:
    rows = [Row("b/c/a.jpg", text="1"), Row("b/é\n.tar.gz", text="2"), Row("plain", text="3")]
    Job(tmp_path / "stem", rows, OutputOptions(tmp_path / "stem"), ["txt"]).run()
    Job(tmp_path / "full", rows, OutputOptions(tmp_path / "full", "full"), ["txt"]).run()
    assert tree(tmp_path / "stem") == {"b/c/a.txt": b"1", "b/é\n.tar.txt": b"2", "plain.txt": b"3"}
    assert tree(tmp_path / "full") == {"b/c/a.jpg.txt": b"1", "b/é\n.tar.gz.txt": b"2", "plain.txt": b"3"}


@pytest.mark.parametrize("name", ["n" * 251 + ".jpg", "é" * 200 + ".jpg", "n" * 300, "\udce9" * 254])
def test_names_are_cut_only_where_the_disk_refuses_them(tmp_path: Path, name: str) -> None:
    (output,) = open_outputs(["txt"], OutputOptions(tmp_path / "out", "full"))
    for _ in range(2):
        output.start([])
        for relative in (f"sub/{name}", f"sub/{name[:-1]}x", "n" * 251):
            item = Item(relative, Held(relative, b""), relative)
            output.add([noted(Finished(item, Row(relative, text="boats")), [output])])
    names = [path.name for path in (tmp_path / "out" / "sub").iterdir()]
    assert len(names) == 2 and all(len(os.fsencode(one)) <= 143 and one[:20] == name[:20] for one in names)
    assert (tmp_path / "out" / ("n" * 251 + ".txt")).exists()


def test_permissions_of_what_was_there_stay(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("mine")
    (tmp_path / "a.txt").chmod(0o600)
    written(tmp_path, "append")
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o600


def test_a_kind_is_a_function_and_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sidecars.KINDS, "srt", Kind(lambda row: row.text.upper().encode() or None))
    assert written(tmp_path, kind="srt") == b"TWO BOATS"
    (tmp_path / "a.srt").write_text("mine")
    assert written(tmp_path, kind="srt") == b"mine"
    assert written(tmp_path, "overwrite", kind="srt") == b"TWO BOATS"
    with pytest.raises(ConfigError, match="nothing can be joined"):
        open_outputs(["srt"], OutputOptions(on_existing="append"))
