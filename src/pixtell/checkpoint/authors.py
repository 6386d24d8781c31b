"""The authors' layout: `model.pt`, a PyTorch file of {"model": tensors, ...}, and perhaps a `parameter.yaml`.

In: such a file, or a `Checkpoint`. Out: the other one. The file holds no config, so widths, layers, patch, grid and
frames are read off the shapes; heads are width / 64, and what no shape shows is what the authors' code fixes (layer
norm epsilons, dropout). Pixels come from `parameter.yaml`, or else from the released model of the same shape.

The surprising thing: the vocabulary is not in it either, and neither is a separate head: the authors' code ties the
head whatever the file says. (microsoft/GenerativeImage2Text, `model.py`, `inference.py`, `aux_data/models/`.)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pixtell.checkpoint.folder import write_folder
from pixtell.checkpoint.native import CARD, read_card
from pixtell.checkpoint.state import (
    Checkpoint,
    TensorInfo,
    foreign_shapes,
    from_foreign,
    known_names,
    require,
    to_foreign,
)
from pixtell.checkpoint.vocabulary import VOCAB, check_vocab, read_vocab, write_vocab
from pixtell.checkpoint.weights import TensorFile, save_torch
from pixtell.config import CLIP_MEAN, CLIP_STD, PRESETS, ClipVitConfig, ModelConfig, PixelConfig, TextConfig
from pixtell.errors import CheckpointError, ConfigError

WEIGHTS, PARAMETERS = "model.pt", "parameter.yaml"
HEAD_WIDTH = 64  # channels of a head, in CLIP's encoders and in the decoder
ENCODERS = {"CLIPViT_B_16": (16, 768), "CLIPViT_L_14": (14, 1024)}  # patch and width
NUMBERS = ("test_crop_size", "test_respect_ratio_max", "num_image_with_embedding", "visual_feature_size")
PARAMETER_KEYS = (*NUMBERS, "image_encoder_type")

CLASS, PATCHES, GRID = (
    "image_encoder.class_embedding",
    "image_encoder.conv1.weight",
    "image_encoder.positional_embedding",
)
WORDS, POSITIONS = "textual.embedding.words.weight", "textual.embedding.positions.weight"
VISION_BLOCKS, TEXT_BLOCKS = "image_encoder.transformer.resblocks.", "textual.transformer.encoder.layer."
VISION_MLP, TEXT_MLP = VISION_BLOCKS + "0.mlp.c_fc.weight", TEXT_BLOCKS + "0.intermediate.dense.weight"
FRAMES = "img_temperal_embedding."
RANKS = {CLASS: 1, PATCHES: 4, GRID: 2, WORDS: 2, POSITIONS: 2, VISION_MLP: 2, TEXT_MLP: 2}


def read_authors(file: TensorFile, *, vocab: Path | None = None, pixels: PixelConfig | None = None) -> Checkpoint:
    """Read the authors' `model.pt`, already unpickled; `pixels` go before those of `parameter.yaml`.

    Raises `CheckpointError` when tensors are unknown, missing or misshapen, when `parameter.yaml` contradicts them, or
    when there is no vocabulary.
    """
    spellings = known_names(file.infos, "authors")
    infos = {name: file.infos[own] for name, own in spellings.items()}
    folder = file.path.parent
    pieces = read_vocab(folder, vocab)
    try:
        config = _config_from_shapes(infos, pieces, file.path)
        parameters = _find_parameters(folder)
        if parameters is not None:
            _check_parameters(parameters[1], config, parameters[0])
        if pixels is None:
            pixels = _pixels(config, None if parameters is None else parameters[1])
    except ConfigError as error:
        raise CheckpointError(f"{file.path}: {error}") from error
    config = ModelConfig(config.vision, config.text, pixels, config.frames)
    require(infos, foreign_shapes(config, "authors"), str(file.path))
    check_vocab(pieces, config.text, str(vocab or folder / VOCAB))
    tensors = file.read()
    config, state = from_foreign({name: tensors[own] for name, own in spellings.items()}, config, "authors")
    return Checkpoint(config, state, pieces, read_card(folder), str(file.path))


def write_authors(checkpoint: Checkpoint, target: Path, *, overwrite: bool = False) -> None:
    """Write `model.pt`, `parameter.yaml` and `vocab.txt` into a folder, whole or not at all.

    Raises `CheckpointError` listing everything about the model that this layout can't say.
    """
    tensors = to_foreign(checkpoint, "authors")
    _check_sayable(checkpoint.config)

    def fill(folder: Path) -> None:
        save_torch({"model": tensors}, folder / WEIGHTS)
        lines = (f"{key}: {value}\n" for key, value in _parameters(checkpoint.config).items())
        (folder / PARAMETERS).write_text("".join(lines), encoding="utf-8")
        write_vocab(checkpoint.vocab, folder)
        if checkpoint.card:
            (folder / CARD).write_text(checkpoint.card, encoding="utf-8")

    write_folder(target, fill, overwrite=overwrite, ours=(WEIGHTS,))


def parse_parameters(text: str, where: Path) -> dict[str, str]:
    """The flat `key: value` lines of a `parameter.yaml`, with comments; `CheckpointError` lists all it can't read."""
    values: dict[str, str] = {}
    problems = []
    for number, line in enumerate(text.splitlines(), start=1):
        plain = line.partition("#")[0].strip()
        if not plain:
            continue
        key, colon, value = (part.strip() for part in plain.partition(":"))
        if not colon or not value or key not in PARAMETER_KEYS or key in values:
            problems.append(f"line {number}: {line.strip()[:80]!r}")
        elif key in NUMBERS and not (value.isascii() and value.isdigit()):
            problems.append(f"line {number}: {key} must be a whole number")
        values[key] = value.strip("'\"")
    if problems:
        raise CheckpointError(
            f"{where}: {'; '.join(problems[:20])}. Known are {', '.join(PARAMETER_KEYS)}, once each as `key: value`"
        )
    return values


