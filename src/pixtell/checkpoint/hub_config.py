"""transformers' config.json and preprocessor_config.json <-> ModelConfig and PixelConfig.

In: the folder of a model in the hub's layout. Out: our configs, or one error listing every setting that this
implementation can't honour. A field that is missing means transformers' default for it (transformers 5.23,
`configuration_git.py`, `image_processing_clip.py`, `image_processing_videomae.py`).

The surprising thing: these files can't be closed like ours. Older transformers wrote some sixty unrelated settings
into each, so only what changes a number is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixtell.checkpoint.weights import read_object
from pixtell.config import CLIP_MEAN, CLIP_STD, HALF, ClipVitConfig, ModelConfig, PixelConfig, TextConfig
from pixtell.errors import CheckpointError, ConfigError

CONFIG, PREPROCESSOR, PROCESSOR = "config.json", "preprocessor_config.json", "processor_config.json"
VISION_EPS = 1e-5  # of every layer norm in CLIP and of the projection's; not a setting of ours

CLIP_PROCESSORS = ("CLIPImageProcessor", "CLIPImageProcessorFast", "CLIPImageProcessorPil", "CLIPFeatureExtractor")
VIDEO_PROCESSORS = ("VideoMAEImageProcessor", "VideoMAEImageProcessorPil", "VideoMAEFeatureExtractor")
FILTERS: dict[int, Any] = {2: "bilinear", 3: "bicubic"}  # PIL's numbers


class Fields:
    """Typed look-ups in a JSON object that note what is wrong instead of stopping at the first."""

    def __init__(self, values: Mapping[str, Any], problems: list[str], owner: str = "") -> None:
        self.values, self.problems, self.owner = values, problems, owner

    def whole(self, name: str, default: int) -> int:
        """A whole number; a pair of equal ones counts as one, and null as the default."""
        value = self.values.get(name, default)
        if value is None:
            return default
        if isinstance(value, list) and value and all(part == value[0] for part in value):
            value = value[0]
        if type(value) is int:
            return value
        self.problems.append(f"{self.owner}{name} must be a whole number, is {value!r}")
        return default

    def real(self, name: str, default: float) -> float:
        """A number; null is the default."""
        value = self.values.get(name, default)
        if value is None:
            return default
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        self.problems.append(f"{self.owner}{name} must be a number, is {value!r}")
        return default

    def demand(self, name: str, default: object, *allowed: object) -> None:
        """Note a setting that is not one of the `allowed`; missing or null counts as `default`."""
        value = self.values.get(name)
        value = default if value is None else value
        if not any(type(value) is type(one) and value == one for one in allowed):
            choices = " or ".join(repr(one) for one in allowed)
            self.problems.append(f"{self.owner}{name} is {value!r}; only {choices} is supported")


def read_model_config(folder: Path, pixels: PixelConfig | None) -> ModelConfig:
    """The model that a hub folder's config.json describes; pixels are read beside it unless they are given.

    Raises `CheckpointError` listing every value that is unsupported or of a wrong type.
    """
    path = folder / CONFIG
    content = read_object(path)
    problems: list[str] = []
    vision_values = content.get("vision_config") or {}
    if not isinstance(vision_values, dict):
        problems.append("vision_config must be an object")
        vision_values = {}
    text, vision = TextConfig(), ClipVitConfig()
    try:
        text = _text(Fields(content, problems))
    except ConfigError as error:
        problems.append(str(error))
    try:
        vision = _vision(Fields(vision_values, problems, "vision_config."))
    except ConfigError as error:
        problems.append(str(error))
    frames = Fields(content, problems).whole("num_image_with_embedding", 0)
    if frames < 0:
        problems.append(f"num_image_with_embedding is {frames}")
    if problems:
        raise CheckpointError(f"{path}: {ConfigError.listing('not a GIT model that can be loaded', problems)}")
    return ModelConfig(vision, text, pixels or read_pixels(folder), frames)


def tied_by_config(folder: Path) -> bool:
    """Whether config.json allows the head's matrix to be left out of the weights."""
    return read_object(folder / CONFIG).get("tie_word_embeddings") is True


