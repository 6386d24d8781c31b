"""Lines and objects: what they hold, and that a reader's program can rely on them."""

from __future__ import annotations

import json
import math
from contextvars import copy_context

import pytest

from pixtell.cli.output import Report, printable, put_json, say, say_error, speak_json
from pixtell.errors import ConfigError, InputError, MissingExtraError
from pixtell.results import Answer, Caption, Classification, LabelScore

CAPTION = Caption("a/photo.jpg", "a dog", -1.25, -2.5, -1.25, (7, 8), (-1.0, -1.5))
ANSWER = Answer("a/photo.jpg", "a dog", -1.25, -2.5, -1.25, (7, 8), (-1.0, -1.5), question="who\tis it?")
FOUND = Classification("a/photo.jpg", (LabelScore("dog", 0.75, -1.0), LabelScore("cat", 0.25, -2.0)))


@pytest.mark.parametrize(
    ("report", "result", "line"),
    [
        (Report(), CAPTION, "a dog"),
        (Report(sources=True), CAPTION, "a/photo.jpg\ta dog"),
        (Report(), ANSWER, "a dog"),
        (Report(questions=True), ANSWER, "who?is it?\ta dog"),
        (Report(sources=True, questions=True), ANSWER, "a/photo.jpg\twho?is it?\ta dog"),
    ],
)
def test_columns(capsys: pytest.CaptureFixture[str], report: Report, result: Caption, line: str) -> None:
    report.caption(result)
    assert capsys.readouterr() == (line + "\n", "")


def test_labels(capsys: pytest.CaptureFixture[str]) -> None:
    Report(sources=True).classification(FOUND, 1)
    assert capsys.readouterr().out == "a/photo.jpg\tdog\t0.7500\n"


def test_json_is_ascii_on_one_line_and_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    put_json({"source": "写真\n.jpg", "bytes": "\udcff"})
    out = capsys.readouterr().out
    assert out.isascii() and out.count("\n") == 1
    assert json.loads(out) == {"source": "写真\n.jpg", "bytes": "\udcff"}


def test_json_numbers_are_short_and_finite(capsys: pytest.CaptureFixture[str]) -> None:
    put_json(
        {"small": 1.23456789e-7, "large": -123.456789, "none": -math.inf, "ids": (1, 2), "deep": [{"x": 0.1 + 0.2}]}
    )
    out = json.loads(capsys.readouterr().out)
    assert out == {"small": 1.2346e-07, "large": -123.46, "none": None, "ids": [1, 2], "deep": [{"x": 0.3}]}


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("missing", "photo.jpg: no such file"), "photo.jpg: no such file"),
        (InputError("too_narrow", "a picture of 900 x 2 pixels"), "photo.jpg: a picture of 900 x 2 pixels"),
    ],
)
def test_a_failure_begins_with_its_input(capsys: pytest.CaptureFixture[str], error: InputError, line: str) -> None:
    Report().failure("photo.jpg", error)
    assert capsys.readouterr() == ("", f"pixtell: {line}\n")


def test_a_failure_in_json_has_a_code(capsys: pytest.CaptureFixture[str]) -> None:
    Report(as_json=True).failure("a.heic", MissingExtraError("a.heic: needs pillow-heif"))
    out, err = capsys.readouterr()
    assert json.loads(out) == {"source": "a.heic", "error": "a.heic: needs pillow-heif", "code": "missing_extra"}
    assert err == "pixtell: a.heic: needs pillow-heif\n"


def test_printable() -> None:
    assert printable("Café – 写真.jpg") == "Café – 写真.jpg"
    assert printable("a\tb\nc\x1b[31m\udcff") == "a?b?c?[31m?"


def test_what_is_said_is_plain_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    def spoken() -> tuple[int, int]:
        speak_json()
        say("wait")
        return say_error(InputError("missing", "no\nfile")), say_error(ConfigError("no such option"))

    assert copy_context().run(spoken) == (1, 2)
    say("wait")
    *lines, last = capsys.readouterr().err.splitlines()
    assert [json.loads(line) for line in lines] == [
        {"message": "wait"},
        {"error": "no\nfile"},
        {"error": "no such option"},
    ]
    assert last == "pixtell: wait", "how a command speaks is its own"
