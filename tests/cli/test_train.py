"""`pixtell train`: a run file and a folder go to the trainer as they are. (What it does: tests/training/.)"""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Run


def test_a_run_file_that_is_not_there(run: Run, tmp_path: Path) -> None:
    outcome = run("train", tmp_path / "none.toml", tmp_path / "out")
    assert outcome.code in (1, 2)
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1
    assert "none.toml: no such run file" in outcome.err


def test_every_problem_of_a_run_file_is_told(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("steps = 0\nstpes = 5\nstreams = []\n")
    outcome = run("train", file, tmp_path / "out")
    assert outcome.code in (1, 2)
    assert all(name in outcome.err for name in ("steps", "stpes", "streams"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [[], ["run.toml"]])
def test_both_words_are_needed(run: Run, words: list[str]) -> None:
    assert run("train", *words).code == 2
