"""Everything a resume needs, in one file that is never half-written.

In: the model, the optimiser, the step. Out: `state.pt` in the run's folder, replaced in one move (written beside,
flushed to disk, renamed), so that a kill at any moment leaves a whole one. No random state is kept: all chance of a
step follows from the seed and the step number.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn

from pixtell.errors import CheckpointError, ConfigError, PixtellError

STATE_FILE = "state.pt"


def save_state(folder: Path, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, run: str) -> None:
    """Write the state after `step` steps; `run` is the run file's content, by which a resume knows its own.

    Raises `PixtellError` when the disk refuses; the state before it is still there.
    """
    state = {"step": step, "run": run, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    partial = folder / f"{STATE_FILE}.partial"
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, folder / STATE_FILE)
    except (OSError, RuntimeError) as error:  # torch turns a full disk into a RuntimeError
        raise PixtellError(f"{folder / STATE_FILE}: can't be written at step {step}: {error}") from None


def load_state(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, run: str) -> int:
    """Load the state into model and optimiser, if there is one; returns the steps already done (0: none).

    Raises `ConfigError` when the folder belongs to another run or the model has other shapes, `CheckpointError` when
    the file can't be read.
    """
    path = folder / STATE_FILE
    if not path.exists():
        return 0
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        step, settings, weights, moments = int(state["step"]), state["run"], state["model"], state["optimizer"]
    except Exception as error:  # torch raises many kinds for a damaged file
        raise CheckpointError(f"{path}: can't be read ({type(error).__name__}); delete it to start over") from None
    if settings != run:
        raise ConfigError(f"{path} is of another run (its settings differ): choose another folder, or delete it")
    try:
        model.load_state_dict(weights)
        optimizer.load_state_dict(moments)
    except (RuntimeError, ValueError, KeyError):
        raise ConfigError(
            f"{path} holds a model of other shapes, though its settings are the same: has the data changed, and so the "
            "vocabulary? Choose another folder, or delete it"
        ) from None
    return step
