"""`pixtell verify`: the verdict on stdout and in the exit code. (What is compared: tests/checkpoint/test_verify.py.)"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pixtell.checkpoint import verify as comparing
from pixtell.checkpoint.verify import VerifyReport

from .conftest import Run


@pytest.mark.parametrize(("off", "code", "verdict"), [(0.00005, 0, "pass"), (0.0003, 1, "FAIL")])
def test_the_verdict_is_the_exit_code(
    run: Run, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, off: float, code: int, verdict: str
) -> None:
    published = (-1.2832, -1.2835, -1.2840)
    computed = tuple(logit + off for logit in published)

    def compare(checkpoint: Any, medium: str) -> VerifyReport:
        assert checkpoint.source == str(tiny_model)
        return VerifyReport("git-base", "000000039769.jpg", medium, published, computed)

    monkeypatch.setattr(comparing, "verify", compare)
    outcome = run("verify", tiny_model, "--image", "cats.jpg")
    assert outcome.code == code
    assert "cats.jpg" in outcome.lines[0]
    assert outcome.lines[-1].startswith(verdict)
    (row,) = run("verify", tiny_model, "--image", "cats.jpg", "--json").objects
    assert (row["name"], row["published"], row["passed"]) == ("git-base", list(published), code == 0)


def test_a_model_that_is_not_a_released_one(run: Run, tiny_model: Path, photos: list[Path]) -> None:
    outcome = run("verify", tiny_model, "--image", photos[0])
    assert (outcome.code, outcome.out) == (1, "")
    assert "it is not known which model this is" in outcome.err


def test_the_image_must_be_given(run: Run, tiny_model: Path) -> None:
    outcome = run("verify", tiny_model)
    assert outcome.code == 2
    assert "--image" in outcome.err
