"""Tars of rows: read in any order, and refused by name when something is wrong with them."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_data import captions_tar, drawing, png, questions_tar, write_tar

from pixtell.data.dataset import Dataset, open_dataset
from pixtell.data.example import TextPair
from pixtell.data.row import Question, Row, Stored
from pixtell.data.sources import RowSource, TarSource, answered, clean_caption, texts_of
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
    assert [source[row].key for row in range(2)] == ["x/1.JSON", "y"]
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


def asked(*answers: str) -> Question:
    return Question("q", "what?", answers)


@pytest.mark.parametrize(
    ("row", "texts"),
    [
        (Row("r", captions=("A dog .", " . ", "")), [("", "A dog")]),
        (Row("r", captions=("a",), questions=(asked("soft_toy"),), label="x"), [("", "a"), ("what?", "soft toy")]),
        (Row("r", label="golden_retriever"), [("", "golden retriever")]),
        (Row("r", label="SALE"), [("", "SALE")]),
        (Row("r", questions=(asked(), asked("", " "))), []),
        (Row("r"), []),
    ],
)
def test_what_is_learnt_of_a_row(row: Row, texts: list[tuple[str, str]]) -> None:
    assert [(pair.prompt, pair.target) for pair in texts_of(row)] == texts


@pytest.mark.parametrize(
    ("row", "named"),
    [
        (Row("1", label="soft_toy"), True),
        (Row("1", captions=(" . ",), questions=(Question("1", "what ?"),), label="toy"), True),
        (Row("1", captions=("a toy",), label="toy"), False),
        (Row("1", questions=(Question("1", "what ?", ("toy",)),), label="toy"), False),
    ],
)
def test_rows_that_are_named_can_be_told(row: Row, named: bool) -> None:
    source = RowSource(Dataset("", (replace(row, media=Stored(Path("1.png"), "1.png")),)))
    assert source.is_named(0) is named


def test_of_many_answers_the_commonest_is_the_target() -> None:
    pair = answered(asked("a", "b_c", "b c", "", "a", "b c"))
    assert pair == TextPair("what?", "b c", ("a", "b c", "a", "b c"))
    assert answered(asked("x", "y")) == TextPair("what?", "x", ("y",)), "of equals the first"


def test_rows_without_picture_or_text_are_left_out(tmp_path: Path) -> None:
    place = Stored(captions_tar(tmp_path / "a.tar"), "p")
    rows = (Row("1", place, ("a",)), Row("2", None, ("a",)), Row("3", place), Row("4", place, label="x"))
    source = RowSource(Dataset("d", rows))
    assert [source.key(number) for number in range(len(source))] == ["1", "4"] and source.unused == 2
    assert source.media(1) == place and source.row_texts(1) == (TextPair("", "x"),)
    with pytest.raises(InputError, match="d: none of its 2 rows has both a picture and a text"):
        RowSource(Dataset("d", rows[1:3]))


def test_a_folder_of_frames_is_its_path(tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    source = RowSource(Dataset("d", (Row("1", Stored(tmp_path / "clip", "clip"), ("a",)),)))
    assert source[0].image == tmp_path / "clip"


def test_tars_for_training_must_be_whole(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("1.jpg", PICTURE), ("1.json", {"captions": ["a"]}), ("2.jpg", PICTURE)])
    with pytest.raises(InputError, match=r"a\.tar: 2\.jpg has neither captions nor questions nor a label"):
        TarSource([path])
    assert len(RowSource(open_dataset([path]))) == 1


def test_tars_that_are_missing_or_none(tmp_path: Path) -> None:
    empty, text = tmp_path / "empty.tar", tmp_path / "text.tar"
    empty.write_bytes(b"")
    text.write_text("this is not a tar " * 100)
    packed = tmp_path / "packed.tar.gz"
    packed.write_bytes(gzip.compress(captions_tar(tmp_path / "good.tar").read_bytes()))
    no_rows = write_tar(tmp_path / "no_rows.tar", [("readme.txt", b"hello")])
    for paths, code, words in (
        ([tmp_path / "none.tar"], "missing", r"none\.tar: no such file"),
        ([empty], "empty", r"empty\.tar: there is nothing in it"),
        ([text], "unsupported", r"text\.tar: is text of another kind"),
        ([packed], "unsupported", r"packed\.tar\.gz: is gzip"),
        ([no_rows], "empty", r"no_rows: holds no rows"),
        ([], "empty", "no data set"),
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
