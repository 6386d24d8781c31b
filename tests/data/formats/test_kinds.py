"""A file's kind is seen from its content, whatever it is called; what is not read is told by name."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from tiny_data import captions_tar

from pixtell.data.formats.kinds import KINDS, READ, csv_columns, recognise
from pixtell.errors import InputError

from .made import lines, write

PICTURE = b64encode(bytes(60)).decode()
ANSWERS = {"annotations": [{"question_id": 1, "answers": []}]}
MADE: list[tuple[str, Any]] = [
    ("rows", lines({"id": 1}, {"id": 2})),
    ("rows", lines({"id": 1, "captions": ["one row"]})),
    ("rows", '{"broken\n{"id": 2}\n'),
    ("rows", lines({"id": 1}, "broken")),
    ("rows", [{"image": "a.jpg", "caption": "x"}]),
    ("rows", [{"image_id": 3, "image": "a.jpg", "caption": "x"}]),
    ("rows", "\ufeff\n" + lines({"id": 1}, {"id": 2})),
    ("coco captions", {"images": [], "annotations": [{"image_id": 1, "caption": "x"}]}),
    ("coco captions", json.dumps({"images": [{"id": 1}], "annotations": []}, indent=1)),
    ("karpathy", {"images": [{"sentences": []}], "dataset": "coco"}),
    ("vqa questions", {"questions": [{"question_id": 1}]}),
    ("vqa annotations", ANSWERS),
    ("vqa annotations", "\ufeff" + json.dumps(ANSWERS)),
    ("textvqa", {"data": [{"image_id": "a", "question": "x"}]}),
    ("video captions", {"videos": [], "sentences": []}),
    ("video qa", [{"video_id": 1, "question": "x"}]),
    ("video qa", [None, {"video_id": 1, "question": "x"}]),
    ("image tsv", f"key\t{PICTURE}\n"),
    ("image tsv", f"key\t{PICTURE * 2000}\n"),
    ("text tsv", 'key\t[{"caption": "x"}]\n'),
    ("caption lines", "a.jpg#0\tA dog .\n"),
    ("caption lines", f"a.jpg\t{PICTURE[:20]}\n"),
    ("caption lines", "image,caption\na.jpg,x\n"),
    ("video captions", [{"videoID": "a_000001_000011", "enCap": ["x"]}]),
    ("msvd csv", "VideoID,Start,End,WorkerID,Source,AnnotationTime,Language,Description\na,1,2,3,clean,4,English,x\n"),
    ("msvd lines", "# all of them\n\nmv89psg6zh4_33_46 a bird in a sink\n"),
    ("parquet", b"PAR1" + bytes(20)),
]


@pytest.mark.parametrize(("kind", "content"), MADE)
def test_kinds_by_content(tmp_path: Path, kind: str, content: Any) -> None:
    assert recognise(write(tmp_path / "file.tar", content)).kind == kind


def test_tars_and_folders(tmp_path: Path) -> None:
    tar = captions_tar(tmp_path / "x.json")
    assert (recognise(tar).kind, recognise(tmp_path).kind) == ("tar", "folder")
    assert {kind for kind, _ in MADE} | {"tar", "folder"} == set(KINDS)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(b"{}"), "is gzip: unpack it first"),
        (b"PK\x03\x04", "is a zip archive"),
        (b"\xff\xd8\xff\xe0", "is a picture: name the folder that it lies in"),
        (b"ab\0c", "is neither a tar nor UTF-8 text"),
        ("two boats on a lake\n", "is text of another kind"),
        ({"images": [{"id": 1}], "annotations": [{"bbox": [1], "image_id": 1}]}, "holds COCO's boxes"),
        ({"data": [{"x": 1}]}, "is JSON of a kind that is not known"),
    ],
)
def test_what_is_not_read(tmp_path: Path, content: Any, words: str) -> None:
    with pytest.raises(InputError) as caught:
        recognise(write(tmp_path / "x", content))
    assert caught.value.code == "unsupported"
    assert words in str(caught.value) and str(caught.value).endswith(READ)


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        ("", "empty", "there is nothing in it"),
        (" \n", "empty", "there is nothing in it"),
        ([], "empty", "is a JSON list of nothing"),
        ('{"images": [\n{"id": 1},\n', "broken", "is broken JSON (line "),
        ('{"images": [{"id": 1}, "annot', "broken", "is broken JSON (column 24: "),
        ("[1, 2", "broken", "is broken JSON (column 6: "),
        ("[" * 200_000, "broken", "is broken JSON ("),
        (b'[{"a": "\xe9"}]', "broken", "is not UTF-8 text (byte 8)"),
        ([{"image_id": 1, "caption": "x"}], "unsupported", "is a COCO result file, texts of a model"),
        ([{"question_id": 1, "answer": "x"}], "unsupported", "is a VQA result file, answers of a model"),
        ('{"run": {"task": "caption"}}\n{"id": "1", "text": "x"}\n', "unsupported", "is a file of predictions"),
        ('{"run": {"task": "caption"}}\n', "unsupported", "is a file of predictions"),
    ],
)
def test_what_can_not_be_used(tmp_path: Path, content: Any, code: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        recognise(write(tmp_path / "x.json", content))
    assert caught.value.code == code and "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'x.json'}: ") and words in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json: no such file or folder"):
        recognise(tmp_path / "none.json")


def test_columns_of_csv() -> None:
    assert csv_columns("image,caption") == (0, 1)
    assert csv_columns("split, Text ,file_name") == (2, 1)
    assert csv_columns("a dog, a cat") is None and csv_columns("") is None
    assert csv_columns("image,\rcaption") is None, "csv takes no such line end"
