"""The door to data sets: the same rows come back from every format that can hold them, and open quickly and lean."""

from __future__ import annotations

import gc
import json
import re
import time
import tracemalloc
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_data import captions_tar, write_tar

from pixtell.data.dataset import Dataset, open_dataset
from pixtell.data.row import Question, Row
from pixtell.errors import PixtellError

from .formats.made import lines, refused, touch, write

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)
NAMES = st.text("abcXYZ0189_-", min_size=1, max_size=6)
FIELDS = re.findall(
    r"\w+",
    """id image_id image caption captions qa question answer answers question_id label images annotations sentences
    questions data videos video_id filename split raw tokens set_name caption_str file_name""",
)
QUESTIONS = st.lists(st.tuples(TEXTS, st.lists(TEXTS, max_size=3)), max_size=3)


@st.composite
def made_rows(draw: st.DrawFn, questions: bool = True) -> list[Row]:
    """Rows with ids of their own, each with a text at least."""
    rows = []
    for name in draw(st.lists(NAMES, min_size=1, max_size=4, unique=True)):
        captions = draw(st.lists(TEXTS, min_size=1, max_size=3))
        asked = draw(QUESTIONS) if questions else []
        rows.append(
            Row(
                name,
                None,
                tuple(captions),
                tuple(Question(f"{name}#{n}", text, tuple(answers)) for n, (text, answers) in enumerate(asked)),
                draw(st.just("") | TEXTS) if questions else "",
            )
        )
    return rows


def picture(row: Row) -> bytes:
    return f"the bytes of {row.id}".encode() * 3


def described(row: Row) -> dict[str, Any]:
    qa = [{"question": one.text, "answers": list(one.answers), "question_id": one.id} for one in row.questions]
    return {"captions": list(row.captions), "qa": qa, "label": row.label or None}


def as_lines(folder: Path, rows: list[Row]) -> list[Path]:
    for row in rows:
        write(folder / f"{row.id}.jpg", picture(row))
    return [write(folder / "x.jsonl", lines(*({"image": f"{row.id}.jpg", **described(row)} for row in rows)))]


def as_list(folder: Path, rows: list[Row]) -> list[Path]:
    as_lines(folder, rows)
    return [write(folder / "x.json", [{"id": row.id, "image": f"{row.id}.jpg", **described(row)} for row in rows])]


def as_tars(folder: Path, rows: list[Row]) -> list[Path]:
    paths = []
    for number, part in enumerate((rows[:2], rows[2:])):
        files = [f for row in part for f in ((f"{row.id}.json", described(row)), (f"{row.id}.jpg", picture(row)))]
        paths += [write_tar(folder / f"{number}.tar", files)] if part else []
    return paths


def as_folder(folder: Path, rows: list[Row]) -> list[Path]:
    for row in rows:
        write(folder / "f" / f"{row.id}.json", described(row))
        write(folder / "f" / f"{row.id}.png", picture(row))
    return [folder / "f"]


def as_tsv(folder: Path, rows: list[Row]) -> list[Path]:
    images = "".join(f"{row.id}\t{b64encode(picture(row)).decode()}\n" for row in rows)
    texts = "".join(f"{row.id}\t{json.dumps([described(row)])}\n" for row in rows)
    return [write(folder / "texts.tsv", texts), write(folder / "images.tsv", images)]


def told(dataset: Dataset) -> list[tuple[Any, ...]]:
    return sorted(
        (row.id, row.captions, row.questions, row.label, row.media and row.media.read()) for row in dataset.rows
    )


@pytest.mark.parametrize("write_rows", [as_lines, as_list, as_tars, as_folder, as_tsv])
@settings(max_examples=25)
@given(rows=made_rows())
def test_rows_come_back_from_every_format(write_rows: Callable[[Path, list[Row]], list[Path]], rows: list[Row]) -> None:
    with TemporaryDirectory() as folder:
        found = open_dataset(write_rows(Path(folder), rows))
        assert not found.problems
        expected = [(row.id, row.captions, row.questions, row.label, picture(row)) for row in rows]
        assert told(found) == sorted(expected)


