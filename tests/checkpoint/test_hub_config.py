"""transformers' settings: what is read, what is refused, and that ours and theirs agree on defaults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pixtell.checkpoint.hub_config import (
    generation_config_json,
    model_config_json,
    preprocessor_json,
    read_model_config,
    read_pixels,
    tied_by_config,
)
from pixtell.config import CLIP_MEAN, HALF, PRESETS, ClipVitConfig, ModelConfig, PixelConfig
from pixtell.errors import CheckpointError

PIXELS = PixelConfig()


def config_of(folder: Path, content: dict[str, Any]) -> ModelConfig:
    (folder / "config.json").write_text(json.dumps(content))
    return read_model_config(folder, PIXELS)


def pixels_of(folder: Path, content: dict[str, Any]) -> PixelConfig:
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_processor_type": "CLIPImageProcessor"} | content)
    )
    return read_pixels(folder)


@pytest.mark.parametrize("name", PRESETS)
def test_released_models_there_and_back(tmp_path: Path, name: str) -> None:
    preset = PRESETS[name]
    content = model_config_json(preset.model, "float32")
    config = config_of(tmp_path, content)
    assert (config.vision, config.frames) == (preset.model.vision, preset.model.frames)
    assert (config.text.embedding_eps, config.text.layer_eps) == (1e-12, 1e-12)
    for pixels in (preset.authors_pixels, preset.hub_pixels):
        assert pixels_of(tmp_path, preprocessor_json(pixels)) == pixels


def test_an_empty_config_means_transformers_defaults(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = json.loads(transformers.GitConfig().to_json_string(use_diff=False))
    full, empty = config_of(tmp_path, theirs), config_of(tmp_path, {"model_type": "git"})
    assert full == empty
    assert (full.vision, full.frames) == (ClipVitConfig(), 0)
    assert config_of(tmp_path, {"model_type": "git", "vision_config": None}) == empty


def test_older_files_say_more_and_less(tmp_path: Path) -> None:
    """As the hub's files of 2022: sixty unrelated settings, and a vision part that leaves its defaults out."""
    old = {
        "model_type": "git",
        "_name_or_path": "",
        "torch_dtype": "float32",
        "transformers_version": "4.26.0.dev0",
        "layer_norm_eps": 1e-12,
        "num_image_with_embedding": None,
        "vision_config": {"dropout": 0.0, "initializer_factor": 1.0, "projection_dim": 512, "image_size": [480, 480]},
    }
    assert config_of(tmp_path, old).vision == ClipVitConfig(image_size=480)


def test_everything_unsupported_is_listed_at_once(tmp_path: Path) -> None:
    wrong = {
        "model_type": "blip",
        "hidden_act": "relu",
        "position_embedding_type": "relative_key",
        "quantization_config": {"bits": 8},
        "hidden_size": "768",
        "num_hidden_layers": True,
        "vision_config": {"hidden_act": "gelu", "layer_norm_eps": 1e-6, "num_channels": 1, "image_size": [224, 196]},
        "num_image_with_embedding": -1,
    }
    with pytest.raises(CheckpointError) as caught:
        config_of(tmp_path, wrong)
    text = str(caught.value)
    for problem in (
        "11 problems",
        "model_type is 'blip'; only 'git'",
        "hidden_act is 'relu'; only 'gelu'",
        "position_embedding_type is 'relative_key'",
        "quantised weights",
        "hidden_size must be a whole number, is '768'",
        "num_hidden_layers must be a whole number, is True",
        "vision_config.hidden_act is 'gelu'; only 'quick_gelu'",
        "vision_config.layer_norm_eps is 1e-06; only 1e-05",
        "vision_config.num_channels is 1",
        "vision_config.image_size must be a whole number, is [224, 196]",
        "num_image_with_embedding is -1",
    ):
        assert problem in text


def test_what_our_own_configs_refuse_is_one_error_too(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"(?s)width 768 is not a multiple of heads 7.*width 768 .* heads 5"):
        config_of(
            tmp_path, {"model_type": "git", "num_attention_heads": 7, "vision_config": {"num_attention_heads": 5}}
        )
    with pytest.raises(CheckpointError, match="vision_config must be an object"):
        config_of(tmp_path, {"model_type": "git", "vision_config": [1]})


