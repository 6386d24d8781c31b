"""Shards: what they hold, and that no end of the process changes a byte."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from tiny_data import jpeg, noise, png

from pixtell.data.dataset import Dataset, open_dataset
from pixtell.data.row import Problem, Row, Stored
from pixtell.data.shards import Sharded, ShardOptions, kept, notes_path, write_shards
from pixtell.data.tar_rows import tar_path
from pixtell.errors import ConfigError, InputError

SMALL = ShardOptions(short_side=30, long_side=50, rows=4)


def photos(folder: Path, count: int, broken: tuple[int, ...] = ()) -> Dataset:
    """Photos beside their captions, some of them cut off."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        content = jpeg(noise((80, 60), number))
        (folder / f"{number:02}.jpg").write_bytes(content[:200] if number in broken else content)
        (folder / f"{number:02}.txt").write_text(f"photo {number}")
    return open_dataset([folder])


def write(dataset: Dataset, pattern: Path, options: ShardOptions = SMALL, workers: int = 0) -> Sharded:
    return write_shards(dataset, str(pattern), options, workers, lambda done, total, broken: None)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    ("size", "kept_size"),
    [
        ((30, 50), None),
        ((10, 10), None),
        ((60, 60), (30, 30)),
        ((60, 80), (30, 40)),
        ((300, 40), (50, 7)),
        ((31, 50), (30, 48)),
        ((2000, 3), (50, 1)),
    ],
)
def test_sizes(tmp_path: Path, size: tuple[int, int], kept_size: tuple[int, int] | None) -> None:
    for name, content in (("a.png", png(noise(size, 1))), ("a.jpg", jpeg(noise(size, 1)))):
        (tmp_path / name).write_bytes(content)
        found = kept(Row("a", Stored(tmp_path / name, name)), SMALL)
        assert not isinstance(found, Problem)
        if kept_size is None:
            assert found.content == content and found.ending == name[1:], "small ones keep their bytes"
        else:
            picture = Image.open(io.BytesIO(found.content))
            assert (picture.format, picture.size, found.ending) == ("JPEG", kept_size, ".jpg")


def test_what_browsers_do_not_show_is_written_anew(tmp_path: Path, clip: Path) -> None:
    noise((20, 20), 1).save(tmp_path / "a.bmp")
    found = kept(Row("a", Stored(tmp_path / "a.bmp", "a.bmp")), SMALL)
    assert not isinstance(found, Problem) and found.content[:2] == b"\xff\xd8" and found.ending == ".jpg"
    moving = kept(Row("a", Stored(clip, "clip.mp4")), SMALL)
    assert not isinstance(moving, Problem) and moving.content == clip.read_bytes() and moving.ending == ".mp4"
    folder = kept(Row("a", Stored(tmp_path, "frames")), SMALL)
    assert isinstance(folder, Problem) and folder.message.startswith("a: a folder of frames doesn't go into a tar")


@pytest.mark.parametrize("workers", [0, 2])
def test_rows_in_tars(tmp_path: Path, workers: int) -> None:
    dataset = photos(tmp_path / "photos", 10, broken=(5,))
    made = write(dataset, tmp_path / "out" / "%03d.tar", workers=workers)
    assert (made.tars, made.rows) == (3, 9)
    assert [(problem.code, problem.where) for problem in made.broken] == [("truncated", "05")]
    for number, ids in enumerate((range(4), (4, 6, 7), (8, 9))):
        rows = open_dataset([tar_path(str(tmp_path / "out" / "%03d.tar"), number)]).rows
        assert [(row.id, row.captions) for row in rows] == [(f"{n:02}", (f"photo {n}",)) for n in ids]
        for row in rows:
            assert row.media and Image.open(io.BytesIO(row.media.read())).size == (40, 30)


