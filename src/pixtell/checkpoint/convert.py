"""The door: anything that names a model -> a `Checkpoint`, and a `Checkpoint` -> a folder in any layout.

In: nothing (the bundled model), a released model's name, a name on the hub, or a path. What a path holds is found out
from its content: config.json says whether it is our layout or the hub's, and a PyTorch file shows whether it is the
authors'. Out: a `Checkpoint` with our names.

The surprising thing: one set of weights has two sets of pixels (config.py). A released model named by its name gets
the authors', which published numbers were made with; a path gets what stands in it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import torch

from pixtell.checkpoint.authors import WEIGHTS as AUTHORS_WEIGHTS
from pixtell.checkpoint.authors import read_authors, write_authors
from pixtell.checkpoint.hub_layout import BIN, SAFETENSORS, has_own_pixels, read_hub_layout, write_hub_layout
from pixtell.checkpoint.native import CONFIG, FORMAT, read_native, write_native
from pixtell.checkpoint.state import Checkpoint, describe, empty_model, expected, require
from pixtell.checkpoint.vocabulary import check_vocab
from pixtell.checkpoint.weights import TensorFile, is_torch_file, open_safetensors, open_torch, read_object
from pixtell.config import BUNDLED, BUNDLED_FOLDER, HUB_OWNER, PRESETS, PixelConfig, Preset
from pixtell.errors import CheckpointError, ConfigError
from pixtell.model import GitModel

Layout = Literal["pixtell", "hub", "authors"]
Pixels = Literal["auto", "authors", "hub"]

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def load_checkpoint(
    source: str | Path | None = None,
    *,
    pixels: Pixels = "auto",
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    offline: bool = False,
    vocab: str | Path | None = None,
    preset: str | None = None,
) -> Checkpoint:
    """Read a model from wherever `source` points to; None is the bundled model.

    A string is a path when there is one of that name, else one of `PRESETS` (`git-base-coco`), else `owner/name` on
    the hub. `pixels` chooses between the authors' and the hub's of a released model. `preset` says which released
    model a path holds, `vocab` names a vocab.txt, and `revision`, `cache_dir` and `offline` are for the hub.

    Raises `CheckpointError`, and `ConfigError` for options that don't exist or don't apply.
    """
    _check_options(pixels, preset)
    place = _locate(source, revision, cache_dir, offline)
    name = preset or place.preset
    released = None if name is None else PRESETS[name]
    try:
        contents = _inspect(place.path)
        wanted = _choose_pixels(pixels, contents, released, place.name)
        checkpoint = _read(contents, None if vocab is None else Path(vocab).expanduser(), wanted)
    except OSError as error:
        raise CheckpointError(f"{place.name}: can't be read ({error.strerror or error})") from error
    if released is not None:
        _check_preset(checkpoint, released, place.name)
    return replace(checkpoint, source=place.name, preset=name)


def save_checkpoint(
    checkpoint: Checkpoint, target: str | Path, layout: Layout = "pixtell", *, overwrite: bool = False
) -> Path:
    """Write a model into the folder `target`, whole or not at all; returns the folder.

    Raises `CheckpointError` when tensors or vocabulary don't fit the config, the layout can't hold the model, the
    folder exists (unless `overwrite`, and it is a checkpoint), or the disk refuses; `ConfigError` for another layout.
    """
    if layout not in get_args(Layout):
        raise ConfigError(f"layout must be {', '.join(get_args(Layout))}, got {layout!r}")
    require(describe(checkpoint.state), expected(checkpoint.config), checkpoint.source or "the model")
    check_vocab(checkpoint.vocab, checkpoint.config.text, checkpoint.source or "the model")
    write = {"pixtell": write_native, "hub": write_hub_layout, "authors": write_authors}[layout]
    write(checkpoint, Path(target), overwrite=overwrite)
    return Path(target)


def build_model(checkpoint: Checkpoint, dtype: torch.dtype = torch.float32) -> GitModel:
    """A `GitModel` in evaluation mode with the checkpoint's weights in `dtype`, built without random numbers."""
    model = empty_model(checkpoint.config)
    state = {name: tensor.to(dtype) for name, tensor in checkpoint.state.items()}
    model.load_state_dict(state, strict=True, assign=True)
    return model.eval()


@dataclass(frozen=True)
class _Place:
    """Where a model is, how messages name it, and which released model it is, when its name says so."""

    path: Path
    name: str
    preset: str | None = None


@dataclass(frozen=True)
class _Contents:
    """What a path holds; of the authors' layout, its file already unpickled."""

    layout: Layout
    folder: Path
    authors: TensorFile | None = None


def _check_options(pixels: str, preset: str | None) -> None:
    if pixels not in get_args(Pixels):
        raise ConfigError(f"pixels must be {', '.join(get_args(Pixels))}, got {pixels!r}")
    if preset is not None and preset not in PRESETS:
        raise ConfigError(f"preset {preset!r} is not a released model; they are {', '.join(PRESETS)}")