@settings(max_examples=25)
@given(rows=made_rows(questions=False))
def test_captions_come_back_from_coco(rows: list[Row]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        as_lines(folder / "media", rows)
        images = [{"id": row.id, "file_name": f"{row.id}.jpg"} for row in rows]
        annotations = [{"image_id": row.id, "caption": caption} for row in rows for caption in row.captions]
        split = [
            {
                "cocoid": row.id,
                "filename": f"{row.id}.jpg",
                "split": "test",
                "sentences": [{"raw": c} for c in row.captions],
            }
            for row in rows
        ]
        plain = write(folder / "captions.json", {"images": images, "annotations": annotations})
        karpathy = write(folder / "dataset.json", {"images": split})
        expected = sorted((row.id, row.captions, (), "", picture(row)) for row in rows)
        assert told(open_dataset([plain], media=folder / "media")) == expected
        assert told(open_dataset([karpathy], media=folder / "media", split="test")) == expected


@settings(max_examples=100)
@given(
    content=st.binary(max_size=80)
    | st.text(max_size=80)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.sampled_from(["x", "", "a.jpg"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(FIELDS),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_no_content_brings_it_down(content: Any) -> None:
    """Whatever is in a file: rows with problems, or an error of ours in one line."""
    with TemporaryDirectory() as folder:
        try:
            found = open_dataset([write(Path(folder) / "x", content)])
        except PixtellError as error:
            assert "\n" not in str(error)
        else:
            assert found.rows and all("\n" not in one.message for one in found.problems)


DOCUMENTS: list[Any] = [
    {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 1, "caption": "x"}]},
    {"images": [{"cocoid": 1, "filename": "a.jpg", "split": "val", "sentences": [{"raw": "x", "tokens": ["x"]}]}]},
    {"data_subtype": "val2014", "questions": [{"image_id": 1, "question_id": 2, "question": "x"}]},
    {"data": [{"image_id": "a", "question": "x", "question_id": 1, "answers": ["y"], "set_name": "val"}]},
    {"videos": [{"video_id": "v", "split": "val"}], "sentences": [{"video_id": "v", "caption": "x"}]},
    [{"id": 1, "video_id": 2, "question": "x", "answer": "y"}],
    [{"image": "a.jpg", "qa": [{"question": "x", "answers": [{"answer": "y"}]}], "label": "z", "captions": ["c"]}],
]
JUNK: list[Any] = [None, True, 0, -1.5, "", " ", "x\n", [], {}, [None], [[]], ["x"], {"a": 1}, [{}]]
JUNK += ["../../x", "\0", "\0/x", "\ud800/x"]  # names that no file can have, or should


def damaged(value: Any, draw: st.DrawFn) -> Any:
    """The value with junk in the place of itself, or of something in it."""
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(JUNK))
    key = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
    copy = value.copy()
    copy[key] = damaged(value[key], draw)
    return copy


@settings(max_examples=150)
@given(data=st.data(), with_media=st.booleans())
def test_no_damage_brings_it_down(data: st.DataObject, with_media: bool) -> None:
    """Junk anywhere in a document of any kind: rows with problems, or one line."""
    content = json.dumps(damaged(data.draw(st.sampled_from(DOCUMENTS)), data.draw))
    with TemporaryDirectory() as folder:
        media = touch(Path(folder) / "media", "a.jpg", "v.mp4", "2.mp4") if with_media else None
        try:
            found = open_dataset([write(Path(folder) / "x", content)], media=media)
        except PixtellError as error:
            assert "\n" not in str(error)
        else:
            assert found.rows and all("\n" not in one.message for one in found.problems)


def test_files_of_several_formats_are_not_one_data_set(tmp_path: Path) -> None:
    tar, rows = captions_tar(tmp_path / "a.tar"), write(tmp_path / "b.jsonl", lines({"id": 1, "caption": "x"}))
    code, message = refused([tar, rows])
    assert code == "config"
    assert message == "a.tar is tar and b.jsonl is JSON lines: name the files of one data set"


def test_names_are_short(tmp_path: Path) -> None:
    for number in range(3):
        write_tar(tmp_path / f"val-{number}.tar", [(f"{number}.jpg", b""), (f"{number}.txt", b"x")])
    one, two, all_ = ([tmp_path / f"val-{n}.tar" for n in range(size)] for size in (1, 2, 3))
    assert [open_dataset(paths).name for paths in (one, two, all_)] == ["val-0", "val-0 + val-1", "val-0 ... val-2"]
    assert open_dataset([f"{touch(tmp_path / 'photos', 'a.jpg')}/"]).name == "photos"


def test_what_is_missing(tmp_path: Path) -> None:
    assert refused([]) == ("empty", "no data set: name its files or its folder")
    assert refused([tmp_path / "x.json"]) == ("missing", "x.json: no such file or folder")
    assert refused([tmp_path / "x*.json"]) == ("missing", "x*.json: no file is called so")


def test_the_garbage_collector_is_left_as_it_was(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", lines({"id": 1, "caption": "x"}))
    for state in (gc.disable, gc.enable):
        state()
        before = gc.isenabled()
        open_dataset([file])
        refused([tmp_path / "none"])
        assert gc.isenabled() == before


def test_rows_open_quickly(tmp_path: Path) -> None:
    """Processor time, which other work on the machine leaves alone; 100,000 such rows take 1.8 s."""
    rows = ({"image": f"{n:06}.jpg", "captions": ["a dog runs"] * 5} for n in range(20_000))
    file = write(tmp_path / "x.jsonl", lines(*rows))
    before = time.process_time()
    assert len(open_dataset([file]).rows) == 20_000
    assert time.process_time() - before < 2


def test_nothing_of_a_picture_is_read(tmp_path: Path) -> None:
    big = bytes(20_000_000)
    sources = [
        [write_tar(tmp_path / "a.tar", [("a.jpg", big), ("a.json", {"captions": ["x"]})])],
        [write(tmp_path / "a.tsv", b"a\t" + b64encode(big) + b"\n")],
        [write(tmp_path / "f" / "a.jpg", big).parent],
    ]
    del big
    tracemalloc.start()
    try:
        for paths in sources:
            assert len(open_dataset(paths).rows) == 1
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
