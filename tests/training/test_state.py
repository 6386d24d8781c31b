"""States that survive: whole or not there, the newest whole one is taken, and only for its own run."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
import torch
from tiny import loud_model, tiny_config

from pixtell.errors import CheckpointError, ConfigError, PixtellError
from pixtell.model import GitModel
from pixtell.training.config import SavingConfig
from pixtell.training.dist import World
from pixtell.training.state import PARTIAL, SEAL, States, found_states, seal, unseal
from pixtell.training.trainee import Trainee

from .tiny_runs import PATIENCE, quiet, run_of, stored, unequal

SETTINGS = {"steps": 6, "optim.lr": 0.1}


def trained(seed: int, model: GitModel | None = None) -> Trainee:
    """A model, its optimiser and its mean after a step."""
    run = run_of(optim={"ema": 0.9})
    trainee = Trainee.of(run, 6, model or loud_model(seed=seed), World())
    trainee.begin(0)
    generator = torch.Generator().manual_seed(seed)
    for parameter in trainee.model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    trainee.update()
    return trainee


def states(folder: Path, settings: dict[str, object] | None = None, say=quiet, **config: object) -> States:  # type: ignore[no-untyped-def]
    return States(folder, settings or SETTINGS, SavingConfig.model_validate(config), World(), say)


def saved(folder: Path, *steps: int, **config: object) -> None:
    """States of these steps, each with weights of its own."""
    kept = states(folder, **config)
    for step in steps:
        kept.save(step, trained(step).tensors())
    kept.close()


def test_there_and_back(tmp_path: Path) -> None:
    assert states(tmp_path).restore(trained(9).tensors()) == 0
    saved(tmp_path, 12)
    other = trained(2)
    assert states(tmp_path).restore(other.tensors()) == 12
    assert unequal(other.tensors(), trained(12).tensors()) == []
    kinds = {name.partition(".")[0] for name in other.tensors()}
    assert kinds == {"model", "optimizer", "mean"}
    assert os.listdir(tmp_path) == ["step-00000012"]


def test_a_state_holds_what_was_there_when_it_was_saved(tmp_path: Path) -> None:
    """It is written later, while the training goes on: from a copy."""
    trainee = trained(3)
    before = {name: tensor.clone() for name, tensor in trainee.tensors().items()}
    kept = states(tmp_path)
    kept.save(5, trainee.tensors())
    for tensor in trainee.tensors().values():
        tensor.zero_()
    kept.close()
    assert unequal(stored(tmp_path / "step-00000005"), before) == []


def test_saving_does_not_hold_the_training_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained_on = threading.Event()

    def late(*arguments: object) -> None:
        assert trained_on.wait(PATIENCE)
        seal(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("pixtell.training.state.seal", late)
    kept = states(tmp_path)
    kept.save(1, trained(1).tensors())
    assert found_states(tmp_path) == []
    trained_on.set()
    kept.close()
    assert len(found_states(tmp_path)) == 1
    at_once = states(tmp_path, asynchronous=False)
    at_once.save(2, trained(2).tensors())
    assert len(found_states(tmp_path)) == 2
    at_once.close()


def test_the_newest_are_kept(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2, 3, 4, keep=2)
    assert sorted(os.listdir(tmp_path)) == ["step-00000003", "step-00000004"]


def test_what_a_kill_left_half_written_is_swept_up(tmp_path: Path) -> None:
    saved(tmp_path, 5)
    (tmp_path / "step-00000005").rename(tmp_path / f"step-00000006{PARTIAL}")
    assert states(tmp_path).restore(trained(1).tensors()) == 0
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "gone", "no seal", "odd seal", "metadata"])
def test_of_a_damaged_state_the_one_before_is_taken(tmp_path: Path, damage: str) -> None:
    saved(tmp_path, 5, 9)
    newest = tmp_path / "step-00000009"
    data = next(newest.glob("*.distcp"))
    content = bytearray(data.read_bytes())
    if damage == "cut":
        data.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[len(content) // 2] ^= 1  # one bit of one weight
        data.write_bytes(content)
    elif damage == "empty":
        data.write_bytes(b"")
    elif damage == "gone":
        data.unlink()
    elif damage == "no seal":
        (newest / SEAL).unlink()
    elif damage == "odd seal":
        (newest / SEAL).write_text("[]")
    else:
        (newest / ".metadata").write_bytes(b"?")
    said: list[str] = []
    other = trained(1)
    assert states(tmp_path, say=said.append).restore(other.tensors()) == 5
    assert unequal(other.tensors(), trained(5).tensors()) == []
    assert len(said) == 1 and "step-00000009 is damaged" in said[0]
    assert os.listdir(tmp_path) == ["step-00000005"]


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"step": 1, "settings": {}},
        {"step": 1, "settings": {}, "files": []},
        {"step": 1, "settings": {}, "files": {"x": 5}},
        {"step": 1, "settings": {}, "files": {"x": ["a", "b"]}},
        {"step": 1, "settings": {}, "files": {"x": [1]}},
        {"step": 1, "settings": {}, "files": {"none": [1, 2]}},
        {"step": 1, "settings": [], "files": {}},
        {"step": None, "settings": {}, "files": {}},
    ],
)
def test_a_seal_with_anything_in_it_is_damage(tmp_path: Path, content: object) -> None:
    (tmp_path / "x").write_bytes(b"x")
    (tmp_path / SEAL).write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"^(whole\.json is not what was written|\[Errno 2\].*none)"):
        unseal(tmp_path)


def test_when_none_is_whole_it_is_one_clear_error(tmp_path: Path) -> None:
    saved(tmp_path, 5)
    (tmp_path / "step-00000005" / SEAL).unlink()
    with pytest.raises(CheckpointError, match=r"step-00000005: can't be read, and no state before it; delete it"):
        states(tmp_path).restore(trained(1).tensors())


def test_a_save_that_fails_is_told_and_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path, 5)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pixtell.training.state.os.fsync", full)
    kept = states(tmp_path)
    kept.save(6, trained(6).tensors())
    with pytest.raises(PixtellError, match=r"step-00000006\.partial: can't be written: .*No space left"):
        kept.close()
    monkeypatch.undo()
    assert states(tmp_path).restore(trained(1).tensors()) == 5


def test_another_runs_state_is_refused_and_says_why(tmp_path: Path) -> None:
    saved(tmp_path, 5)
    with pytest.raises(ConfigError, match=r"of another run \(optim\.lr was 0\.1 and is 0\.2, seed was None and is 1\)"):
        states(tmp_path, {"steps": 6, "optim.lr": 0.2, "seed": 1}).restore(trained(1).tensors())


def test_a_model_of_other_shapes_is_refused(tmp_path: Path) -> None:
    """The same run file over other data gives another vocabulary."""
    saved(tmp_path, 5)
    larger = trained(1, loud_model(tiny_config(vocab_size=41)))
    with pytest.raises(ConfigError, match=r"other shapes.*has the data changed"):
        states(tmp_path).restore(larger.tensors())
