"""Rows in tars and back: keys that any reader takes, endings by content, texts word for word."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_data import drawing, jpeg, png

from pixtell.data.dataset import open_dataset
from pixtell.data.row import Question, Row
from pixtell.data.tar_rows import add_row, ending_of, keys_of, tar_path
from pixtell.errors import ConfigError

PICTURE = png(drawing("red", "disc"))
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(str.strip)


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    found = []
    for number in range(draw(st.integers(1, 4))):
        captions = tuple(draw(st.lists(TEXTS, max_size=3)))
        questions = tuple(
            Question(
                f"{number}-{q}",
                draw(TEXTS),
                tuple(draw(st.lists(TEXTS, max_size=3))),
                draw(st.sampled_from(["", "other"])),
            )
            for q in range(draw(st.integers(0, 2)))
        )
        label = draw(TEXTS) if not captions and not questions else ""
        found.append(Row(f"row{number}", None, captions, questions, label))
    return found


@settings(max_examples=40)
@given(rows())
def test_rows_come_back(made: list[Row]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.tar"
        with tarfile.open(path, "w") as tar:
            for key, row in zip(keys_of(made), made, strict=True):
                add_row(tar, key, row, PICTURE, ".png")
        found = open_dataset([path])
        assert [(row.id, row.captions, row.questions, row.label) for row in found.rows] == [
            (row.id, row.captions, row.questions, row.label) for row in made
        ]
        assert all(row.media and row.media.read() == PICTURE for row in found.rows) and not found.problems


@given(st.lists(st.text(st.sampled_from("ab./\\ _-\0:é"), max_size=8), unique=True, max_size=8))
def test_keys_are_safe_and_their_own(ids: list[str]) -> None:
    keys = keys_of([Row(one) for one in ids])
    assert len(set(keys)) == len(ids)
    for key in keys:
        assert key and "." not in key and "\0" not in key
        assert all(key.split("/")), "no folder without a name"


def test_good_ids_are_their_own_keys() -> None:
    ids = ["391895", "sub/photo 1", "COCO_val2014_000000391895", "-4wsuPCjDBc_5_15"]
    assert keys_of([Row(one) for one in ids]) == ids
    assert keys_of([Row("a.b"), Row("a_b"), Row("../x"), Row("x" * 500)]) == ["a_b", "a_b_1", "__/x", "x" * 200]


@pytest.mark.parametrize(
    ("content", "ending"),
    [
        (PICTURE, ".png"),
        (jpeg(drawing("red", "disc")), ".jpg"),
        (b"GIF89a", ".gif"),
        (b"RIFF\0\0\0\0WEBP", ".webp"),
        (b"RIFF\0\0\0\0AVI LIST", ".avi"),
        (b"\0\0\0\x18ftypmp42", ".mp4"),
        (b"\0\0\0\x18ftypqt  ", ".mov"),
        (b"\0\0\0\x18ftypavif", ""),
        (b"\x1a\x45\xdf\xa3....webm", ".webm"),
        (b"\x1a\x45\xdf\xa3....matroska", ".mkv"),
        (b"BM....", ""),
        (b"", ""),
    ],
)
def test_endings_by_content(content: bytes, ending: str) -> None:
    assert ending_of(content) == ending


def test_a_tar_has_no_time_and_no_owner() -> None:
    buffers = []
    for _ in range(2):
        buffers.append(io.BytesIO())
        with tarfile.open(fileobj=buffers[-1], mode="w") as tar:
            add_row(tar, "1", Row("1", captions=("ü",)), PICTURE, ".png")
    assert buffers[0].getvalue() == buffers[1].getvalue()
    with tarfile.open(fileobj=io.BytesIO(buffers[0].getvalue())) as tar:
        assert {(member.mtime, member.uid, member.uname) for member in tar} == {(0, 0, "")}


def test_names_of_tars() -> None:
    assert tar_path("x/%06d.tar", 12) == Path("x/000012.tar") and tar_path("a-%d.tar", 3) == Path("a-3.tar")
    for pattern in ("x.tar", "%06d.zip", "%d-%d.tar", "%03d/x.tar"):
        with pytest.raises(ConfigError, match="tars are numbered"):
            tar_path(pattern, 0)