def _locate(source: str | Path | None, revision: str | None, cache_dir: str | Path | None, offline: bool) -> _Place:
    if source is None or source == BUNDLED:
        if not BUNDLED_FOLDER.is_dir():
            raise CheckpointError(f"the bundled model {BUNDLED} is missing from this installation: install it again")
        place = _Place(BUNDLED_FOLDER, BUNDLED)
    elif os.path.exists(path := os.path.expanduser(source)):
        place = _Place(Path(path), str(source))
    else:
        return _locate_on_hub(source, revision, cache_dir, offline)
    if revision is not None:
        raise ConfigError(f"revision {revision!r} is for models on the hub; {place.name} is a local path")
    return place


def _locate_on_hub(source: str | Path, revision: str | None, cache_dir: str | Path | None, offline: bool) -> _Place:
    name = str(source)
    preset = PRESETS.get(name.removeprefix(HUB_OWNER))
    if preset is not None and not isinstance(source, Path):
        if not preset.on_hub:
            raise CheckpointError(
                f"{preset.name} was never put on the hub: give the path of the authors' {AUTHORS_WEIGHTS}, "
                f"and preset={preset.name} (--preset)"
            )
        name = HUB_OWNER + preset.name
    elif isinstance(source, Path) or not HUB_NAME.fullmatch(name):
        raise CheckpointError(
            f"{name}: no such file or folder, and not a known model. Known are {BUNDLED}, {', '.join(PRESETS)}, and "
            f"any owner/name on the hub"
        )
    from pixtell.checkpoint.hub import download

    folder = download(name, revision=revision, cache_dir=cache_dir, offline=offline)
    return _Place(folder, name, None if preset is None else preset.name)


def _inspect(path: Path) -> _Contents:
    """Find out which layout a folder or a file is in."""
    if path.is_dir():
        if (path / CONFIG).is_file():
            return _Contents(_layout_of_config(path), path)
        for file in (path / AUTHORS_WEIGHTS, path / "snapshot" / AUTHORS_WEIGHTS):
            if file.is_file():
                return _inspect_file(file)
        raise CheckpointError(f"{path}: no model in this folder (neither {CONFIG} nor {AUTHORS_WEIGHTS})")
    return _inspect_file(path)


def _inspect_file(path: Path) -> _Contents:
    if is_torch_file(path):
        file, content = open_torch(path)
        if isinstance(content.get("model"), dict):
            return _Contents("authors", path.parent, file)
    else:
        open_safetensors(path)
    if path.name not in (SAFETENSORS, BIN) or not (path.parent / CONFIG).is_file():
        raise CheckpointError(
            f"{path}: weights without a config: give the path of a folder with {CONFIG} and {SAFETENSORS} or {BIN}, or "
            f"of the authors' {AUTHORS_WEIGHTS} (a dict with the key 'model')"
        )
    return _Contents(_layout_of_config(path.parent), path.parent)


def _read(contents: _Contents, vocab: Path | None, pixels: PixelConfig | None) -> Checkpoint:
    if contents.authors is not None:
        return read_authors(contents.authors, vocab=vocab, pixels=pixels)
    read = read_native if contents.layout == "pixtell" else read_hub_layout
    return read(contents.folder, vocab=vocab, pixels=pixels)


def _layout_of_config(folder: Path) -> Layout:
    content = read_object(folder / CONFIG)
    if content.get("format") == FORMAT:
        return "pixtell"
    if "model_type" in content:
        return "hub"
    raise CheckpointError(
        f"{folder / CONFIG}: neither Pixtell's config (format {FORMAT!r}) nor transformers' (model_type)"
    )


def _choose_pixels(pixels: Pixels, contents: _Contents, released: Preset | None, name: str) -> PixelConfig | None:
    """The pixels that replace those of the files, or None to keep what the files say."""
    if released is None:
        if pixels in ("auto", contents.layout):
            return None
        raise ConfigError(
            f"{name}: its {pixels} pixels are not known, since it doesn't say which released model it is: name that "
            f"(preset=, --preset)"
        )
    if pixels != "hub":
        return released.authors_pixels
    keeps_own = contents.layout == "hub" and has_own_pixels(contents.folder)
    return None if keeps_own else released.hub_pixels


def _check_preset(checkpoint: Checkpoint, released: Preset, name: str) -> None:
    config, model = checkpoint.config, released.model
    problems = []
    if config.vision != model.vision:
        problems.append(f"its image encoder is {config.vision}, must be {model.vision}")
    if config.frames != model.frames:
        problems.append(f"it has {config.frames} temporal embeddings, must have {model.frames}")
    if problems:
        raise CheckpointError(f"{name}: is not {released.name}: {'; '.join(problems)}")