def _config_from_shapes(infos: Mapping[str, TensorInfo], pieces: tuple[str, ...], where: Path) -> ModelConfig:
    unfit = [name for name, rank in RANKS.items() if name not in infos or len(infos[name].shape) != rank]
    if unfit:
        raise CheckpointError(f"{where}: not a GIT model of the authors: lacks or misshapes {', '.join(unfit)}")
    width, patch = infos[PATCHES].shape[0], infos[PATCHES].shape[2]
    vocab_size, text_width = infos[WORDS].shape
    uneven = [f"{size}" for size in (width, text_width) if size % HEAD_WIDTH]
    if uneven:
        raise CheckpointError(f"{where}: width {' and '.join(uneven)} does not divide into heads of {HEAD_WIDTH}")
    grid = round((infos[GRID].shape[0] - 1) ** 0.5)
    vision = ClipVitConfig(
        image_size=grid * patch,
        patch_size=patch,
        width=width,
        layers=_count(infos, VISION_BLOCKS),
        heads=width // HEAD_WIDTH,
        mlp_width=infos[VISION_MLP].shape[0],
    )
    ids = {piece: number for number, piece in enumerate(pieces)}
    released = TextConfig()
    text = TextConfig(
        vocab_size=vocab_size,
        width=text_width,
        layers=_count(infos, TEXT_BLOCKS),
        heads=text_width // HEAD_WIDTH,
        mlp_width=infos[TEXT_MLP].shape[0],
        max_positions=infos[POSITIONS].shape[0],
        cls_id=ids.get("[CLS]", released.cls_id),
        sep_id=ids.get("[SEP]", released.sep_id),
        pad_id=ids.get("[PAD]", released.pad_id),
    )
    return ModelConfig(vision, text, frames=_count(infos, FRAMES))


