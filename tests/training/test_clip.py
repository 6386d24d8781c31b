"""CLIP's weights in the hub's layout, written by transformers: the features are those of its own model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import assert_near, random_pixels
from tiny_data import VOCAB

from pixtell.config import ClipVitConfig
from pixtell.errors import CheckpointError
from pixtell.tokenizer import CLS, SEP
from pixtell.training.clip import read_clip_config
from pixtell.training.config import StartConfig
from pixtell.training.start import starting_model

from .tiny_clip import VISION, tiny_clip


@pytest.fixture
def clip(tmp_path: Path) -> tuple[Path, Any]:
    """A folder of a tiny CLIP, and transformers' model of it."""
    return tmp_path, tiny_clip(tmp_path)


def test_the_encoder_is_clips_and_the_decoder_starts_at_random(clip: tuple[Path, Any]) -> None:
    folder, theirs = clip
    torch.manual_seed(1)
    model, vocabulary = starting_model(StartConfig(clip="clip", vocab="vocab.txt"), [], folder)
    pixels = random_pixels(2, 1, 32, 32)[:, 0]
    with torch.inference_mode():
        hidden = theirs.vision_model(pixels).last_hidden_state
        twin = theirs.vision_model.post_layernorm(hidden)  # GIT norms every token, CLIP only the first
        assert_near(model.vision(pixels), twin, atol=1e-4)
    assert vocabulary == VOCAB and model.config.pixels.size == 32
    text = model.config.text
    assert (text.layers, text.width, text.heads) == (6, 768, 12)
    assert (text.cls_id, text.sep_id) == (VOCAB.index(CLS), VOCAB.index(SEP))
    assert float(model.decoder.word_embedding.weight.detach().std()) == pytest.approx(0.02, rel=0.02)
    assert float(model.decoder.blocks[3].mlp.fc_in.weight.detach().std()) == pytest.approx(0.02, rel=0.02)


def test_it_may_be_given_other_sizes_and_frames(clip: tuple[Path, Any]) -> None:
    start = StartConfig(clip="clip", vocab="vocab.txt", size=48, frames=6, layers=1)
    model, _ = starting_model(start, [], clip[0])
    assert model.see(random_pixels(1, 2, 48, 48)).shape == (1, 2 * 37, 768) and len(model.decoder.blocks) == 1


def test_what_is_not_clip_is_refused(clip: tuple[Path, Any]) -> None:
    folder = clip[0] / "clip"
    config = json.loads((folder / "config.json").read_text())
    for change, words in (
        ({"model_type": "git"}, "not CLIP's config"),
        ({"vision_config": {**VISION, "hidden_act": "gelu"}}, "GIT's encoder has quick_gelu"),
        ({"vision_config": {**VISION, "hidden_size": "large"}}, "hidden_size is 'large', not a whole number"),
        ({"vision_config": {**VISION, "intermediate_size": 32}}, "tensors don't fit the config"),
    ):
        (folder / "config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(CheckpointError, match=words):
            starting_model(StartConfig(clip="clip", vocab="vocab.txt"), [], clip[0])
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="has no weights"):
        starting_model(StartConfig(clip="clip", vocab="vocab.txt"), [], clip[0])


@pytest.mark.parametrize(
    ("vision", "expected"),
    [
        # What openai/clip-vit-base-patch16 and -large-patch14 say; the rest is transformers' default.
        ({"patch_size": 16}, ClipVitConfig()),
        (
            {
                "hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 24,
                "patch_size": 14, "hidden_act": "quick_gelu", "projection_dim": 768,
            },
            ClipVitConfig(patch_size=14, width=1024, layers=24, heads=16, mlp_width=4096),
        ),
    ],
)  # fmt: skip
def test_the_released_shapes(tmp_path: Path, vision: dict[str, object], expected: ClipVitConfig) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": vision}))
    assert read_clip_config(tmp_path) == expected
