"""Tars of pictures and clips: what a key's files say, and that nothing of a picture is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_data import captions_tar, questions_tar, write_tar

from pixtell.data.dataset import open_dataset
from pixtell.data.sources import TarSource

from .made import captions, problems, questions, refused, write

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def tar(path: Path, *files: tuple[str, Any]) -> Path:
    return write_tar(path, files)


def test_every_way_to_say_something(tmp_path: Path) -> None:
    file = tar(
        tmp_path / "shard-000.tar",
        ("a.json", {"caption": "one", "url": "https://a.b", "width": 3}),
        ("a.txt", b"one"),
        ("a.jpg", b"A"),
        ("./b.txt", b"two\n\nthree\n"),
        ("./b.PNG", b"B"),
        ("sub/c.mp4", b"C"),
        ("sub/c.json", {"captions": ["four"], "qa": [{"question": "what?", "answer": "soft_toy", "question_id": 9}]}),
        ("d.webp", b"D"),
        ("d.cls", b" 17\n"),
        ("e.v1.jpg", b"E"),
        ("e.v1.json", {"caption": None, "label": "cat"}),
        ("e.v1.txt", b"five"),
        ("note.txt", b"no row"),
        ("stats.json", {"count": 5}),
        ("._a.jpg", b"what macOS leaves"),
    )
    found = open_dataset([file])
    assert captions(found) == {
        "a": ("one",),
        "b": ("two", "three"),
        "sub/c": ("four",),
        "d": (),
        "e.v1": ("five",),
    }
    assert questions(found) == [("sub/c", "9", "what?", ("soft_toy",))]
    assert [row.label for row in found.rows] == ["", "", "", "17", "cat"]
    assert b"".join(row.media.read() for row in found.rows if row.media) == b"ABCDE"
    assert not found.problems and found.name == "shard-000"


def test_what_is_wrong_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    file = tar(
        tmp_path / "a.tar",
        ("good.jpg", b""),
        ("good.json", {"captions": ["fine"]}),
        ("bare.jpg", b""),
        ("empty.jpg", b""),
        ("empty.json", {"width": 3}),
        ("broken.jpg", b""),
        ("broken.json", b'{"captions": ['),
        ("list.jpg", b""),
        ("list.json", [1]),
        ("bytes.jpg", b""),
        ("bytes.txt", b"caf\xe9"),
        ("lost.json", {"captions": ["of what?"]}),
        ("good.png", b"another"),
        ("good.json", {"captions": ["again"]}),
    )
    found = open_dataset([file])
    assert captions(found) == {"good": ("fine",)}
    assert problems(found, tmp_path) == [
        ("duplicate", "a.tar: good.png: the key good has good.jpg already"),
        ("duplicate", "a.tar: good.json: the key good has good.json already"),
        ("broken", "a.tar: broken.json is broken JSON (column 15: Expecting value)"),
        ("broken", "a.tar: list.json is a list where an object belongs"),
        ("broken", "a.tar: bytes.txt is not UTF-8 text (byte 3)"),
        ("missing", "a.tar: lost.json has no picture or clip beside it"),
        ("no_texts", "a.tar: bare.jpg has neither captions nor questions nor a label"),
        ("no_texts", "a.tar: empty.jpg has neither captions nor questions nor a label"),
    ]


def test_several_tars(tmp_path: Path) -> None:
    for number in range(3):
        name = "same" if number else "first"
        tar(tmp_path / f"s-{number:03}.tar", (f"{name}.jpg", b""), (f"{name}.json", {"captions": [f"{number}"]}))
    (tmp_path / "s-003.tar").write_bytes((tmp_path / "s-002.tar").read_bytes()[:700])
    found = open_dataset([str(tmp_path / "s-{000..003}.tar")])
    assert captions(found) == {"first": ("0",), "same": ("1",)}
    duplicate, broken = problems(found, tmp_path)
    assert duplicate == ("duplicate", "s-002.tar: same.jpg: the id same is taken by s-001.tar: same.jpg")
    assert broken[0] == "broken" and broken[1].startswith("s-003.tar: not a readable tar (")
    assert found.name == "s-000 ... s-003"


def test_pictures_of_which_nothing_is_said_are_rows_to_describe(tmp_path: Path) -> None:
    found = open_dataset([tar(tmp_path / "a.tar", ("x.jpg", b"X"), ("y.jpg", b"Y"))])
    assert captions(found) == {"x": (), "y": ()} and not found.problems


def test_tars_of_nothing(tmp_path: Path) -> None:
    assert refused([tar(tmp_path / "a.tar")]) == ("empty", "a: holds no rows")
    assert refused([tar(tmp_path / "b.tar", ("readme.txt", b"hi"))]) == ("empty", "b: holds no rows")
    only = tar(tmp_path / "c.tar", ("x.jpg", b"X"), ("x.json", b"{"))
    assert refused([only])[1].startswith("c.tar: x.json is broken JSON (column 2: ")
    (tmp_path / "d.tar").write_bytes(captions_tar(tmp_path / "e.tar").read_bytes()[:700])
    assert refused([tmp_path / "d.tar"])[1].startswith("d.tar: not a readable tar (")


@pytest.mark.parametrize("make", [captions_tar, questions_tar])
def test_rows_are_those_that_training_reads(tmp_path: Path, make: Any) -> None:
    path = make(tmp_path / "a.tar")
    source, found = TarSource([path]), open_dataset([path])
    assert [source[n].key for n in range(len(source))] == [row.id for row in found.rows]
    assert [source[n].image for n in range(len(source))] == [row.media and row.media.read() for row in found.rows]
    assert [len(source[n].texts) for n in range(len(source))] == [
        len(row.captions) + len(row.questions) for row in found.rows
    ]


def test_the_projects_own_data() -> None:
    if not DATA.is_dir():
        pytest.skip("no shared/data beside the repository: it is there only in the project's own workplace")
    flickr = open_dataset([DATA / "flickr8k" / "val-*.tar"])
    daquar = open_dataset([DATA / "daquar" / "val-000.tar"])
    assert len(flickr.rows) == 1000 and all(len(row.captions) == 5 for row in flickr.rows)
    assert len(daquar.rows) == 100 and any("_" in answer for *_, (answer,) in questions(daquar))
    assert not flickr.problems and not daquar.problems


def test_other_options_are_refused(tmp_path: Path) -> None:
    file = captions_tar(tmp_path / "a.tar")
    write(tmp_path / "b.txt", "")
    assert refused([file], media=tmp_path)[1].endswith("a names no pictures to look for there: leave it out")
    assert refused([file], split="val") == ("config", "--split val: a has no splits: leave it out")


def test_lines_count_only_where_json_has_no_texts(tmp_path: Path) -> None:
    """They are not even read then, so their damage does no harm."""
    said = {"a": {"captions": ["one"]}, "b": {"qa": [{"question": "what?", "answer": "x"}]}}
    files = [
        file for key in "ab" for file in ((f"{key}.jpg", b"J"), (f"{key}.json", said[key]), (f"{key}.txt", b"caf\xe9"))
    ]
    found = open_dataset([tar(tmp_path / "a.tar", *files)])
    assert captions(found) == {"a": ("one",), "b": ()} and not found.problems