def _count(infos: Mapping[str, TensorInfo], prefix: str) -> int:
    """How many different blocks (or frames) the names that begin with `prefix` belong to."""
    return len({name.removeprefix(prefix).partition(".")[0] for name in infos if name.startswith(prefix)})


def _find_parameters(folder: Path) -> tuple[Path, dict[str, str]] | None:
    """`parameter.yaml` beside the file, or above its folder when that is called `snapshot` as the authors' are."""
    for place in (folder, *((folder.parent,) if folder.name == "snapshot" else ())):
        path = place / PARAMETERS
        if path.is_file():
            try:
                return path, parse_parameters(path.read_text(encoding="utf-8"), path)
            except (OSError, UnicodeDecodeError) as error:
                raise CheckpointError(f"{path}: can't be read ({error})") from error
    return None


def _check_parameters(values: Mapping[str, str], config: ModelConfig, where: Path) -> None:
    assert isinstance(config.vision, ClipVitConfig)
    patch, width = config.vision.patch_size, config.vision.width
    problems = []
    encoder = values.get("image_encoder_type")
    if encoder is not None and ENCODERS.get(encoder) != (patch, width):
        problems.append(f"image_encoder_type is {encoder}, but the weights have patch {patch} and width {width}")
    for key, actual in (("visual_feature_size", width), ("num_image_with_embedding", config.frames)):
        if key in values and int(values[key]) != actual:
            problems.append(f"{key} is {values[key]}, but the weights have {actual}")
    if problems:
        raise CheckpointError(f"{where}: contradicts the weights beside it: {'; '.join(problems)}")


def _pixels(config: ModelConfig, values: Mapping[str, str] | None) -> PixelConfig:
    if values is not None:
        size = int(values.get("test_crop_size", 224))
        if "test_respect_ratio_max" in values:
            return PixelConfig(size=size, fit="aspect", max_size=int(values["test_respect_ratio_max"]))
        return PixelConfig(size=size)
    for preset in PRESETS.values():
        # Released models of one shape all have the same pixels.
        if (preset.model.vision, preset.model.frames) == (config.vision, config.frames):
            return preset.authors_pixels
    return PixelConfig(size=config.vision.image_size)


def _parameters(config: ModelConfig) -> dict[str, int | str]:
    vision, pixels = config.vision, config.pixels
    assert isinstance(vision, ClipVitConfig)
    values: dict[str, int | str] = {"test_crop_size": pixels.size, "visual_feature_size": vision.width}
    for encoder, shape in ENCODERS.items():
        if shape == (vision.patch_size, vision.width):
            values["image_encoder_type"] = encoder
    if pixels.max_size is not None:
        values["test_respect_ratio_max"] = pixels.max_size
    if config.frames:
        values["num_image_with_embedding"] = config.frames
    return values


def _check_sayable(config: ModelConfig) -> None:
    vision, text, pixels = config.vision, config.text, config.pixels
    problems = []
    for what, part in (("vision", vision), ("text", text)):
        if isinstance(part, ClipVitConfig | TextConfig) and part.heads * HEAD_WIDTH != part.width:
            problems.append(f"its {what} heads have {part.width}/{part.heads} channels; theirs have {HEAD_WIDTH}")
    if not text.tied_head:
        problems.append("its head is separate; theirs is the word embedding")
    if text.layer_eps != TextConfig().layer_eps:
        problems.append(f"its layer_eps is {text.layer_eps}; theirs is {TextConfig().layer_eps}")
    if (pixels.mean, pixels.std, pixels.resample) != (CLIP_MEAN, CLIP_STD, "bicubic") or pixels.fit == "squash":
        problems.append(
            "its pixels are not CLIP's colours, bicubic, cropped or with their aspect kept (pixels=authors)"
        )
    if problems:
        raise CheckpointError(f"the authors' layout has no words for this model: {'; '.join(problems)}")
