"""The door: help, version, and how every kind of end is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextvars import copy_context
from pathlib import Path

import pytest

import pixtell
from pixtell.cli import caption
from pixtell.cli.main import app
from pixtell.cli.output import speak_json

from .conftest import Run

COMMANDS = ["caption", "ask", "classify", "models", "convert", "verify", "train", "predict", "score", "eval"]
PIXTELL = [sys.executable, "-m", "pixtell"]


def test_the_commands_are_these(run: Run) -> None:
    assert [command.name for command in app.registered_commands] == COMMANDS
    helped = run("--help")
    assert helped.code == 0
    assert all(f" {name} " in helped.out for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_ends_with_an_example(run: Run, command: str) -> None:
    helped = run(command, "--help")
    assert (helped.code, helped.err) == (0, "")
    assert helped.out.split("Example:")[-1].split()[:2] == ["pixtell", command]


def test_version(run: Run) -> None:
    assert run("--version").out == f"pixtell {pixtell.__version__}\n"


def test_nothing_typed_shows_the_help(run: Run) -> None:
    bare = run()
    assert bare.code == 2
    assert "caption" in bare.out
    assert bare.err == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["capton"], "No such command 'capton'"),
        (["caption"], "Missing argument 'INPUT"),
        (["caption", "photo.jpg", "--beans", "3"], "No such option: --beans"),
        (["caption", "photo.jpg", "--beams", "many"], "'--beams': "),
        (["caption", "photo.jpg", "--beams", "0"], "'--beams': "),
        (["caption", "photo.jpg", "--sampling", "odd"], "'--sampling': "),
        (["caption", "photo.jpg", "--top-k", "3"], "only apply to sampling"),
        (["caption", "-", "-"], "named 2 times"),
    ],
)
def test_words_that_can_not_be_meant_end_with_2(run: Run, words: list[str], message: str) -> None:
    outcome = run(*words)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("pixtell: ")
    assert outcome.err.count("\n") == 1
    assert message in outcome.err


def test_words_that_can_not_be_meant_are_an_error_in_json_too(run: Run) -> None:
    context = copy_context()
    context.run(speak_json)
    assert list(json.loads(context.run(run, "capton").err)) == ["error"]


def test_a_model_that_is_not_there_ends_with_1(run: Run, photos: list[Path]) -> None:
    outcome = run("caption", photos[0], "--model", "no/such/model")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("pixtell: no/such/model: no such file or folder")
    assert outcome.err.count("\n") == 1


def test_a_fault_of_ours_is_one_line_that_asks_for_a_report(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> int:
        raise ZeroDivisionError("division by zero\nsecond line")

    monkeypatch.setattr(caption.batches, "run", broken)
    outcome = run("caption", "photo.jpg")
    assert outcome.code == 70
    assert outcome.err.startswith("pixtell: ZeroDivisionError: division by zero; this is a fault of Pixtell")
    assert outcome.err.count("\n") == 1
    monkeypatch.setenv("PIXTELL_DEBUG", "1")
    assert "Traceback" in run("caption", "photo.jpg").err


def test_memory_that_is_out_is_not_a_fault_of_ours(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(*_: object, **__: object) -> int:
        raise MemoryError

    monkeypatch.setattr(caption.batches, "run", greedy)
    outcome = run("caption", "photo.jpg")
    assert outcome.code == 1
    assert "--batch-size 1" in outcome.err


def test_python_m_pixtell_is_the_command() -> None:
    done = subprocess.run([*PIXTELL, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"pixtell {pixtell.__version__}\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
def test_ctrl_c_is_quiet() -> None:
    """While it waits for the rest of standard input: more was taken than a pipe holds, so it is there."""
    with subprocess.Popen(
        [*PIXTELL, "caption", "-", "--frames", "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job behind an & would ignore it
    ) as process:
        assert process.stdin is not None
        process.stdin.write(bytes(2**20))
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"")


@pytest.mark.skipif(os.name == "nt", reason="Windows has other pipes")
def test_a_reader_that_goes_away_is_no_error() -> None:
    process = subprocess.Popen([*PIXTELL, "models"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), err) == (141, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full, a disk that is always full")
def test_a_full_disk_is_one_line() -> None:
    with open("/dev/full", "wb") as full:
        ended = subprocess.run([sys.executable, "-m", "pixtell", "models"], stdout=full, stderr=subprocess.PIPE)
    assert ended.returncode == 1
    assert ended.stderr.decode().startswith("pixtell: results can't be written to stdout: ")
    assert len(ended.stderr.splitlines()) == 1
