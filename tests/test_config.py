"""Configs: what they refuse, that all problems are told at once, and the presets against the authors' tables."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pixtell.config import (
    CLIP_MEAN,
    HALF,
    PRESETS,
    ClipVitConfig,
    DecodeOptions,
    EfficientNetLiteConfig,
    ModelConfig,
    PixelConfig,
    TextConfig,
)
from pixtell.errors import ConfigError

REFUSED: list[tuple[type, dict[str, Any], str]] = [
    (ClipVitConfig, {"width": 100, "heads": 12}, "width 100 is not a multiple of heads 12"),
    (ClipVitConfig, {"image_size": 8}, "image_size 8 is smaller than one patch of 16"),
    (ClipVitConfig, {"layers": 0}, "layers must be at least 1, got 0"),
    (EfficientNetLiteConfig, {"variant": 5}, "variant must be 0, 1, 2, 3 or 4, got 5"),
    (TextConfig, {"width": 100, "heads": 12}, "width 100 is not a multiple of heads 12"),
    (TextConfig, {"dropout": 1.0}, "dropout must be in"),
    (TextConfig, {"vocab_size": 50}, "cls_id 101 is outside the vocabulary of 50"),
    (PixelConfig, {"fit": "stretch"}, "fit must be crop, aspect or squash"),
    (PixelConfig, {"resample": "nearest"}, "resample must be bicubic or bilinear"),
    (PixelConfig, {"max_size": 640}, "max_size goes with fit 'aspect'"),
    (PixelConfig, {"fit": "aspect"}, "max_size goes with fit 'aspect'"),
    (PixelConfig, {"fit": "aspect", "size": 480, "max_size": 400}, "max_size 400 is smaller than size 480"),
    (PixelConfig, {"std": (0.0, 1.0, 1.0)}, "std above 0"),
    (ModelConfig, {"frames": -1}, "frames must be 0 or more, got -1"),
    (DecodeOptions, {"beams": 0}, "beams must be at least 1, got 0"),
    (DecodeOptions, {"min_new_tokens": 41}, "min_new_tokens must be in 0..40, got 41"),
    (DecodeOptions, {"temperature": -1.0}, "temperature must be 0"),
    (DecodeOptions, {"temperature": float("nan")}, "temperature must be 0"),
    (DecodeOptions, {"temperature": 1.0, "beams": 4}, "use beams=1 to sample"),
    (DecodeOptions, {"top_k": 5}, "only apply to sampling"),
    (DecodeOptions, {"seed": 5}, "only apply to sampling"),
    (DecodeOptions, {"temperature": 1.0, "beams": 1, "top_p": 0.0}, "top_p in (0, 1], got 0 and 0.0"),
    (DecodeOptions, {"temperature": 1.0, "beams": 1, "seed": -1}, "seed must be in"),
    (DecodeOptions, {"scoring": "mine"}, "scoring must be authors or transformers"),
    (DecodeOptions, {"results": 5}, "5 results need at least as many beams, got 4"),
    (DecodeOptions, {"length_penalty": float("inf")}, "length_penalty must be a finite number"),
    (DecodeOptions, {"no_repeat_ngram": -1}, "no_repeat_ngram must be 0 or more"),
]


@pytest.mark.parametrize(("config", "values", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_can_not_hold_is_refused(config: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(**values)
    assert message in str(caught.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        DecodeOptions(beams=0, max_new_tokens=0, top_k=-1, scoring="mine")  # type: ignore[arg-type]
    message = str(caught.value)
    assert all(name in message for name in ("beams", "max_new_tokens", "top_k", "scoring"))


@pytest.mark.parametrize(
    "config", [ClipVitConfig(), EfficientNetLiteConfig(), TextConfig(), PixelConfig(), ModelConfig(), DecodeOptions()]
)
def test_configs_are_frozen(config: Any) -> None:
    name = dataclasses.fields(config)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, name, getattr(config, name))


def test_sampling_takes_what_a_search_refuses() -> None:
    options = DecodeOptions(beams=1, temperature=0.7, top_k=5, top_p=0.9, seed=3, results=7)
    assert (options.top_k, options.results) == (5, 7)


@pytest.mark.parametrize("name", ["banned", "choices"])
def test_texts_may_be_a_list_but_not_one_text(name: str) -> None:
    options = DecodeOptions(**{name: ["a dog", "a cat"]})
    assert options == DecodeOptions(**{name: ("a dog", "a cat")}) and isinstance(hash(options), int)
    with pytest.raises(ConfigError, match=f"{name} must be a tuple of texts, got 'a dog'"):
        DecodeOptions(**{name: "a dog"})


def test_the_defaults_are_the_authors() -> None:
    options = DecodeOptions()
    assert (options.beams, options.length_penalty, options.scoring) == (4, 0.6, "authors")


# git-facts 4.2 and 4.3, written a second time: image size, patch, width, mlp, layers, heads, frames.
BASE, LARGE = (16, 768, 3072, 12, 12), (14, 1024, 4096, 24, 16)
SHAPES = {
    "git-base": (224, *BASE, 0),
    "git-base-coco": (224, *BASE, 0),
    "git-base-textcaps": (224, *BASE, 0),
    "git-base-vqav2": (480, *BASE, 0),
    "git-base-textvqa": (480, *BASE, 0),
    "git-base-vatex": (224, *BASE, 6),
    "git-base-msrvtt": (224, *BASE, 6),
    "git-base-msrvtt-qa": (224, *BASE, 6),
    "git-large": (224, *LARGE, 0),
    "git-large-coco": (224, *LARGE, 0),
    "git-large-textcaps": (224, *LARGE, 0),
    "git-large-vqav2": (420, *LARGE, 0),
    "git-large-textvqa": (420, *LARGE, 0),
    "git-large-vatex": (224, *LARGE, 6),
    "git-large-msrvtt": (224, *LARGE, 6),
    "git-large-msrvtt-qa": (224, *LARGE, 6),
    "git-large-r": (224, *LARGE, 0),
    "git-large-r-coco": (224, *LARGE, 0),
    "git-large-r-textcaps": (224, *LARGE, 0),
}


def test_there_are_the_nineteen_released_models() -> None:
    assert list(PRESETS) == list(SHAPES)
    assert {name for name, preset in PRESETS.items() if not preset.on_hub} == {"git-base-msrvtt", "git-large-msrvtt"}


@pytest.mark.parametrize("name", SHAPES)
def test_a_preset_has_the_released_shape(name: str) -> None:
    model = PRESETS[name].model
    vision = model.vision
    assert isinstance(vision, ClipVitConfig)
    found = (vision.image_size, vision.patch_size, vision.width, vision.mlp_width, vision.layers, vision.heads)
    assert (*found, model.frames) == SHAPES[name]
    assert model.text == TextConfig()


@pytest.mark.parametrize("name", SHAPES)
def test_a_preset_has_both_sets_of_pixels(name: str) -> None:
    preset = PRESETS[name]
    size = SHAPES[name][0]
    kept = {480: 640, 420: 560}.get(size)
    assert preset.authors_pixels == PixelConfig(size=size, fit="aspect" if kept else "crop", max_size=kept)
    assert preset.authors_pixels.mean == CLIP_MEAN
    colours = (HALF, "bilinear") if SHAPES[name][6] else (CLIP_MEAN, "bicubic")
    assert (preset.hub_pixels.mean, preset.hub_pixels.resample) == colours
    assert (preset.hub_pixels.size, preset.hub_pixels.fit) == (size, "crop")


def test_only_question_models_of_photos_resize_positions() -> None:
    resized = {name for name, preset in PRESETS.items() if preset.resizes_positions}
    assert resized == {f"git-{size}-{task}" for size in ("base", "large") for task in ("vqav2", "textvqa")}
