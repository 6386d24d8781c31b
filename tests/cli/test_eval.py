"""`pixtell predict`, `score` and `eval`: two programs and both in one, and that a partial result never looks whole."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_data

from .conftest import Run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tiny_data.captions_tar(tmp_path / "val.tar")


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    return tiny_data.questions_tar(tmp_path / "questions.tar")


def test_predict_then_score_is_eval(run: Run, tiny: list[str], data: Path, tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    predicted = run("predict", data, "-o", file, *tiny)
    assert (predicted.code, predicted.out) == (0, "")
    assert predicted.err.endswith(f"{file}: 8 predictions, 0 failed\n")
    scored = run("score", file, data, "--json")
    assert scored.code == 0
    (report,) = scored.objects
    assert report["complete"] is True and report["items"] == 8
    assert list(report["scores"]) == ["CIDEr", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L"]
    both = run("eval", data, *tiny, "--json", "-o", tmp_path / "other.jsonl")
    assert both.objects[0]["scores"] == report["scores"]


def test_settings_and_digests_are_told(run: Run, tiny: list[str], data: Path, tmp_path: Path) -> None:
    outcome = run("eval", data, *tiny, "-o", tmp_path / "p.jsonl", "--beams", "2", "--batch-size", "3")
    assert outcome.code == 0
    for told in ("beams 2", "sha256", "size 32", "s a picture or clip", "PTB", "CIDEr-D", "95 %"):
        assert told in outcome.out
    assert "published" not in outcome.out and "PARTIAL" not in outcome.out


def test_a_bad_picture_makes_it_partial(run: Run, tiny: list[str], tmp_path: Path) -> None:
    good = tiny_data.png(tiny_data.drawing("red", "disc"))
    files: list[tuple[str, bytes | dict[str, object] | list[object]]] = []
    for name, content in (("a", good), ("b", good[:60]), ("c", good)):
        files += [(f"{name}.png", content), (f"{name}.json", {"captions": ["a red disc"]})]
    data = tiny_data.write_tar(tmp_path / "some.tar", files)
    outcome = run("eval", data, *tiny, "-o", tmp_path / "p.jsonl", "--html", tmp_path / "r.html")
    assert outcome.code == 1
    assert "b.png" in outcome.err
    assert "PARTIAL: 2 of 3 items with references were scored" in outcome.out
    scores = [line for line in outcome.lines if " .. " in line]
    assert len(scores) == 6 and all(line.startswith("PARTIAL ") for line in scores)
    assert "PARTIAL" in (tmp_path / "r.html").read_text()
    export = run("score", tmp_path / "p.jsonl", data, "--export", tmp_path / "x.json")
    assert export.code == 1 and not (tmp_path / "x.json").exists()


def test_answers_are_asked_grouped_and_exported(run: Run, tiny: list[str], questions: Path, tmp_path: Path) -> None:
    file, export = tmp_path / "p.jsonl", tmp_path / "x.json"
    outcome = run("eval", questions, *tiny, "-o", file, "--json", "--export", export)
    assert list(outcome.objects[0]["scores"]) == ["exact match", "ANLS"]
    assert [one["question_id"] for one in json.loads(export.read_text())] == [f"{c}#0" for c in tiny_data.COLOURS]
    again = run("score", export, questions, "--task", "question", "--json")
    assert again.objects[0]["scores"] == outcome.objects[0]["scores"]


def test_other_settings_are_not_mixed_into_a_file(run: Run, tiny: list[str], data: Path, tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    run("predict", data, "-o", file, *tiny, "--limit", "3")
    before = file.read_bytes()
    refused = run("predict", data, "-o", file, *tiny, "--limit", "3", "--beams", "2")
    assert refused.code == 2 and "decoding.beams: 4 in the file, 2 now" in refused.err
    assert file.read_bytes() == before
    assert run("predict", data, "-o", file, *tiny, "--beams", "2", "--overwrite").code == 0


def test_two_files_are_compared(run: Run, tiny: list[str], data: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    run("predict", data, "-o", one, *tiny)
    run("predict", data, "-o", other, *tiny, "--min-new-tokens", "6")
    outcome = run("score", one, data, "--compare", other)
    assert outcome.code == 0 and "p = " in outcome.out and f"{other} less this" in outcome.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--preset", "paper", "--beams", "2"], "--preset paper settles decoding and pixels: leave out --beams 2"),
        (["--results", "2"], "--results 2: an evaluation is of one text for each item"),
        (["--task", "question"], "has no questions to ask"),
        (["--media", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_what_cannot_be_meant(run: Run, tiny: list[str], data: Path, words: list[str], message: str) -> None:
    outcome = run("eval", data, *tiny, *words)
    assert outcome.code in (1, 2) and outcome.out == ""
    assert message in outcome.err.replace("\n", " ")


def test_the_papers_settings(run: Run, tiny_model: Path, data: Path, tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    assert run("predict", data, "-o", file, "--model", tiny_model, "--preset", "paper", "--limit", "1").code == 0
    head = json.loads(file.read_text().splitlines()[0])["run"]
    assert (head["preset"], head["max_steps"], head["decoding"]["beams"]) == ("paper", 80, 4), (
        "the authors' 1024, or all positions that there are"
    )
    assert head["decoding"]["length_penalty"] == 0.6 and head["decoding"]["scoring"] == "authors"


def test_references_that_are_something_else(run: Run, data: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("hello\n")
    missing = run("score", tmp_path / "nothing.jsonl", data)
    assert missing.code == 1 and "no such file; pixtell predict writes one" in missing.err
    wrong = run("score", notes, data)
    assert wrong.code == 1 and "holds no predictions" in wrong.err


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is not there")
def test_killed_and_gone_on(tiny: list[str], tmp_path: Path) -> None:
    """The process dies at moments of its own; then the file holds each item once, as if nothing had been."""
    files: list[tuple[str, bytes | dict[str, object] | list[object]]] = []
    for number in range(60):
        picture = tiny_data.drawing(list(tiny_data.COLOURS)[number % 4], "disc", (48 + number, 40))
        files += [(f"{number:02}.png", tiny_data.png(picture)), (f"{number:02}.json", {"captions": ["a disc"]})]
    data = tiny_data.write_tar(tmp_path / "many.tar", files)
    file = tmp_path / "p.jsonl"
    command = [sys.executable, "-m", "pixtell", "predict", str(data), "-o", str(file), *tiny, "--batch-size", "2"]
    kills = 0
    for wanted in (3, 20, 45):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while process.poll() is None and (not file.exists() or file.read_bytes().count(b"\n") <= wanted):
            time.sleep(0.01)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
    assert kills >= 2
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    head, *lines = file.read_text().splitlines()
    assert json.loads(head)["run"]["items"] == 60
    assert [json.loads(line)["id"] for line in lines] == [f"{number:02}" for number in range(60)]