def test_workers_change_no_byte(tmp_path: Path) -> None:
    dataset = photos(tmp_path / "photos", 10, broken=(0, 5))
    for name, workers in (("one", 0), ("two", 2)):
        write(dataset, tmp_path / name / "%03d.tar", workers=workers)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_a_tar_that_is_missing_is_made_again(tmp_path: Path) -> None:
    """And nothing else is written; what was broken is told each time."""
    dataset, pattern = photos(tmp_path / "photos", 10, broken=(5,)), tmp_path / "out" / "%03d.tar"
    first = write(dataset, pattern)
    before = digests(tmp_path / "out")
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert write(dataset, pattern) == first
    (tmp_path / "out" / "001.tar").unlink()
    (tmp_path / "out" / ".001.tar.partial").write_bytes(b"half a tar")
    assert write(dataset, pattern) == first and digests(tmp_path / "out") == before
    changed = {path.name for path in (tmp_path / "out").iterdir() if path.stat().st_mtime_ns != times[path.name]}
    assert changed == {"001.tar"}


def test_a_mended_picture_is_told(tmp_path: Path) -> None:
    dataset, pattern = photos(tmp_path / "photos", 5, broken=(1,)), tmp_path / "out" / "%03d.tar"
    write(dataset, pattern)
    photos(tmp_path / "photos", 5)
    [problem] = write(dataset, pattern).broken
    assert problem.message.startswith("01: can be used now: remove ") and "000.tar to make it anew" in problem.message
    (tmp_path / "out" / "000.tar").unlink()
    assert write(dataset, pattern).broken == ()


def test_other_rows_and_settings_are_refused(tmp_path: Path) -> None:
    dataset, pattern = photos(tmp_path / "photos", 5), tmp_path / "out" / "a-%03d.tar"
    write(dataset, pattern)
    assert notes_path(str(pattern)) == tmp_path / "out" / "a-shards.json"
    assert json.loads(notes_path(str(pattern)).read_text())["short_side"] == 30
    with pytest.raises(
        ConfigError, match=r"a-shards\.json: these tars were made from other rows or with other settings"
    ):
        write(dataset, pattern, ShardOptions(30, 50, rows=3))
    with pytest.raises(ConfigError, match="other rows"):
        write(photos(tmp_path / "photos", 6), pattern)
    notes_path(str(pattern)).unlink()
    with pytest.raises(ConfigError, match=r"a-000\.tar: is there, and not from this command"):
        write(dataset, pattern)
    write(dataset, tmp_path / "out" / "b-%03d.tar")


def test_settings_that_can_not_be() -> None:
    with pytest.raises(ConfigError, match="3 problems"):
        ShardOptions(short_side=9, long_side=8, quality=99, rows=0)


def test_a_data_set_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing is said of where its pictures lie"):
        write(Dataset("d", (Row("1", None, ("a",)),)), tmp_path / "%d.tar")


def test_killed_at_any_moment_it_goes_on(tmp_path: Path) -> None:
    """`kill -9` again and again: all tars that are there are whole, and in the end those of an uninterrupted run."""
    dataset = photos(tmp_path / "photos", 40, broken=(7, 21))
    write(dataset, tmp_path / "whole" / "%03d.tar")
    expected = digests(tmp_path / "whole")
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from pixtell.data.dataset import open_dataset\n"
        "from pixtell.data.shards import ShardOptions, write_shards\n"
        "tell = lambda *counts: (print(*counts, flush=True), time.sleep(0.005))\n"
        "options = ShardOptions(short_side=30, long_side=50, rows=4)\n"
        "write_shards(open_dataset([sys.argv[1]]), sys.argv[2], options, 0, tell)\n"
    )
    out = tmp_path / "out"
    for rows in (2, 6, 9, 5):
        arguments = [sys.executable, "-c", code, str(tmp_path / "photos"), str(out / "%03d.tar")]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        with process.stdout:
            for _ in range(rows):
                process.stdout.readline()
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        there = {name: digest for name, digest in digests(out).items() if not name.endswith(".partial")}
        assert there.items() <= expected.items()
    assert 1 < len(there) < len(expected)
    made = write(dataset, out / "%03d.tar")
    assert digests(out) == expected and [problem.where for problem in made.broken] == ["07", "21"]
