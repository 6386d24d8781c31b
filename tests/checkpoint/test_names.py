"""The table of names and shapes against the models that it speaks of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from pixtell.checkpoint.hub_config import model_config_json
from pixtell.checkpoint.names import MAX_REPEATS, entries
from pixtell.checkpoint.state import Checkpoint, expected, foreign_shapes
from pixtell.config import PRESETS, ModelConfig
from pixtell.errors import CheckpointError
from pixtell.model import GitModel


def shapes_of(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def on_meta(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return shapes_of(GitModel(config))


def test_our_names_are_the_models(tiny: Checkpoint) -> None:
    assert expected(tiny.config) == on_meta(tiny.config)


@pytest.mark.parametrize("name", ["git-base", "git-base-vatex", "git-large-vqav2"])
def test_our_names_are_the_released_models(name: str) -> None:
    config = PRESETS[name].model
    assert expected(config) == on_meta(config)


def test_an_efficientnet_model_has_names_of_its_own_only(make: Callable[..., Checkpoint]) -> None:
    config = make("efficientnet").config
    assert expected(config) == on_meta(config)
    with pytest.raises(CheckpointError, match=r"EfficientNetLite: keep it in Pixtell's own layout"):
        entries(config, tied_head=True)


@pytest.mark.parametrize("name", ["git-base", "git-base-vatex", "git-large-vqav2"])
def test_hub_names_are_those_of_transformers(name: str) -> None:
    transformers = pytest.importorskip("transformers")
    content = model_config_json(PRESETS[name].model, "float32")
    with torch.device("meta"):
        theirs = shapes_of(transformers.GitForCausalLM(transformers.GitConfig(**content)))
    assert foreign_shapes(PRESETS[name].model, "hub") == theirs


def test_authors_names_of_git_base() -> None:
    """A few spelled out by hand from the authors' code, and the count of all."""
    shapes = foreign_shapes(PRESETS["git-base-vatex"].model, "authors")
    assert shapes["image_encoder.conv1.weight"] == (768, 3, 16, 16)
    assert shapes["image_encoder.positional_embedding"] == (197, 768)
    assert shapes["image_encoder.transformer.resblocks.11.attn.in_proj_weight"] == (2304, 768)
    assert shapes["image_encoder.transformer.resblocks.11.attn.in_proj_bias"] == (2304,)
    assert shapes["image_encoder.transformer.resblocks.0.mlp.c_proj.weight"] == (768, 3072)
    assert shapes["textual.transformer.encoder.layer.5.attention.self.value.weight"] == (768, 768)
    assert shapes["textual.transformer.encoder.layer.5.output.LayerNorm.bias"] == (768,)
    assert shapes["textual.visual_projection.1.weight"] == (768,)
    assert shapes["textual.embedding.positions.weight"] == (1024, 768)
    assert shapes["textual.output.weight"] == (30522, 768)
    assert shapes["img_temperal_embedding.5"] == (1, 1, 768)
    # 7 around the vision blocks and 12 in each; 10 around the decoder's layers and 16 in each; 6 frames.
    assert len(shapes) == 7 + 12 * 12 + 10 + 6 * 16 + 6


def test_absurd_numbers_of_blocks_are_refused_before_the_table_is_spelled_out() -> None:
    config = PRESETS["git-base"].model
    absurd = ModelConfig(replace(config.vision, layers=10**9), config.text, config.pixels, frames=10**9)
    with pytest.raises(CheckpointError, match=rf"1,000,000,000 frames and .* at most {MAX_REPEATS:,} are read"):
        expected(absurd)
