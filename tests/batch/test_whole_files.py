"""COCO's results and parquet, as other programs read them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from pixtell.batch.outputs import OutputOptions, open_outputs, read_rows
from pixtell.batch.row import Row, Window
from pixtell.batch.row_text import COLUMNS
from pixtell.batch.whole_files import CocoResults

from .output_job import SETTINGS, Job, item_of

ROWS = [
    Row("val/COCO_val2014_000000391895.jpg", text="a man", review=True),
    Row("bad.jpg", "error", code="broken"),
    Row("dog.jpg", text="a dog\udce9"),
]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("COCO_val2014_000000391895.jpg", 391895),
        ("a/b/000000391895.png", 391895),
        ("7", 7),
        ("photos.parquet/17", 17),
        ("IMG_0042.JPG", 42),
        ("photo7.jpg", "photo7.jpg"),
        ("a/dog.jpg", "a/dog.jpg"),
        ("a\n_7.jpg", 7),
        ("9" * 19 + ".jpg", "9" * 19 + ".jpg"),
        ("٣.jpg", "٣.jpg"),
    ],
)
def test_coco_numbers(name: str, key: str | int) -> None:
    assert CocoResults().key(name) == key


def test_coco_results(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    Job(tmp_path, ROWS, OutputOptions(), ["rows.json"]).run()
    assert json.loads(path.read_text(encoding="utf-8")) == [
        {"image_id": 391895, "caption": "a man"},
        {"image_id": "dog.jpg", "caption": "a dog\udce9"},
    ]
    assert path.read_text(encoding="utf-8").count("\n") == 2
    assert read_rows(path) == [Row("391895", text="a man"), Row("dog.jpg", text="a dog\udce9")]
    Job(tmp_path, [Row("dog.jpg", text="new"), Row("1.jpg", text="one")], OutputOptions(), ["rows.json"]).run()
    assert [row.text for row in read_rows(path)] == ["a man", "new", "one"]
    Job(tmp_path, [Row("1.jpg", "skipped", code="exists")], OutputOptions(), ["rows.json"]).run()
    assert [row.text for row in read_rows(path)] == ["a man", "new", "one"]


def test_no_rows(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="parquet is an extra")
    Job(tmp_path, [], OutputOptions(), ["rows.json", "rows.parquet"]).run()
    assert (tmp_path / "rows.json").read_text() == "[]\n"
    assert read_rows(tmp_path / "rows.json") == read_rows(tmp_path / "rows.parquet") == []


def test_parquet_has_types(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="parquet is an extra")
    row = Row(
        "caf\udce9.jpg",
        text="=1",
        answers=(("how many?", "two"),),
        labels=(("dog", 0.5),),
        windows=(Window(0.0, 1.0, "a"),),
        mean_logprob=-0.5,
    )
    Job(tmp_path, [row, Row("bad", "error")], OutputOptions(settings=SETTINGS), ["rows.parquet"]).run()
    table = parquet.read_table(tmp_path / "rows.parquet")
    assert table.schema.names == list(COLUMNS)
    first, second = table.to_pylist()
    assert (first["name"], first["text"], first["mean_logprob"]) == ('"caf\\udce9.jpg"', "=1", -0.5)
    assert first["answers"] == [{"question": "how many?", "answer": "two"}]
    assert first["labels"] == [{"label": "dog", "probability": 0.5}]
    assert first["windows"] == [{"start": 0.0, "end": 1.0, "text": "a", "mean_logprob": None}]
    assert json.loads(first["settings"]) == json.loads(SETTINGS)
    assert (second["mean_logprob"], second["edited"], second["review"], second["answers"]) == (None, False, False, [])


def test_parquet_does_not_tell_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow", reason="parquet is an extra")
    Job(tmp_path / "now", ROWS, OutputOptions(), ["rows.parquet"]).run()
    later = time.time() + 1e8
    monkeypatch.setattr(time, "time", lambda: later)
    Job(tmp_path / "later", ROWS, OutputOptions(), ["rows.parquet"]).run()
    now, then = ((tmp_path / name / "rows.parquet").read_bytes() for name in ("now", "later"))
    assert now == then


@pytest.mark.parametrize("form", ["rows.json", "rows.parquet"])
def test_nothing_is_written_before_the_end_nor_again_after_it(tmp_path: Path, form: str) -> None:
    pytest.importorskip("pyarrow", reason="parquet is an extra")
    job = Job(tmp_path, ROWS, OutputOptions(), [form])
    (output,) = open_outputs(job.names)
    output.start([])
    assert list(tmp_path.iterdir()) == []
    job.run()
    file = (tmp_path / form).stat().st_ino
    output.finish(job.journal)
    assert (tmp_path / form).stat().st_ino == file
    assert output.existing(item_of(ROWS[0])) and not output.existing(item_of(ROWS[1]))