def _text(fields: Fields) -> TextConfig:
    fields.demand("model_type", None, "git")
    fields.demand("hidden_act", "gelu", "gelu")
    fields.demand("position_embedding_type", "absolute", "absolute")
    if fields.values.get("quantization_config"):
        fields.problems.append("quantization_config is set; quantised weights are not read")
    eps = fields.real("layer_norm_eps", 1e-12)
    return TextConfig(
        vocab_size=fields.whole("vocab_size", 30522),
        width=fields.whole("hidden_size", 768),
        layers=fields.whole("num_hidden_layers", 6),
        heads=fields.whole("num_attention_heads", 12),
        mlp_width=fields.whole("intermediate_size", 3072),
        max_positions=fields.whole("max_position_embeddings", 1024),
        dropout=fields.real("hidden_dropout_prob", 0.1),
        attention_dropout=fields.real("attention_probs_dropout_prob", 0.1),
        embedding_eps=eps,
        layer_eps=eps,
        cls_id=fields.whole("bos_token_id", 101),
        sep_id=fields.whole("eos_token_id", 102),
        pad_id=fields.whole("pad_token_id", 0),
    )


def _vision(fields: Fields) -> ClipVitConfig:
    fields.demand("model_type", "git_vision_model", "git_vision_model")
    fields.demand("hidden_act", "quick_gelu", "quick_gelu")
    fields.demand("layer_norm_eps", VISION_EPS, VISION_EPS)
    fields.demand("num_channels", 3, 3)
    return ClipVitConfig(
        image_size=fields.whole("image_size", 224),
        patch_size=fields.whole("patch_size", 16),
        width=fields.whole("hidden_size", 768),
        layers=fields.whole("num_hidden_layers", 12),
        heads=fields.whole("num_attention_heads", 12),
        mlp_width=fields.whole("intermediate_size", 3072),
    )


def read_pixels(folder: Path) -> PixelConfig:
    """The pixels that a hub folder's image processor makes (preprocessor_config.json, or processor_config.json).

    Raises `CheckpointError` when there is neither, or listing what can't be done in the same way.
    """
    if (folder / PREPROCESSOR).is_file():
        path = folder / PREPROCESSOR
        values = read_object(path)
    elif (folder / PROCESSOR).is_file() and isinstance(read_object(folder / PROCESSOR).get("image_processor"), dict):
        path = folder / PROCESSOR
        values = read_object(path)["image_processor"]
    else:
        raise CheckpointError(
            f"{folder}: has no {PREPROCESSOR}, so its pixels are unknown; name the released model it comes from "
            f"(preset=, --preset)"
        )
    problems: list[str] = []
    try:
        pixels = _pixels(Fields(values, problems))
        if problems:
            raise ConfigError.listing("pixels that can't be made", problems)
        return pixels
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _pixels(fields: Fields) -> PixelConfig:
    kind = fields.values.get("image_processor_type") or fields.values.get("feature_extractor_type")
    if kind not in (*CLIP_PROCESSORS, *VIDEO_PROCESSORS):
        fields.problems.append(
            f"image_processor_type is {kind!r}; CLIPImageProcessor and VideoMAEImageProcessor are known"
        )
    video = kind in VIDEO_PROCESSORS
    for switch in ("do_resize", "do_rescale", "do_normalize"):
        fields.demand(switch, True, True)
    if abs(fields.real("rescale_factor", 1 / 255) - 1 / 255) > 1e-9:
        fields.problems.append(f"rescale_factor is {fields.values['rescale_factor']!r}; only 1/255 is supported")
    resample = fields.whole("resample", 2 if video else 3)
    if resample not in FILTERS:
        fields.problems.append(f"resample is {resample}; only 2 (bilinear) and 3 (bicubic) are supported")
    size, fit, max_size = _size(fields)
    return PixelConfig(
        size=size,
        fit=fit,
        max_size=max_size,
        resample=FILTERS.get(resample, "bicubic"),
        mean=_colours(fields, "image_mean", HALF if video else CLIP_MEAN),
        std=_colours(fields, "image_std", HALF if video else CLIP_STD),
    )


