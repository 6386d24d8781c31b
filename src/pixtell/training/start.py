"""What a run begins with: a checkpoint, CLIP's encoder with a new decoder, or a small model's parts.

In: a run file's `start`, and the texts of the training data. Out: a `GitModel` in float32 and its vocabulary. The
surprising thing: position embeddings are resized here when `size` changes a model's pictures, as the authors did for
their question models (git-facts 4.4), and temporal embeddings that a picture model lacks are added as zeros, so that it
starts with what it knew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from pixtell.checkpoint.convert import build_model, load_checkpoint
from pixtell.checkpoint.state import Checkpoint
from pixtell.config import ClipVitConfig, ModelConfig
from pixtell.data.example import TextPair
from pixtell.errors import ConfigError
from pixtell.model import GitModel
from pixtell.tokenizer import MAX_TEXT
from pixtell.training.clip import clip_model
from pixtell.training.config import RunConfig, StartConfig
from pixtell.training.small import small_model
from pixtell.training.unfinished import load_unfinished, states_at

POSITIONS, TIMES = "vision.position_embedding", "prefix.temporal_embedding"


def starting_model(
    config: StartConfig, texts: Iterable[TextPair], beside: Path = Path()
) -> tuple[GitModel, tuple[str, ...]]:
    """The model a run begins with, and its vocabulary.

    A checkpoint, or CLIP, is looked for in the folder `beside` (that of the run file) before its name means anything
    else. Raises `PixtellError`.
    """
    if config.clip is not None:
        clip, vocabulary = clip_model(near(config.clip, beside), config, beside)
        return adapted(clip, config, config.clip), vocabulary
    if config.model is None:
        return small_model(config, texts)
    checkpoint = checkpoint_of(near(config.model, beside))
    positions = checkpoint.config.text.max_positions
    if positions < MAX_TEXT + 2:
        raise ConfigError(
            f"{config.model}: the decoder has {positions} text positions, but a training text may take {MAX_TEXT + 2}"
        )
    model = build_model(checkpoint).requires_grad_(True)
    return adapted(model, config, config.model), checkpoint.vocab


def checkpoint_of(model: str | Path) -> Checkpoint:
    """What `pixtell --model` takes, or the newest weights in the folder of a run or a state. Raises `PixtellError`."""
    path = Path(model)
    return load_unfinished(path) if states_at(path) else load_checkpoint(model)


def check_frames(run: RunConfig, config: ModelConfig) -> None:
    """See that the model can tell the frames of every stream apart. Raises `ConfigError`."""
    many = [
        f"streams.{number}.frames is {stream.frames}"
        for number, stream in enumerate(run.streams)
        if stream.frames > max(1, config.frames)
    ]
    if many:
        most = max(stream.frames for stream in run.streams)
        raise ConfigError.listing(
            f"the model has {config.frames} temporal embeddings, one for each frame; start.frames = {most} adds more",
            many,
        )


def near(name: str, beside: Path) -> str | Path:
    """A path beside the run file if there is one, else the name."""
    return beside / name if (beside / name).exists() else name


def adapted(model: GitModel, config: StartConfig, name: str) -> GitModel:
    """The model with the pictures, frames and dropouts that `config` asks for. Raises `ConfigError`."""
    old = model.config
    pixels = replace(
        old.pixels,
        size=config.size or old.pixels.size,
        fit=config.fit or old.pixels.fit,
        max_size=config.max_size if config.fit is not None else old.pixels.max_size,
    )
    text = replace(
        old.text,
        dropout=old.text.dropout if config.dropout is None else config.dropout,
        attention_dropout=old.text.attention_dropout if config.attention_dropout is None else config.attention_dropout,
    )
    frames = old.frames if config.frames is None else config.frames
    if frames < old.frames:
        raise ConfigError(f"start.frames: {name} has {old.frames} temporal embeddings, and {frames} would drop some")
    vision = old.vision if config.size is None else replace(old.vision, image_size=config.size)
    new = ModelConfig(vision, text, pixels, frames)
    if new == old:
        return model
    state: dict[str, Tensor] = dict(model.state_dict())
    if isinstance(vision, ClipVitConfig):
        with torch.no_grad():
            state[POSITIONS] = model.vision.positions(vision.grid, vision.grid).clone()  # type: ignore[operator]
    if frames > old.frames:
        new_times = next(model.parameters()).new_zeros(frames - old.frames, 1, vision.width)
        state[TIMES] = torch.cat([state[TIMES], new_times]) if TIMES in state else new_times
    return build_model(Checkpoint(new, state, ())).requires_grad_(True)
