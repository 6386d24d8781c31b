"""Our own layout: a folder of config.json, model.safetensors, vocab.txt and README.md (the model's card).

In: such a folder, or a `Checkpoint`. Out: the other one. config.json is the `ModelConfig` field by field and closed:
a key that is unknown, missing or of a wrong type is an error, and all of them are listed.

The surprising thing: weights keep the dtype they were stored in (float32, float16 or bfloat16); what a model computes
in is decided where it is loaded.
"""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pixtell.checkpoint.folder import write_folder
from pixtell.checkpoint.state import Checkpoint, expected, require
from pixtell.checkpoint.vocabulary import VOCAB, check_vocab, read_vocab, write_vocab
from pixtell.checkpoint.weights import open_safetensors, read_object, save_safetensors
from pixtell.config import ClipVitConfig, EfficientNetLiteConfig, ModelConfig, PixelConfig, TextConfig
from pixtell.errors import CheckpointError, ConfigError

FORMAT, VERSION = "pixtell", 1
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
VISION_KINDS: dict[str, type[ClipVitConfig] | type[EfficientNetLiteConfig]] = {
    "clip_vit": ClipVitConfig,
    "efficientnet_lite": EfficientNetLiteConfig,
}


def read_native(folder: Path, *, vocab: Path | None = None, pixels: PixelConfig | None = None) -> Checkpoint:
    """Read a model in our layout; `pixels` replace those of its config.json.

    Raises `CheckpointError` for anything missing, unknown, misshapen or damaged, before a tensor is read.
    """
    config = config_from_json(read_object(folder / CONFIG), folder / CONFIG)
    if pixels is not None:
        config = ModelConfig(config.vision, config.text, pixels, config.frames)
    file = open_safetensors(folder / WEIGHTS)
    require(file.infos, expected(config), str(file.path))
    pieces = read_vocab(folder, vocab)
    check_vocab(pieces, config.text, str(vocab or folder / VOCAB))
    return Checkpoint(config, file.read(), pieces, read_card(folder), str(folder))


def write_native(checkpoint: Checkpoint, target: Path, *, overwrite: bool = False) -> None:
    """Write a model in our layout, whole or not at all; see `write_folder` for what is refused."""

    def fill(folder: Path) -> None:
        write_json(config_to_json(checkpoint.config), folder / CONFIG)
        save_safetensors(checkpoint.state, folder / WEIGHTS)
        write_vocab(checkpoint.vocab, folder)
        (folder / CARD).write_text(checkpoint.card or plain_card(checkpoint.config), encoding="utf-8")

    write_folder(target, fill, overwrite=overwrite, ours=(CONFIG, WEIGHTS))


def config_to_json(config: ModelConfig) -> dict[str, Any]:
    """A `ModelConfig` as the object that our config.json holds."""
    kind = next(name for name, cls in VISION_KINDS.items() if isinstance(config.vision, cls))
    return {
        "format": FORMAT,
        "format_version": VERSION,
        "frames": config.frames,
        "vision": {"kind": kind, **asdict(config.vision)},
        "text": asdict(config.text),
        "pixels": asdict(config.pixels),
    }


def config_from_json(content: Mapping[str, Any], where: Path) -> ModelConfig:
    """The `ModelConfig` in our config.json; `CheckpointError` lists every key that is unknown, missing or wrong."""
    if content.get("format_version") != VERSION:
        raise CheckpointError(
            f"{where}: format_version is {content.get('format_version')!r}; this version of Pixtell reads {VERSION}"
        )
    problems = _key_problems(content, ("format", "format_version", "frames", "vision", "text", "pixels"), "")
    vision_values = _section(content, "vision", problems)
    vision_class = VISION_KINDS.get(str(vision_values.pop("kind", None)))
    if vision_class is None:
        problems.append(f"vision.kind must be one of {', '.join(VISION_KINDS)}")
    vision: Any = _parse(vision_class, vision_values, "vision.", problems) if vision_class else None
    text = _parse(TextConfig, _section(content, "text", problems), "text.", problems)
    pixels = _parse(PixelConfig, _section(content, "pixels", problems), "pixels.", problems)
    frames = content.get("frames", 0)
    if type(frames) is not int or frames < 0:
        problems.append(f"frames must be a whole number of 0 or more, is {frames!r}")
    if problems:
        raise CheckpointError(f"{where}: {ConfigError.listing('not the config of a model', problems)}")
    return ModelConfig(vision, text, pixels, frames)


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write an object as indented JSON."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_card(folder: Path) -> str:
    """The README.md of a folder, or nothing."""
    path = folder / CARD
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def plain_card(config: ModelConfig) -> str:
    """What can be said of a model that came without a card."""
    vision, text = config.vision, config.text
    return (
        "# A GIT model\n\n"
        "Saved by Pixtell. Whoever trained it should say here on what, with which results, and under which terms.\n\n"
        f"* image encoder: {type(vision).__name__.removesuffix('Config')}, {vision.width} wide, "
        f"{vision.image_size} pixels\n"
        f"* text decoder: {text.layers} layers, {text.width} wide, {text.vocab_size:,} word pieces\n"
        f"* reads: {f'clips of up to {config.frames} frames' if config.frames else 'single pictures'}\n"
    )


def _section(content: Mapping[str, Any], name: str, problems: list[str]) -> dict[str, Any]:
    value = content.get(name, {})
    if isinstance(value, dict):
        return dict(value)
    problems.append(f"{name} must be an object")
    return {}


def _key_problems(values: Mapping[str, Any], known: tuple[str, ...], owner: str) -> list[str]:
    problems = [f"{owner}{name} is unknown" for name in values if name not in known]
    return problems + [f"{owner}{name} is missing" for name in known if name not in values]


def _parse(cls: type[Any], values: Mapping[str, Any], owner: str, problems: list[str]) -> Any:
    """Build a config dataclass from its fields, or note what is wrong with them and return None."""
    hints = get_type_hints(cls)
    names = tuple(field.name for field in fields(cls))
    found = _key_problems(values, names, owner)
    found += [
        f"{owner}{name} is {values[name]!r}, which is of a wrong type"
        for name in names
        if name in values and not _fits(values[name], hints[name])
    ]
    problems += found
    if found:
        return None
    try:
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
    except ConfigError as error:
        problems.append(str(error))
        return None


def _fits(value: object, hint: Any) -> bool:
    """Whether a JSON value is of a field's type; a whole number is a float too, and a tuple is a list in JSON."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in arguments
    if origin in (Union, types.UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is tuple:
        return isinstance(value, list) and len(value) == len(arguments) and all(map(_fits, value, arguments))
    if hint is float:
        return type(value) in (int, float)
    return type(value) is hint