def _size(fields: Fields) -> tuple[int, Any, int | None]:
    """Size, fit and longest side out of `size`, `do_center_crop` and `crop_size`, each with several spellings."""
    raw = fields.values.get("size")
    sizes = {"shortest_edge": 224} if raw is None else {"shortest_edge": raw} if type(raw) is int else raw
    crops = fields.values.get("do_center_crop") is not False
    raw_crop = fields.values.get("crop_size")
    crop = raw_crop if isinstance(raw_crop, dict) else {"height": raw_crop or 224, "width": raw_crop or 224}
    square = isinstance(sizes, dict) and set(sizes) == {"height", "width"} and sizes["height"] == sizes["width"]
    edge = None
    if isinstance(sizes, dict):
        edge = sizes.get("height") if square else sizes.get("shortest_edge")
    whole_crop = crop == {"height": edge, "width": edge}
    if type(edge) is int:
        if square and (whole_crop or not crops):
            return edge, "squash", None
        if set(sizes) == {"shortest_edge"} and crops and whole_crop:
            return edge, "crop", None
        if set(sizes) == {"shortest_edge", "longest_edge"} and not crops and type(sizes["longest_edge"]) is int:
            return edge, "aspect", sizes["longest_edge"]
    fields.problems.append(
        f"size {raw!r} with do_center_crop {crops} and crop_size {raw_crop!r}; supported are a short side with a "
        f"centre crop of the same size, a short and a long side without a crop, and a square of height and width"
    )
    return 224, "crop", None


def _colours(fields: Fields, name: str, default: tuple[float, float, float]) -> tuple[float, float, float]:
    value = fields.values.get(name)
    if value is None:
        return default
    if isinstance(value, list) and len(value) == 3 and all(type(part) in (int, float) for part in value):
        return float(value[0]), float(value[1]), float(value[2])
    fields.problems.append(f"{name} must be three numbers, is {value!r}")
    return default


def model_config_json(config: ModelConfig, dtype: str) -> dict[str, Any]:
    """config.json for transformers; the head is written as a separate copy, as hub files carry it."""
    vision, text = config.vision, config.text
    assert isinstance(vision, ClipVitConfig)
    return {
        "architectures": ["GitForCausalLM"],
        "model_type": "git",
        "dtype": dtype,
        "vocab_size": text.vocab_size,
        "hidden_size": text.width,
        "num_hidden_layers": text.layers,
        "num_attention_heads": text.heads,
        "intermediate_size": text.mlp_width,
        "hidden_act": "gelu",
        "hidden_dropout_prob": text.dropout,
        "attention_probs_dropout_prob": text.attention_dropout,
        "max_position_embeddings": text.max_positions,
        "initializer_range": 0.02,
        "layer_norm_eps": text.layer_eps,
        "position_embedding_type": "absolute",
        "use_cache": True,
        "tie_word_embeddings": False,
        "num_image_with_embedding": config.frames or None,
        **_token_ids(text),
        "vision_config": {
            "model_type": "git_vision_model",
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
            "num_channels": 3,
            "hidden_size": vision.width,
            "num_hidden_layers": vision.layers,
            "num_attention_heads": vision.heads,
            "intermediate_size": vision.mlp_width,
            "hidden_act": "quick_gelu",
            "layer_norm_eps": VISION_EPS,
            "attention_dropout": 0.0,
            "initializer_range": 0.02,
        },
    }


def _token_ids(text: TextConfig) -> dict[str, Any]:
    return {"bos_token_id": text.cls_id, "eos_token_id": text.sep_id, "pad_token_id": text.pad_id}


def generation_config_json(config: ModelConfig) -> dict[str, Any]:
    """generation_config.json: the special tokens and nothing else, as the released models have it."""
    return _token_ids(config.text)


def preprocessor_json(pixels: PixelConfig) -> dict[str, Any]:
    """preprocessor_config.json: VideoMAE's processor for its own colours and filter, CLIP's for all else.

    `aspect` becomes a short and a long side, which transformers rounds on its own (up to a pixel from the authors'
    `MinMaxResizeForTest`), and its model then needs `interpolate_pos_encoding=True`.
    """
    video = (pixels.resample, pixels.mean, pixels.std) == ("bilinear", HALF, HALF)
    square = {"height": pixels.size, "width": pixels.size}
    sizes: dict[str, Any] = {
        "crop": {"shortest_edge": pixels.size},
        "aspect": {"shortest_edge": pixels.size, "longest_edge": pixels.max_size},
        "squash": square,
    }
    content = {
        "image_processor_type": "VideoMAEImageProcessor" if video else "CLIPImageProcessor",
        "processor_class": "GitProcessor",
        "do_resize": True,
        "size": sizes[pixels.fit],
        "resample": next(number for number, name in FILTERS.items() if name == pixels.resample),
        "do_center_crop": pixels.fit == "crop",
        "crop_size": square,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(pixels.mean),
        "image_std": list(pixels.std),
    }
    return content if video else {**content, "do_convert_rgb": True}
