"""The predictions file: it goes on where it was cut, refuses what doesn't belong together, and speaks other formats."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pixtell.config import DecodeOptions, PixelConfig
from pixtell.data.opened import Looks
from pixtell.errors import ConfigError, InputError, PixtellError
from pixtell.evaluation.predictions import (
    Prediction,
    PredictionWriter,
    Run,
    export,
    read_predictions,
)

RUN = Run("caption", "tiny", "ab" * 32, "cd" * 32, 3, DecodeOptions(banned=("dog",)), PixelConfig(), Looks(), "float32")
TEXTS = [
    Prediction("1", "a dog\tin snow", mean_logprob=-0.5, media="0f", seconds=0.25),
    Prediction("2", ""),
    Prediction("3", "ein Hündchen 🐕"),
]


def write(path: Path, predictions: list[Prediction], run: Run = RUN) -> None:
    with PredictionWriter(path, run) as writer:
        writer.append(predictions)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "p.jsonl"
    bad = Prediction("4", row="r", question="what?", error="x.jpg: broken", code="broken")
    write(path, [*TEXTS, bad])
    found = read_predictions(path)
    assert (found.run, found.items, found.problems) == (RUN, (*TEXTS, bad), ())
    assert json.loads(path.read_text().splitlines()[1]) == {
        "id": "1",
        "text": "a dog\tin snow",
        "mean_logprob": -0.5,
        "media": "0f",
        "seconds": 0.25,
    }


def test_a_file_cut_at_any_byte_loses_only_what_was_not_finished(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jsonl"
    write(whole, TEXTS)
    content = whole.read_bytes()
    for length in range(len(content) + 1):
        path = tmp_path / "cut.jsonl"
        path.write_bytes(content[:length])
        with PredictionWriter(path, RUN) as writer:
            done = writer.done
            writer.append([one for one in TEXTS if one not in done])
        assert len(done) == max(0, content[:length].count(b"\n") - 1)
        assert path.read_bytes() == content


def test_other_settings_are_refused_and_listed(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    write(path, TEXTS)
    other = replace(RUN, model_sha256="ee", decoding=DecodeOptions(beams=2, banned=("dog",)), device="cuda")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"(?s)2 problems.*model_sha256.*decoding\.beams: 4 in the file, 2 now"):
        PredictionWriter(path, other)
    assert path.read_bytes() == before
    with PredictionWriter(path, other, overwrite=True) as writer:
        assert writer.done == ()
    assert read_predictions(path).run == other


@pytest.mark.parametrize("content", ["my notes\nwithout an end", '{"id": "1", "text": "a"}\n', "[1]"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_that_is_not_ours_is_never_touched(tmp_path: Path, content: str, overwrite: bool) -> None:
    path = tmp_path / "notes"
    path.write_text(content)
    with pytest.raises(ConfigError, match="was not written by pixtell predict"):
        PredictionWriter(path, RUN, overwrite=overwrite)
    assert path.read_text() == content


def test_a_broken_line_stops_going_on_but_not_scoring(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    write(path, TEXTS)
    path.write_text(path.read_text().replace('{"id": "2"', '{"id" "2"'))
    with pytest.raises(InputError, match="line 3 is not JSON"):
        PredictionWriter(path, RUN)
    found = read_predictions(path)
    assert [one.id for one in found.items] == ["1", "3"]
    assert [problem.code for problem in found.problems] == ["broken"]


def test_of_an_id_the_first_text_counts_and_a_failure_gives_way(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    write(path, [Prediction("1", error="no", code="missing"), Prediction("1", "a"), Prediction("1", "b")])
    found = read_predictions(path)
    assert found.items == (Prediction("1", "a"),)
    assert [(problem.code, problem.where) for problem in found.problems] == [("duplicate", "1")]


def test_two_processes_cannot_write_one_file(tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="this system has no such locks")
    with PredictionWriter(tmp_path / "p.jsonl", RUN), pytest.raises(PixtellError, match="another process"):
        PredictionWriter(tmp_path / "p.jsonl", RUN)
    PredictionWriter(tmp_path / "p.jsonl", RUN).close()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([{"image_id": 391895, "caption": "a man"}, {"image_id": 7, "caption": ""}], {"391895": "a man", "7": ""}),
        ([{"question_id": 5, "answer": "yes"}], {"5": "yes"}),
        ([{"id": "x", "caption": "a"}], {"x": "a"}),
    ],
)
def test_results_of_other_tools(tmp_path: Path, content: list[dict[str, object]], expected: dict[str, str]) -> None:
    for name, text in (("a.json", json.dumps(content)), ("b.jsonl", "\n".join(map(json.dumps, content)))):
        (tmp_path / name).write_text(text)
        found = read_predictions(tmp_path / name)
        assert ({one.id: one.text for one in found.items}, found.run) == (expected, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        ("", "holds no predictions"),
        ("[{]", "broken JSON at line 1, column 3"),
        ("hello\n", "holds no predictions.*line 1 is not JSON"),
        ('{"run": {"task": "caption"}}\n', "run settings are not those of this version"),
        ('{"image": 3}\n', "holds no predictions"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "p.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_predictions(path)


def test_export(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    write(path, [Prediction("12", "a"), Prediction("007", "b"), Prediction("9", error="no", code="missing")])
    found = read_predictions(path)
    export(found, "caption", tmp_path / "c.json")
    assert json.loads((tmp_path / "c.json").read_text()) == [
        {"image_id": 12, "caption": "a"},
        {"image_id": "007", "caption": "b"},
    ]
    export(found, "question", tmp_path / "q.json")
    assert json.loads((tmp_path / "q.json").read_text())[0] == {"question_id": 12, "answer": "a"}
    assert {one.text for one in read_predictions(tmp_path / "q.json").items} == {"a", "b"}
    with pytest.raises(ConfigError, match="no common format"):
        export(found, "classify", tmp_path / "x.json")
