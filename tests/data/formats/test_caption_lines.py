"""Captions in lines and in CSV, as Flickr8k's two editions have them."""

from __future__ import annotations

from pathlib import Path

from pixtell.data.dataset import open_dataset

from .made import captions, pictures, problems, refused, touch, write


def test_lines(tmp_path: Path) -> None:
    text = "1_a.jpg#0\tA child .\r\n2_b.jpg#0\tA dog .\n1_a.jpg#1\tA girl , at a door .\n"
    file = write(tmp_path / "Flickr8k.token.txt", text + "no tab\n1_a.png#0\tother\n3.jpg#0\t\n")
    found = open_dataset([file])
    assert captions(found) == {"1_a": ("A child .", "A girl , at a door ."), "2_b": ("A dog .",)}
    assert [row.media for row in found.rows] == [None, None]
    assert problems(found, tmp_path) == [
        ("broken", "Flickr8k.token.txt: line 4 is not a picture's name, a tab and a caption"),
        ("duplicate", "Flickr8k.token.txt: line 5: the id 1_a is that of 1_a.jpg too"),
        ("empty", "Flickr8k.token.txt: line 6 has an empty caption"),
        ("no_texts", "Flickr8k.token.txt: line 6 has neither captions nor questions nor a label"),
    ]
    media = touch(tmp_path / "Images", "1_a.jpg", "2_b.jpg")
    assert list(pictures(open_dataset([file], media=media), media).values()) == ["1_a.jpg", "2_b.jpg"]


def test_csv(tmp_path: Path) -> None:
    text = 'image,caption\na.jpg,"A dog, ""Rex""\nby name"\nb.jpg,A cat\na.jpg,Two\nshort\n'
    found = open_dataset([write(tmp_path / "captions.txt", "\ufeff" + text)])
    assert captions(found) == {"a": ('A dog, "Rex"\nby name', "Two"), "b": ("A cat",)}
    assert problems(found, tmp_path) == [("broken", "captions.txt: line 6 has 1 columns and no picture with a caption")]
    code, message = refused([write(tmp_path / "bad.txt", b"image,caption\na.jpg,caf\xe9\n")])
    assert code == "broken" and message.startswith("bad.txt: is no CSV file in UTF-8 (")


def test_lines_that_are_not_utf8(tmp_path: Path) -> None:
    found = open_dataset([write(tmp_path / "c.txt", b"a.jpg\tone\nb.jpg\tcaf\xe9\n")])
    assert problems(found, tmp_path) == [("broken", "c.txt: line 2 is not UTF-8 text (byte 9)")]
