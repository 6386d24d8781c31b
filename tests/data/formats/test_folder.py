"""Folders: a file of captions, texts beside pictures, a folder a class, or pictures alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_data import write_tar

from pixtell.data.dataset import open_dataset

from .made import captions, lines, pictures, problems, questions, refused, touch, write


def test_texts_beside_pictures(tmp_path: Path) -> None:
    folder = touch(tmp_path / "photos", "a.jpg", "b.png", "sub/c.mp4", "d.jpg", ".hidden/x.jpg", ".y.jpg", "readme.md")
    write(folder / "a.txt", "one\ntwo\n")
    write(folder / "b.caption", "three")
    write(folder / "sub/c.json", {"qa": [{"question": "what?", "answer": "a"}]})
    found = open_dataset([folder])
    assert captions(found) == {"a": ("one", "two"), "b": ("three",), "sub/c": ()}
    assert questions(found) == [("sub/c", "sub/c#0", "what?", ("a",))]
    assert pictures(found, folder) == {"a": "a.jpg", "b": "b.png", "sub/c": "sub/c.mp4"}
    assert found.rows[0].media and found.rows[0].media.read() == b"not a picture: a.jpg"
    assert problems(found, tmp_path) == [
        ("no_texts", "photos/d.jpg has neither captions nor questions nor a label"),
    ]
    assert found.name == "photos"


def test_a_tar_and_the_folder_it_unpacks_to_are_the_same(tmp_path: Path) -> None:
    files = [("a.jpg", b"A"), ("a.json", {"captions": ["x"], "label": "l"}), ("s/b.jpg", b"B"), ("s/b.txt", b"y\nz")]
    for name, content in files:
        write(tmp_path / "f" / name, content)
    told = [
        [(row.id, row.captions, row.label, row.media and row.media.read()) for row in open_dataset([source]).rows]
        for source in (write_tar(tmp_path / "t.tar", files), tmp_path / "f")
    ]
    assert told[0] == told[1]


def test_classes_are_folders(tmp_path: Path) -> None:
    folder = touch(tmp_path / "val", "cat/1.jpg", "cat/2.jpg", "n01440764/1.JPEG")
    found = open_dataset([folder])
    assert [(row.id, row.label) for row in found.rows] == [
        ("cat/1", "cat"),
        ("cat/2", "cat"),
        ("n01440764/1", "n01440764"),
    ]
    touch(folder, "stray.jpg")
    assert problems(open_dataset([folder]), tmp_path) == [
        ("no_texts", "val/stray.jpg has neither captions nor questions nor a label")
    ]


def test_pictures_alone_are_rows_to_describe(tmp_path: Path) -> None:
    found = open_dataset([touch(tmp_path / "photos", "b.jpg", "a.jpg", "notes.pdf")])
    assert captions(found) == {"a": (), "b": ()} and not found.problems


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metadata.jsonl", lines(*({"file_name": f"{n}.jpg", "text": f"photo {n}"} for n in range(2)))),
        ("captions.jsonl", lines(*({"image": f"{n}.jpg", "caption": f"photo {n}"} for n in range(2)))),
        ("captions.txt", "0.jpg#0\tphoto 0\n1.jpg#0\tphoto 1\n"),
        ("captions.txt", "image,caption\n0.jpg,photo 0\n1.jpg,photo 1\n"),
        ("metadata.csv", "file_name,text\n0.jpg,photo 0\n1.jpg,photo 1\n"),
    ],
)
@pytest.mark.parametrize("place", ["", "Images/"])
def test_a_file_of_captions_is_the_data_set(tmp_path: Path, name: str, content: str, place: str) -> None:
    folder = touch(tmp_path / "flickr", *(f"{place}{n}.jpg" for n in range(3)))
    write(folder / name, content)
    found = open_dataset([folder])
    assert captions(found) == {"0": ("photo 0",), "1": ("photo 1",)}
    assert pictures(found, folder) == {"0": f"{place}0.jpg", "1": f"{place}1.jpg"}
    assert not found.problems


def test_a_file_of_captions_and_what_it_names_wrongly(tmp_path: Path) -> None:
    folder = touch(tmp_path / "f", "train/a.jpg", "test/a.jpg", "test/b.jpg")
    write(folder / "captions.txt", "a.jpg\tone\nb.jpg\ttwo\nc.jpg\tthree\n")
    found = open_dataset([folder])
    assert list(captions(found)) == ["b", "c"]
    assert problems(found, folder) == [
        ("ambiguous", "captions.txt: line 1: a.jpg may be test/a.jpg and train/a.jpg: name one folder"),
        ("missing", "captions.txt: line 3: c.jpg is not at c.jpg"),
    ]
    write(folder / "captions.txt", "c.jpg\tthree\nd.jpg\tfour\n")
    assert refused([folder]) == ("missing", "f: none of the 2 pictures is there (the first is c.jpg)")


def test_folders_without_pictures(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    assert refused([nothing]) == (
        "no_pictures",
        "nothing: the folder holds no pictures or clips (0 other files)",
    )
    shards = touch(tmp_path / "shards", "a-0.tar", "a-1.tar")
    assert refused([shards])[1].endswith("(2 tars: name them, as in shards/a-0.tar)")
