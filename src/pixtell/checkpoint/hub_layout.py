"""The hub's layout: what transformers' `GitForCausalLM` reads and writes.

In: a folder of config.json, model.safetensors (or its shards, or pytorch_model.bin), preprocessor_config.json and
vocab.txt (or tokenizer.json), or a `Checkpoint`. Out: the other one.

The surprising thing: transformers 4.57 renamed the temporal embeddings and doesn't read the released video models'
own spelling any more, so those load there without them. Both spellings are read here; today's is written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pixtell.checkpoint.folder import write_folder
from pixtell.checkpoint.hub_config import (
    CONFIG,
    PREPROCESSOR,
    generation_config_json,
    model_config_json,
    preprocessor_json,
    read_model_config,
    tied_by_config,
)
from pixtell.checkpoint.native import CARD, read_card, write_json
from pixtell.checkpoint.state import (
    Checkpoint,
    TensorInfo,
    foreign_shapes,
    from_foreign,
    known_names,
    require,
    to_foreign,
)
from pixtell.checkpoint.vocabulary import TOKENIZER_CONFIG, VOCAB, check_vocab, read_vocab, write_vocab
from pixtell.checkpoint.weights import TensorFile, open_safetensors, open_shards, open_torch, save_safetensors
from pixtell.config import PixelConfig
from pixtell.errors import CheckpointError

SAFETENSORS, SAFETENSORS_INDEX = "model.safetensors", "model.safetensors.index.json"
BIN, BIN_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
GENERATION = "generation_config.json"


def read_hub_layout(folder: Path, *, vocab: Path | None = None, pixels: PixelConfig | None = None) -> Checkpoint:
    """Read a model in the hub's layout; `pixels` go before those of its preprocessor.

    Raises `CheckpointError` for settings that can't be honoured and for tensors that are unknown, missing or misshapen;
    of safetensors, before one is read.
    """
    config = read_model_config(folder, pixels)
    files = _tensor_files(folder)
    infos: dict[str, TensorInfo] = {}
    for file in files:
        infos.update(file.infos)
    spellings = known_names(infos, "hub")
    found = {name: infos[own] for name, own in spellings.items()}
    without_head = "output.weight" not in found and tied_by_config(folder)
    where = str(files[0].path if len(files) == 1 else folder)
    require(found, foreign_shapes(config, "hub", without_head=without_head), where)
    pieces = read_vocab(folder, vocab)
    check_vocab(pieces, config.text, str(vocab or folder / VOCAB))
    tensors = {name: tensor for file in files for name, tensor in file.read().items()}
    config, state = from_foreign({name: tensors[own] for name, own in spellings.items()}, config, "hub")
    return Checkpoint(config, state, pieces, read_card(folder), str(folder))


def write_hub_layout(checkpoint: Checkpoint, target: Path, *, overwrite: bool = False) -> None:
    """Write a folder that transformers (4.57 or newer) loads, whole or not at all.

    The embedding's layer-norm epsilon becomes that of the layers, since config.json has one for both.
    """
    dtypes = {str(tensor.dtype).removeprefix("torch.") for tensor in checkpoint.state.values()}
    dtype = dtypes.pop() if len(dtypes) == 1 else "float32"
    config = checkpoint.config
    tensors = to_foreign(checkpoint, "hub")

    def fill(folder: Path) -> None:
        write_json(model_config_json(config, dtype), folder / CONFIG)
        write_json(generation_config_json(config), folder / GENERATION)
        write_json(preprocessor_json(config.pixels), folder / PREPROCESSOR)
        write_json(_tokenizer_config_json(checkpoint.vocab), folder / TOKENIZER_CONFIG)
        save_safetensors(tensors, folder / SAFETENSORS)
        write_vocab(checkpoint.vocab, folder)
        if checkpoint.card:
            (folder / CARD).write_text(checkpoint.card, encoding="utf-8")

    write_folder(target, fill, overwrite=overwrite, ours=(CONFIG, SAFETENSORS, BIN))


def has_own_pixels(folder: Path) -> bool:
    """Whether a hub folder says how its pixels are made."""
    return any((folder / name).is_file() for name in (PREPROCESSOR, "processor_config.json"))


def _tensor_files(folder: Path) -> list[TensorFile]:
    """The weights, safetensors first: they are checked before they are read, and hold no code."""
    if (folder / SAFETENSORS).is_file():
        return [open_safetensors(folder / SAFETENSORS)]
    if (folder / SAFETENSORS_INDEX).is_file():
        return open_shards(folder / SAFETENSORS_INDEX)
    if (folder / BIN).is_file():
        return [open_torch(folder / BIN)[0]]
    if (folder / BIN_INDEX).is_file():
        return open_shards(folder / BIN_INDEX)
    raise CheckpointError(f"{folder}: has no weights ({SAFETENSORS}, {BIN}, or shards of either)")


def _tokenizer_config_json(vocab: tuple[str, ...]) -> dict[str, Any]:
    """What `AutoTokenizer` needs beside vocab.txt to tokenise as bert-base-uncased does."""
    special = ("unk", "sep", "pad", "cls", "mask")
    return {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": True,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        **{f"{name}_token": f"[{name.upper()}]" for name in special if f"[{name.upper()}]" in vocab},
        "model_max_length": 512,
        "model_input_names": ["input_ids", "attention_mask"],
    }
