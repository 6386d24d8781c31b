"""WebDataset tars: what is in them, that other programs read them, and that a shard never holds what it shouldn't."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import tiny_data

from pixtell.batch.item import File, Item
from pixtell.batch.outputs import Finished, OutputOptions, open_outputs, read_rows
from pixtell.batch.row import Row
from pixtell.batch.shards import Shards, ending_of, own_shards_of
from pixtell.data.sources import TarSource
from pixtell.errors import ConfigError, InputError, PixtellError

from .output_job import PICTURE, SETTINGS, Job, item_of

ROWS = [
    Row("b/café.x.PNG", text="two boats", answers=(("how many?", "two"),)),
    Row("bad.jpg", "error", code="broken"),
    Row("c.jpg", text="a dog\udce9"),
    Row("d.jpg", text="a cat", review=True),
    Row("e.jpg", text="snow"),
]


def test_members(tmp_path: Path) -> None:
    Job(tmp_path, ROWS, OutputOptions(shard_size=2, settings=SETTINGS), ["rows.tar"]).run()
    names = {}
    for path in sorted(tmp_path.iterdir()):
        with tarfile.open(path) as tar:
            names[path.name] = tar.getnames()
            assert {(member.mtime, member.uid, member.uname, member.mode) for member in tar} <= {(0, 0, "", 0o644)}
        assert path.stat().st_size % tarfile.RECORDSIZE == 0
    assert names == {
        "rows-000000.tar": ["000000000.jpg", "000000000.json", "000000000.txt"],
        "rows-000001.tar": ["000000002.jpg", "000000002.json", "000000002.txt"],
        "rows-000002.tar": ["000000004.jpg", "000000004.json", "000000004.txt"],
    }
    with tarfile.open(tmp_path / "rows-000000.tar") as tar:
        picture, row, text = (file.read() for name in names["rows-000000.tar"] if (file := tar.extractfile(name)))
    assert picture == PICTURE + "b/café.x.PNG".encode()
    assert text == b"two boats\nhow many?\ttwo"
    assert json.loads(row) == {
        **{"name": "b/café.x.PNG", "status": "ok", "text": "two boats", "answers": [["how many?", "two"]]},
        **{"captions": ["two boats"], "qa": [{"question": "how many?", "answer": "two"}]},
        "settings": json.loads(SETTINGS),
    }
    assert read_rows(tmp_path / "rows.tar") == [ROWS[0], ROWS[2], ROWS[4]]
    assert read_rows(tmp_path / "rows-000002.tar") == [ROWS[4]]


def test_the_bytes_are_those_that_tarfile_writes(tmp_path: Path) -> None:
    Job(tmp_path, ROWS[:1], OutputOptions(), ["rows.tar"]).run()
    ours = (tmp_path / "rows-000000.tar").read_bytes()
    copy = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(ours)) as read, tarfile.open(None, "w", copy, tarfile.RECORDSIZE) as write:
        for member in read:
            write.addfile(member, read.extractfile(member))
    assert copy.getvalue() == ours


def test_the_trainer_reads_them(tmp_path: Path) -> None:
    Job(tmp_path, ROWS, OutputOptions(shard_size=2), ["rows.tar"]).run()
    source = TarSource(sorted(tmp_path.iterdir()))
    assert [text.target for text in source.texts()] == ["two boats", "two", "a dog?", "snow"]
    assert source[2].image == PICTURE + b"e.jpg"


def test_shards_are_written_when_they_are_full_and_only_then(tmp_path: Path) -> None:
    (output,) = open_outputs([str(tmp_path / "s.tar")], OutputOptions(shard_size=2))
    finished = [Finished(item_of(row), row) for row in ROWS]
    output.start([])
    for number, one in enumerate(finished):
        output.add([one])
        assert len(list(tmp_path.iterdir())) == (number + 1) // 2
    output.finish(finished)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_job_that_grows_or_shrinks_has_its_own_shards(tmp_path: Path) -> None:
    for rows in (ROWS, ROWS[2:], [ROWS[4], *ROWS], ROWS[:1]):
        Job(tmp_path / "one", rows, OutputOptions(shard_size=2), ["s.tar"]).run()
        fresh = tmp_path / f"fresh{len(rows)}"
        Job(fresh, rows, OutputOptions(shard_size=2), ["s.tar"]).run()
        there, expected = ({p.name: p.read_bytes() for p in f.iterdir()} for f in (tmp_path / "one", fresh))
        assert there == expected


def test_shards_that_are_right_are_not_written_again(tmp_path: Path) -> None:
    Job(tmp_path, ROWS, OutputOptions(shard_size=2), ["s.tar"]).run()
    before = {path: path.stat().st_ino for path in tmp_path.iterdir()}
    Job(tmp_path, ROWS, OutputOptions(shard_size=2), ["s.tar"]).run()
    assert {path: path.stat().st_ino for path in tmp_path.iterdir()} == before


def test_shards_of_other_settings(tmp_path: Path) -> None:
    Job(tmp_path, ROWS, OutputOptions(settings='{"beams": 1}'), ["s.tar"]).run()
    before = (tmp_path / "s-000000.tar").read_bytes()
    with pytest.raises(ConfigError, match="was written with other settings"):
        Job(tmp_path, ROWS, OutputOptions(settings='{"beams": 4}'), ["s.tar"]).run()
    assert (tmp_path / "s-000000.tar").read_bytes() == before
    Job(tmp_path, ROWS, OutputOptions(on_existing="overwrite", settings='{"beams": 4}'), ["s.tar"]).run()
    assert read_rows(tmp_path / "s.tar") == [ROWS[0], ROWS[2], ROWS[4]]


def photo_of(folder: Path, name: str) -> Finished:
    """A finished photo that lies in a file."""
    (folder / name).write_bytes(PICTURE + name.encode())
    row = Row(name, text=f"of {name}", sha256=sha256(PICTURE + name.encode()).hexdigest())
    return Finished(Item(name, File(str(folder / name), name), name, folder), row)


def test_a_picture_that_vanished_or_changed_leaves_a_gap(tmp_path: Path) -> None:
    """The others are there, what is left out is told, and it comes in when it is back."""
    rows = [photo_of(tmp_path, name) for name in ("a.jpg", "b.jpg", "c.jpg")]
    output = Shards(str(tmp_path / "out" / "s.tar"), OutputOptions())
    output.start(rows)
    (tmp_path / "a.jpg").unlink()
    (tmp_path / "b.jpg").write_bytes(b"another")
    output.finish(rows)
    assert read_rows(tmp_path / "out" / "s.tar") == [rows[2].row]
    gone, changed = output.left_out
    assert gone.startswith("a.jpg: no such file") and changed.startswith("b.jpg: has changed since it was captioned")
    for name in ("a.jpg", "b.jpg"):
        photo_of(tmp_path, name)
    output.start(rows)
    assert output.left_out == []
    output.finish(rows)
    assert output.left_out == [] and read_rows(tmp_path / "out" / "s.tar") == [one.row for one in rows]


def test_a_picture_that_a_shard_holds_is_not_asked_for_again(tmp_path: Path) -> None:
    """A shard that is written anew takes it from where it is: an address need not answer a second time."""
    rows = [photo_of(tmp_path, name) for name in ("a.jpg", "b.jpg")]
    output = Shards(str(tmp_path / "s.tar"), OutputOptions())
    output.start(rows[:1])
    output.finish(rows[:1])
    (tmp_path / "a.jpg").unlink()
    output.start(rows)
    output.finish(rows)
    assert output.left_out == [] and read_rows(tmp_path / "s.tar") == [one.row for one in rows]


def test_pictures_of_a_source_that_vanished_stay(tmp_path: Path) -> None:
    """Of inputs that are gone, and of those that vanish while their shard is written anew."""
    rows = [photo_of(tmp_path, name) for name in ("a.jpg", "b.jpg", "c.jpg")]
    options = OutputOptions(shard_size=2)
    output = Shards(str(tmp_path / "s.tar"), options)
    output.start(rows)
    output.finish(rows)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.tar")}
    folder = Row("photos", "error", code="missing")
    gone = [replace(one.row, status="error", text="", code="missing") for one in rows]
    told = "hold 3 pictures that are not among the inputs now"
    for now in ([folder], gone, [rows[0].row, gone[1], folder]):
        with pytest.raises(ConfigError, match=told if len(now) != 3 or now == gone else "hold 2 pictures"):
            output.spare(named(*now))
    output.start([])
    with pytest.raises(PixtellError, match=r"s-000000\.tar: holds 1 picture.*--on-existing overwrite"):
        output.add([rows[0], Finished(rows[1].item, gone[1])])
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.tar")} == before
    output.spare(named(rows[0].row))  # the others were taken from the inputs
    output.spare({"a.jpg": None, **named(*(one.row for one in rows[1:]), folder)})  # what is in them is still there
    Shards(str(tmp_path / "s.tar"), replace(options, on_existing="overwrite")).spare(named(folder))
    Shards(str(tmp_path / "new.tar"), options).spare(named(folder))


def named(*rows: Row) -> dict[str, Row | None]:
    return {row.name: row for row in rows}


def test_a_damaged_row_is_told(tmp_path: Path) -> None:
    """Not the first, which is looked at when they are begun; nothing is written over it."""
    rows = [photo_of(tmp_path, name) for name in ("a.jpg", "b.jpg")]
    output = Shards(str(tmp_path / "s.tar"), OutputOptions())
    output.start(rows)
    output.finish(rows)
    path = tmp_path / "s-000000.tar"
    damaged = path.read_bytes().replace(b'{"name": "b.jpg"', b'{"name": !!.jpg"')
    path.write_bytes(damaged)
    output.spare(named(Row("photos", "error", code="missing")))
    output.start(rows)
    with pytest.raises(InputError, match=r"s-000000\.tar: 000000001\.json is damaged .* move the tar away"):
        output.finish(rows)
    assert path.read_bytes() == damaged


def test_which_shards_are_ours(tmp_path: Path) -> None:
    """Those that a job wrote, empty ones too, and not a data set that is called like one."""
    Job(tmp_path, ROWS, OutputOptions(shard_size=2), ["s.tar"]).run()
    Job(tmp_path, ROWS[1:2], OutputOptions(), ["failed.tar"]).run()
    tiny_data.write_tar(tmp_path / "train-000000.tar", [("0.jpg", PICTURE), ("0.txt", b"a dog")])
    assert [path.name for path in own_shards_of(tmp_path / "s.tar")] == [f"s-00000{n}.tar" for n in range(3)]
    assert len(own_shards_of(tmp_path / "failed.tar")) == 1
    assert own_shards_of(tmp_path / "train.tar") == own_shards_of(tmp_path / "none" / "s.tar") == []


@pytest.mark.parametrize(
    ("name", "content", "ending"),
    [
        ("a.png", b"\xff\xd8\xff\xe0", ".jpg"),
        ("a.jpg", b"\x89PNG\r\n", ".png"),
        ("p.parquet/17", b"RIFF\0\0\0\0WEBPVP8 ", ".webp"),
        ("p.parquet/17", b"RIFF\0\0\0\0AVI LIST", ".avi"),
        ("a.HEIC", b"\0\0\0\x18ftypheic", ".heic"),
        ("a.mov", b"\0\0\0\x18ftypqt  ", ".mov"),
        ("17", b"\0\0\0\x18ftypisom", ".mp4"),
        ("a.json", b"\0\0", ".bin"),
    ],
)
def test_endings_are_of_what_the_bytes_are(name: str, content: bytes, ending: str) -> None:
    assert ending_of(name, content) == ending
