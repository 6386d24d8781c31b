"""`pixtell convert`: there and back, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pixtell.checkpoint.convert import load_checkpoint

from .conftest import Run


@pytest.mark.parametrize("layout", ["hub", "pixtell"])
def test_there_and_back_keeps_every_tensor(run: Run, tiny_model: Path, tmp_path: Path, layout: str) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    outcome = run("convert", tiny_model, there, "--to", layout)
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{there}\n", "")
    assert run("convert", there, back).code == 0
    before, after = load_checkpoint(tiny_model), load_checkpoint(back)
    assert before.config.frames == after.config.frames
    assert before.state.keys() == after.state.keys()
    assert all(torch.equal(before.state[name], after.state[name]) for name in before.state)


def test_a_converted_model_says_the_same(
    run: Run, tiny: list[str], tiny_model: Path, photos: list[Path], tmp_path: Path
) -> None:
    assert run("convert", tiny_model, tmp_path / "hub", "--to", "hub").code == 0
    before = run("caption", *photos, *tiny)
    assert run("caption", *photos, *tiny, "--model", tmp_path / "hub").out == before.out


def test_a_target_is_only_replaced_when_told(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    target = tmp_path / "model"
    assert run("convert", tiny_model, target).code == 0
    again = run("convert", tiny_model, target)
    assert (again.code, again.out) == (1, "")
    assert again.err.startswith(f"pixtell: {target}: exists already")
    assert run("convert", tiny_model, target, "--overwrite").code == 0


def test_an_unknown_layout(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    assert run("convert", tiny_model, tmp_path / "model", "--to", "onnx").code == 2


def test_an_option_that_does_not_apply(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    outcome = run("convert", tiny_model, tmp_path / "model", "--revision", "main")
    assert outcome.code == 2
    assert "revision 'main' is for models on the hub" in outcome.err