def test_tied_by_config(tmp_path: Path) -> None:
    for content, tied in (({}, False), ({"tie_word_embeddings": True}, True), ({"tie_word_embeddings": 1}, False)):
        (tmp_path / "config.json").write_text(json.dumps(content))
        assert tied_by_config(tmp_path) is tied


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, PIXELS),
        ({"size": 480, "crop_size": 480}, PixelConfig(size=480)),
        ({"size": {"shortest_edge": 420}, "crop_size": {"height": 420, "width": 420}}, PixelConfig(size=420)),
        ({"size": {"height": 64, "width": 64}, "do_center_crop": False}, PixelConfig(size=64, fit="squash")),
        ({"size": {"height": 64, "width": 64}, "crop_size": 64}, PixelConfig(size=64, fit="squash")),
        (
            {"size": {"shortest_edge": 480, "longest_edge": 640}, "do_center_crop": False},
            PixelConfig(size=480, fit="aspect", max_size=640),
        ),
        ({"resample": 2, "image_mean": [0.5] * 3}, PixelConfig(resample="bilinear", mean=HALF)),
        ({"image_processor_type": "VideoMAEImageProcessor"}, PixelConfig(resample="bilinear", mean=HALF, std=HALF)),
        ({"image_processor_type": None, "feature_extractor_type": "CLIPFeatureExtractor"}, PIXELS),
    ],
)
def test_pixels(tmp_path: Path, content: dict[str, Any], expected: PixelConfig) -> None:
    assert pixels_of(tmp_path, content) == expected


def test_pixels_of_newer_processors(tmp_path: Path) -> None:
    nested = {"image_processor": preprocessor_json(PixelConfig(size=480)), "processor_class": "GitProcessor"}
    (tmp_path / "processor_config.json").write_text(json.dumps(nested))
    assert read_pixels(tmp_path) == PixelConfig(size=480)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"image_processor_type": "ViTImageProcessor"}, "image_processor_type is 'ViTImageProcessor'"),
        ({"do_resize": False, "do_normalize": False}, "2 problems"),
        ({"rescale_factor": 0.5}, "only 1/255"),
        ({"resample": 0}, "only 2 \\(bilinear\\) and 3 \\(bicubic\\)"),
        ({"size": 256}, "supported are a short side with"),
        ({"do_center_crop": False}, "supported are a short side with"),
        ({"size": {"height": 64, "width": 32}}, "supported are a short side with"),
        ({"size": {"shortest_edge": "224"}}, "supported are a short side with"),
        ({"size": "224"}, "supported are a short side with"),
        ({"image_mean": [0.5, 0.5]}, "image_mean must be three numbers"),
        ({"image_std": [0, 0, 0]}, "std above 0"),
    ],
)
def test_pixels_that_are_refused(tmp_path: Path, content: dict[str, Any], problem: str) -> None:
    with pytest.raises(CheckpointError, match=problem):
        pixels_of(tmp_path, content)


def test_no_pixels_at_all(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no preprocessor_config\.json.*--preset"):
        read_pixels(tmp_path)


def test_transformers_makes_of_our_files_what_we_meant(tmp_path: Path) -> None:
    """Its own processor, on the Pillow backend, reads back the sizes and colours that were written."""
    module = pytest.importorskip("transformers.models.clip.image_processing_pil_clip")
    processor = module.CLIPImageProcessorPil(**preprocessor_json(PRESETS["git-base-vqav2"].authors_pixels))
    assert dict(processor.size) == {"shortest_edge": 480, "longest_edge": 640}
    assert not processor.do_center_crop
    assert tuple(processor.image_mean) == CLIP_MEAN


def test_generation_config() -> None:
    assert generation_config_json(PRESETS["git-base"].model) == {
        "bos_token_id": 101,
        "eos_token_id": 102,
        "pad_token_id": 0,
    }
