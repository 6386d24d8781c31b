"""Finding files by name: with an ending or without, in the folder or one deeper, and never guessing between two."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pixtell.data.formats.pictures import Pictures, media_key, split_ending

from .made import touch


@pytest.mark.parametrize(
    ("name", "key"),
    [("a.jpg", "a"), ("s/a.b.JPEG", "s/a.b"), ("a.b/c", "a.b/c"), ("v1.5", "v1.5"), (".jpg", ".jpg"), ("a.mp4", "a")],
)
def test_keys(name: str, key: str) -> None:
    assert media_key(name) == key


def test_endings() -> None:
    assert [split_ending(name) for name in ("a.JPG", "a", "d.x/a", ".a")] == [
        ("a", ".jpg"),
        ("a", ""),
        ("d.x/a", ""),
        (".a", ""),
    ]


def test_where_names_are_looked_for(tmp_path: Path) -> None:
    media = touch(tmp_path / "m", "a.jpg", "b.mp4", "val/c.jpg", "frames/0.jpg", "two.d/x.txt", "x/both.jpg")
    touch(media, "y/both.jpg", "note.txt")
    near = touch(tmp_path / "n", "a.jpg", "near.jpg", "deep/e.jpg")
    pictures = Pictures(media)

    def found(*names: str) -> list[str]:
        return [hit.path.relative_to(tmp_path).as_posix() for hit in pictures.find(names, near)]

    assert found("a.jpg") == found("a") == found("none", "a") == ["m/a.jpg"]
    assert found("b") == ["m/b.mp4"] and found("frames") == ["m/frames"]
    assert found("c.jpg") == found("val/c.jpg") == found("val/c") == ["m/val/c.jpg"]
    assert found("near.jpg") == ["n/near.jpg"]
    assert found("e.jpg") == found("b.jpg") == found("note") == found("n/a.jpg") == []
    assert found("both.jpg") == ["m/x/both.jpg", "m/y/both.jpg"]
    assert found("x/both.jpg") == ["m/x/both.jpg"]
    assert found(str(media / "a.jpg")) == ["m/a.jpg"]
    assert pictures.expected(["z.jpg"], near).path == media / "z.jpg"


def test_nowhere_to_look(tmp_path: Path) -> None:
    assert not Pictures(None).looks(None) and Pictures(None).looks(tmp_path) and Pictures(tmp_path).looks(None)
    assert Pictures(tmp_path / "none").find(["a.jpg"], None) == []


def test_a_folder_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, *(f"{n}.jpg" for n in range(20)))
    listed: list[str] = []
    scandir = os.scandir

    def counting(path: str) -> object:
        listed.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counting)
    pictures = Pictures(tmp_path)
    assert all(pictures.find([f"{n}.jpg"], None) for n in range(20))
    assert listed == [str(tmp_path)]
