"""Tars of rows: read in any order, and refused by name when something is wrong with them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from tiny_data import captions_tar, drawing, png, questions_tar, write_tar

from pixtell.data.example import TextPair
from pixtell.data.sources import TarSource, clean_caption, read_texts
from pixtell.errors import InputError

PICTURE = png(drawing("red", "disc"))
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def test_rows_of_several_tars_in_the_order_of_their_names(tmp_path: Path) -> None:
    second, first = questions_tar(tmp_path / "b.tar"), captions_tar(tmp_path / "a.tar")
    source = TarSource([second, str(first)])
    assert len(source) == 12
    assert source[0].key == "red-disc" and source[0].image == PICTURE
    assert source[0].texts == (TextPair("", "a red disc"), TextPair("", "a disc of red"))
    assert source[8].texts == (TextPair("what colour is it ?", "red"),)
    assert [source[row].key for row in (11, 3)] == ["yellow", "green-square"], "rows come in any order"
    assert source.texts() == [pair for row in range(12) for pair in source[row].texts]


def test_names_and_order_within_a_tar_are_free(tmp_path: Path) -> None:
    text = {"captions": ["a"], "qa": [{"question": "what?", "answer": "soft_toy"}]}
    files = [
        ("x/1.JSON.json", text),
        ("./y.json", text),
        ("x/1.JSON.JPG", PICTURE),
        ("note.txt", b"?"),
        ("./y.webp", b"w"),
    ]
    source = TarSource([write_tar(tmp_path / "a.tar", files)])
    assert [source[row].key for row in range(2)] == ["x/1.JSON", "./y"]
    assert source[1].image == b"w"
    assert source[0].texts == (TextPair("", "a"), TextPair("what?", "soft toy"))


@pytest.mark.parametrize(
    ("caption", "clean"),
    [
        ("A dog runs .", "A dog runs"),
        (" a dog. ", "a dog"),
        ("a.b", "a.b"),
        ("wait ...", "wait .."),
        (".", ""),
        ("", ""),
    ],
)
def test_captions_lose_their_full_stop(caption: str, clean: str) -> None:
    assert clean_caption(caption) == clean


@pytest.mark.parametrize(
    "description",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[1]",
        b"{}",
        b'{"captions": []}',
        b'{"captions": "a dog"}',
        b'{"captions": [3]}',
        b'{"captions": null}',
        b'{"caption": "a dog"}',
        b'{"qa": [{"question": "what?"}]}',
        b'{"qa": {"question": "what?", "answer": "that"}}',
        b'{"qa": ["what?"]}',
    ],
)
def test_texts_that_are_none_are_refused_by_name(description: bytes) -> None:
    with pytest.raises(InputError, match=r"^photo7\.json: ") as caught:
        read_texts("photo7", description)
    assert caught.value.code == "broken" and "\n" not in str(caught.value)


def test_numbers_may_be_answers() -> None:
    assert read_texts("k", b'{"qa": [{"question": "how many?", "answer": 3}]}') == (TextPair("how many?", "3"),)


def test_a_picture_without_json(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("1.jpg", PICTURE), ("1.json", {"captions": ["a"]}), ("2.jpg", PICTURE)])
    with pytest.raises(InputError, match=r"a\.tar: 2\.jpg has no 2\.json beside it"):
        TarSource([path])


def test_tars_that_are_missing_or_none(tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.tar", tmp_path / "text.tar"
    empty.write_bytes(b"")
    text.write_text("this is not a tar " * 100)
    packed = tmp_path / "packed.tar.gz"
    packed.write_bytes(gzip.compress(captions_tar(tmp_path / "good.tar").read_bytes()))
    no_rows = write_tar(tmp_path / "no_rows.tar", [("readme.txt", b"hello")])
    for paths, code, words in (
        ([tmp_path / "none.tar"], "missing", r"none\.tar: no such file"),
        ([empty], "broken", r"empty\.tar: not a readable tar"),
        ([text], "broken", r"text\.tar: not a readable tar"),
        ([packed], "broken", r"packed\.tar\.gz: not a readable tar"),
        ([tmp_path], "broken", "not a readable tar"),
        ([no_rows], "empty", r"no pictures in .*no_rows\.tar"),
        ([], "empty", "no pictures in no tars"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            TarSource(paths)
        assert caught.value.code == code and "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [513, 700, 2048 + 100, 5000])
def test_a_tar_that_breaks_off_is_not_read_as_a_shorter_one(tmp_path: Path, cut: int) -> None:
    path = captions_tar(tmp_path / "a.tar")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"a\.tar: "):
        TarSource([path])


def test_a_damaged_header_is_not_the_end(tmp_path: Path) -> None:
    path = captions_tar(tmp_path / "a.tar")
    content = bytearray(path.read_bytes())
    place = content.index(b"blue-disc.png")
    content[place : place + 40] = b"\xff" * 40
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.tar: not a readable tar \(no member's header at byte {place:,}\)"):
        TarSource([path])


def test_the_projects_own_data() -> None:
    if not DATA.is_dir():
        pytest.skip("no shared/data beside the repository: it is there only in the project's own workplace")
    flickr, daquar = TarSource(DATA.glob("flickr8k/val-*.tar")), TarSource(DATA.glob("daquar/val-*.tar"))
    assert (len(flickr), len(daquar)) == (1000, 100)
    assert all(len(flickr[row].texts) == 5 for row in range(0, 1000, 100))
    texts = daquar.texts()
    assert all(pair.prompt and pair.target and "_" not in pair.target for pair in texts)
