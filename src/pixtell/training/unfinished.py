"""The model of a run that is not finished: the weights that it saved last.

In: the folder of a run, or of one of its states. Out: a `Checkpoint`, as of a finished model: whole, the running mean
of its weights where the run keeps one, adapters merged, in float32. So a run whose numbers went astray is no dead end:
another one begins from its last good state, at a lower rate.

The surprising thing: a state's tensors don't say what model they are of, so each state holds its config and its
vocabulary beside them (`DESCRIPTION`). States that were written before there was such a file can only be gone on from.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load

from pixtell.checkpoint.native import config_from_json, config_to_json
from pixtell.checkpoint.state import Checkpoint
from pixtell.config import ModelConfig
from pixtell.errors import CheckpointError
from pixtell.training.config import LoraConfig
from pixtell.training.lora import UP, merged
from pixtell.training.state import KEPT, found_states, unseal

DESCRIPTION = "model.json"
MODEL, MEAN = f"{KEPT}.model.", f"{KEPT}.mean."


def description(config: ModelConfig, vocabulary: tuple[str, ...]) -> str:
    """What a state's tensors don't say, as the text of `DESCRIPTION`."""
    return json.dumps({"config": config_to_json(config), "vocab": vocabulary}, ensure_ascii=False, indent=1)


def states_at(path: Path) -> list[Path]:
    """The states of a run's folder, of its last stage that has any; or the state that `path` is; oldest first."""
    if found_states(path.parent).count(path):
        return [path]
    stages = sorted(path.glob("stage-*"), key=lambda stage: (len(stage.name), stage.name))
    return next((states for folder in (path, *reversed(stages)) if (states := found_states(folder))), [])


def load_unfinished(path: Path) -> Checkpoint:
    """The model of the newest state at `path` that is whole. Raises `CheckpointError`."""
    problems = []
    for state in reversed(states_at(path)):
        try:
            _, settings = unseal(state)
        except ValueError as error:
            problems.append(f"{state}: damaged ({error})")
            continue
        return _read(state, settings)
    raise CheckpointError(problems[0] if problems else f"{path}: holds no state of a run")


def _read(state: Path, settings: Mapping[str, object]) -> Checkpoint:
    try:
        about = json.loads((state / DESCRIPTION).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"{state}: is from before states held {DESCRIPTION} beside the weights: only its own run can go on from it"
        ) from None
    config = config_from_json(about["config"], state / DESCRIPTION)
    tensors = _weights(state)
    means = {name.removeprefix(MEAN): tensor for name, tensor in tensors.items() if name.startswith(MEAN)}
    weights = {name.removeprefix(MODEL): tensor for name, tensor in tensors.items() if name.startswith(MODEL)}
    lora = None
    if any(name.endswith(UP) for name in weights):
        lora = LoraConfig.model_validate({name: settings[f"lora.{name}"] for name in ("rank", "alpha")})
    plain = merged({name: means.get(name, tensor) for name, tensor in weights.items()}, lora)
    return Checkpoint(config, plain, tuple(about["vocab"]), source=str(state))


def _weights(state: Path) -> dict[str, Tensor]:
    """The tensors of a state but for the optimiser's; each process reads them alone."""
    stored = FileSystemReader(state).read_metadata().state_dict_metadata
    tensors: dict[str, Any] = {
        name: torch.empty(entry.size, dtype=entry.properties.dtype)
        for name, entry in stored.items()
        if isinstance(entry, TensorStorageMetadata) and name.startswith((MODEL, MEAN))
    }
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # as it is meant to be
            load(tensors, checkpoint_id=state, no_dist=True)
    except CheckpointException as error:
        raise CheckpointError(f"{state}: can't be read: {error}") from None
    return tensors
