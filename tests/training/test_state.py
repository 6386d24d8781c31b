"""A state that survives: whole or not there, and only for its own run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from tiny import loud_model, tiny_config

from pixtell.errors import CheckpointError, ConfigError, PixtellError
from pixtell.model import GitModel
from pixtell.training.config import OptimConfig
from pixtell.training.optim import build_optimizer
from pixtell.training.state import STATE_FILE, load_state, save_state


def trained(seed: int) -> tuple[GitModel, torch.optim.AdamW]:
    """A model and its optimiser after a step."""
    model = loud_model(seed=seed)
    optimizer = build_optimizer(model, OptimConfig())
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    optimizer.step()
    return model, optimizer


def test_there_and_back(tmp_path: Path) -> None:
    assert load_state(tmp_path, *trained(9), "run") == 0
    model, optimizer = trained(1)
    save_state(tmp_path, 12, model, optimizer, "run")
    other, other_optimizer = trained(2)
    assert load_state(tmp_path, other, other_optimizer, "run") == 12
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name
    moments, other_moments = optimizer.state_dict(), other_optimizer.state_dict()
    assert moments["param_groups"] == other_moments["param_groups"]
    for number, state in moments["state"].items():
        for name, tensor in state.items():
            assert torch.equal(tensor, other_moments["state"][number][name])
    assert sorted(os.listdir(tmp_path)) == [STATE_FILE]


def test_what_a_kill_left_half_written_is_ignored_and_replaced(tmp_path: Path) -> None:
    partial = tmp_path / f"{STATE_FILE}.partial"
    partial.write_bytes(b"half a file")
    assert load_state(tmp_path, *trained(1), "run") == 0
    save_state(tmp_path, 5, *trained(1), "run")
    partial.write_bytes((tmp_path / STATE_FILE).read_bytes()[:1000])
    assert load_state(tmp_path, *trained(2), "run") == 5
    save_state(tmp_path, 6, *trained(1), "run")
    assert load_state(tmp_path, *trained(2), "run") == 6 and not partial.exists()


def test_a_save_that_fails_leaves_the_state_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_state(tmp_path, 5, *trained(1), "run")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pixtell.training.state.os.fsync", full)
    with pytest.raises(PixtellError, match=r"state\.pt: can't be written at step 6: .*No space left"):
        save_state(tmp_path, 6, *trained(2), "run")
    assert load_state(tmp_path, *trained(3), "run") == 5


def test_another_runs_state_is_refused(tmp_path: Path) -> None:
    save_state(tmp_path, 5, *trained(1), "run one")
    with pytest.raises(ConfigError, match=r"state\.pt is of another run"):
        load_state(tmp_path, *trained(1), "run two")


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "another file of torch", "pickle"])
def test_a_damaged_state_is_one_clear_error(tmp_path: Path, damage: str) -> None:
    path = tmp_path / STATE_FILE
    save_state(tmp_path, 5, *trained(1), "run")
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[-200:-100] = bytes(100)
        path.write_bytes(content)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "text":
        path.write_text("step = 5")
    elif damage == "another file of torch":
        torch.save({"weights": torch.ones(3)}, path)
    else:
        torch.save({"step": Path("/")}, path)
    with pytest.raises(CheckpointError, match=r"state\.pt: can't be read .*; delete it to start over") as caught:
        load_state(tmp_path, *trained(1), "run")
    assert "\n" not in str(caught.value)


def test_a_model_of_other_shapes_is_refused(tmp_path: Path) -> None:
    """The same run file over other data gives another vocabulary."""
    save_state(tmp_path, 5, *trained(1), "run")
    larger = loud_model(tiny_config(vocab_size=41))
    with pytest.raises(ConfigError, match=r"other shapes.*has the data changed"):
        load_state(tmp_path, larger, build_optimizer(larger, OptimConfig()), "run")
