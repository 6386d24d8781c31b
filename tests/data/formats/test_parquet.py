"""Parquet tables: columns by their names, pictures as bytes, pairs or paths, and what is wrong in one line."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_data import drawing, png

from pixtell.data.dataset import open_dataset
from pixtell.errors import InputError, MissingExtraError

from .made import captions, problems, questions, refused, touch, write

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed (the extra `parquet`)")
pq = pytest.importorskip("pyarrow.parquet")

RED, BLUE = png(drawing("red", "disc")), png(drawing("blue", "disc"))


def table(path: Path, columns: dict[str, list[Any]], group: int = 100) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=group)
    return path


@pytest.mark.parametrize("name", ["image", "jpg", "IMAGE", "img"])
def test_pictures_as_bytes(tmp_path: Path, name: str) -> None:
    file = table(tmp_path / "a.parquet", {"text": ["x", "y"], name: [RED, BLUE]}, group=1)
    found = open_dataset([file])
    assert captions(found) == {"a/0": ("x",), "a/1": ("y",)} and not found.problems
    assert [row.media.read() for row in found.rows if row.media] == [RED, BLUE]
    assert [row.media.is_folder for row in found.rows if row.media] == [False, False]


def test_pictures_as_hugging_face_writes_them(tmp_path: Path) -> None:
    rows = {
        "image": [{"bytes": RED, "path": "1.png"}, {"bytes": BLUE, "path": None}],
        "captions": [["one", "two"], ["three"]],
        "image_id": [391895, 522418],
    }
    found = open_dataset([table(tmp_path / "a.parquet", rows)])
    assert captions(found) == {"391895": ("one", "two"), "522418": ("three",)}
    assert [row.media.read() for row in pickle.loads(pickle.dumps(found.rows)) if row.media] == [RED, BLUE]


def test_questions_about_one_picture_are_joined(tmp_path: Path) -> None:
    rows = {
        "question_id": [11, 12, 21],
        "image_id": [1, 1, 2],
        "image": [{"bytes": RED, "path": ""}] * 2 + [{"bytes": BLUE, "path": ""}],
        "question": ["what?", "how many?", "where?"],
        "multiple_choice_answer": ["never taken", "where there are answers", ""],
        "answers": [[{"answer": "dog"}, {"answer": "a dog"}], [{"answer": "2"}], [{"answer": "there"}]],
        "answer_type": ["other", "number", "other"],
    }
    found = open_dataset([table(tmp_path / "vqa.parquet", rows)])
    assert questions(found) == [
        ("1", "11", "what?", ("dog", "a dog")),
        ("1", "12", "how many?", ("2",)),
        ("2", "21", "where?", ("there",)),
    ]
    assert found.rows[0].questions[1].answer_type == "number"
    assert [row.media.read() for row in found.rows if row.media] == [RED, BLUE]


def test_pictures_as_paths(tmp_path: Path) -> None:
    touch(tmp_path / "sub", "1.jpg", "2.jpg")
    rows = {"file_name": ["sub/1.jpg", "sub/2.jpg", ""], "label": ["cat", "dog", "cow"]}
    found = open_dataset([table(tmp_path / "a.parquet", rows)])
    assert [(row.label, row.media and row.media.path) for row in found.rows] == [
        ("cat", tmp_path / "sub" / "1.jpg"),
        ("dog", tmp_path / "sub" / "2.jpg"),
    ]
    assert problems(found, tmp_path) == [("broken", "a.parquet: row 2 names no picture")]


def test_several_files_are_one_data_set(tmp_path: Path) -> None:
    for name in "ab":
        table(tmp_path / f"{name}.parquet", {"image": [RED], "caption": [name]})
    assert captions(open_dataset([tmp_path / "*.parquet"])) == {"a/0": ("a",), "b/0": ("b",)}


def test_a_cell_without_a_picture_is_told_when_it_is_read(tmp_path: Path) -> None:
    file = table(tmp_path / "a.parquet", {"image": [RED, None], "caption": ["x", "y"]})
    media = open_dataset([file]).rows[1].media
    assert media is not None
    with pytest.raises(InputError, match=r"^a/1: nothing in its column image") as caught:
        media.read()
    assert caught.value.code == "empty"
    file.unlink()
    with pytest.raises(InputError, match=r"^a/1: no such file"):
        media.read()


def test_a_file_that_changed_is_read_anew(tmp_path: Path) -> None:
    file = table(tmp_path / "a.parquet", {"image": [RED], "caption": ["x"]})
    media = open_dataset([file]).rows[0].media
    assert media is not None and media.read() == RED
    table(file, {"image": [BLUE + b"more"], "caption": ["x"]})
    assert media.read() == BLUE + b"more"


def test_what_is_refused(tmp_path: Path) -> None:
    broken = write(tmp_path / "broken.parquet", b"PAR1" + bytes(40))
    code, message = refused([broken])
    assert code == "broken" and message.startswith("broken.parquet: not a readable parquet file (")
    code, message = refused([table(tmp_path / "b.parquet", {"x": [1], "caption": ["y"]})])
    assert (code, message.startswith("b.parquet: the table has no column of pictures (looked for image")) == (
        "no_pictures",
        True,
    )
    assert message.endswith("it has x, caption)")


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = table(tmp_path / "a.parquet", {"image": [RED], "caption": ["x"]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match=r"a\.parquet: .* pip install 'pixtell\[parquet\]'"):
        open_dataset([file])
