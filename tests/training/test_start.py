"""What a run begins with: checkpoints as they are, and changed where the run file asks for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import VISION, loud_model, random_pixels, tiny_config
from tiny_data import VOCAB

from pixtell.checkpoint.convert import save_checkpoint
from pixtell.checkpoint.state import Checkpoint
from pixtell.errors import CheckpointError, ConfigError
from pixtell.model import GitModel
from pixtell.training.config import StartConfig
from pixtell.training.start import check_frames, starting_model

from .tiny_runs import run_of, unequal


def saved(folder: Path, frames: int = 0, layout: str = "pixtell") -> GitModel:
    model = loud_model(tiny_config(frames=frames, vocab_size=len(VOCAB), max_positions=48))
    save_checkpoint(Checkpoint(model.config, model.state_dict(), VOCAB), folder / "start", layout)  # type: ignore[arg-type]
    return model


@pytest.mark.parametrize("layout", ["pixtell", "hub"])
def test_a_checkpoint_beside_the_run_file(tmp_path: Path, layout: str) -> None:
    twin = saved(tmp_path, layout=layout)
    model, vocabulary = starting_model(StartConfig(model="start"), [], tmp_path)
    assert unequal(model.state_dict(), twin.state_dict()) == [] and vocabulary == VOCAB
    assert all(p.requires_grad and p.dtype == torch.float32 for p in model.parameters())
    with pytest.raises(CheckpointError):
        starting_model(StartConfig(model="start"), [], tmp_path / "elsewhere")


def test_a_picture_model_that_learns_clips_starts_with_what_it_knew(tmp_path: Path) -> None:
    twin = saved(tmp_path)
    model, _ = starting_model(StartConfig(model="start", frames=3), [], tmp_path)
    pixels = random_pixels(2, 1, 16, 16)
    assert model.config.frames == 3 and torch.equal(model.see(pixels), twin.see(pixels))
    assert model.see(random_pixels(2, 3, 16, 16)).shape[1] == 15


def test_more_frames_keep_those_that_were_there_and_fewer_are_refused(tmp_path: Path) -> None:
    twin = saved(tmp_path, frames=2)
    model, _ = starting_model(StartConfig(model="start", frames=4), [], tmp_path)
    times = model.prefix.temporal_embedding
    assert times is not None and twin.prefix.temporal_embedding is not None
    assert torch.equal(times[:2], twin.prefix.temporal_embedding) and not times[2:].any()
    with pytest.raises(ConfigError, match="has 2 temporal embeddings, and 1 would drop some"):
        starting_model(StartConfig(model="start", frames=1), [], tmp_path)


def test_more_frames_than_the_model_can_tell_apart(tmp_path: Path) -> None:
    streams = [{"data": "a.tar"}, {"data": "b.tar", "frames": 6}]
    check_frames(run_of(streams=streams), tiny_config(frames=6))
    check_frames(run_of(streams=streams[:1]), tiny_config(frames=0))
    for frames in (0, 5):
        told = rf"the model has {frames} temporal embeddings.*start\.frames = 6 adds more: streams\.1\.frames is 6"
        with pytest.raises(ConfigError, match=told):
            check_frames(run_of(streams=streams), tiny_config(frames=frames))


def test_larger_pictures_get_their_own_positions(tmp_path: Path) -> None:
    """Resized once, and from then on learnt: what the model computed on the fly before."""
    twin = saved(tmp_path)
    config = StartConfig(model="start", size=32, fit="aspect", max_size=48, dropout=0.3)
    model, _ = starting_model(config, [], tmp_path)
    assert model.config.vision == replace(VISION, image_size=32) and model.config.text.dropout == 0.3
    assert (model.config.pixels.size, model.config.pixels.fit, model.config.pixels.max_size) == (32, "aspect", 48)
    assert model.vision.position_embedding.shape[0] == 17
    pixels = random_pixels(2, 1, 32, 32)
    torch.testing.assert_close(model.see(pixels), twin.see(pixels), atol=1e-5, rtol=1e-5)


def test_a_decoder_with_too_few_positions_is_refused(tmp_path: Path) -> None:
    """Training texts take up to 42 positions; without this check, one of them would end the run after hours."""
    model = loud_model(tiny_config(vocab_size=len(VOCAB), max_positions=41))
    save_checkpoint(Checkpoint(model.config, model.state_dict(), VOCAB), tmp_path / "start")
    with pytest.raises(ConfigError, match="the decoder has 41 text positions, but a training text may take 42"):
        starting_model(StartConfig(model="start"), [], tmp_path)
