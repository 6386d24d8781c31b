"""The hub's layout, with transformers as the judge of what is written and the writer of what is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pixtell.checkpoint.convert import build_model
from pixtell.checkpoint.hub_layout import has_own_pixels, read_hub_layout, write_hub_layout
from pixtell.checkpoint.native import read_native, write_native
from pixtell.checkpoint.state import Checkpoint, to_foreign
from pixtell.errors import CheckpointError
from pixtell.tokenizer import Tokenizer

from .conftest import CONFIGS, VOCAB, random_checkpoint

QUESTION = [3, 9, 17, 38]  # [CLS] and three pieces


def load_in_transformers(folder: Path) -> Any:
    transformers = pytest.importorskip("transformers")
    model, info = transformers.GitForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(info.get(kind) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"))
    return model.eval()


def pixels_BFCHW(checkpoint: Checkpoint) -> torch.Tensor:
    size = checkpoint.config.vision.image_size
    generator = torch.Generator().manual_seed(5)
    return torch.randn(2, max(1, checkpoint.config.frames), 3, size, size, generator=generator)


def their_logits(model: Any, checkpoint: Checkpoint) -> torch.Tensor:
    pixels = pixels_BFCHW(checkpoint)
    ids = torch.tensor([QUESTION, QUESTION])
    with torch.inference_mode():
        logits = model(input_ids=ids, pixel_values=pixels if checkpoint.config.frames else pixels[:, 0]).logits
    return logits[:, -len(QUESTION) :]


def our_logits(checkpoint: Checkpoint) -> torch.Tensor:
    model = build_model(checkpoint)
    with torch.inference_mode():
        return model(model.see(pixels_BFCHW(checkpoint)), torch.tensor([[QUESTION], [QUESTION]]))[:, 0]


def assert_same(back: Checkpoint, checkpoint: Checkpoint) -> None:
    assert back.state.keys() == checkpoint.state.keys()
    for name, tensor in checkpoint.state.items():
        assert back.state[name].dtype == tensor.dtype and torch.equal(back.state[name], tensor), name


def test_transformers_loads_what_is_written_and_computes_the_same(tmp_path: Path, tiny: Checkpoint) -> None:
    write_hub_layout(tiny, tmp_path / "hub")
    theirs = their_logits(load_in_transformers(tmp_path / "hub"), tiny)
    ours = our_logits(tiny)
    assert ours.std() > 0.05, "logits that hardly differ would prove nothing"
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    back = read_hub_layout(tmp_path / "hub")
    torch.testing.assert_close(our_logits(back), theirs, atol=1e-5, rtol=0)


def test_native_to_hub_to_native(tmp_path: Path, tiny: Checkpoint) -> None:
    write_native(tiny, tmp_path / "ours")
    write_hub_layout(read_native(tmp_path / "ours"), tmp_path / "hub")
    write_native(read_hub_layout(tmp_path / "hub"), tmp_path / "again")
    assert_same(read_native(tmp_path / "again"), tiny)
    first, again = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("ours", "again"))
    assert first == again


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_carried(tmp_path: Path, make: Callable[..., Checkpoint], dtype: torch.dtype) -> None:
    checkpoint = make("clip", dtype)
    write_hub_layout(checkpoint, tmp_path / "hub")
    assert json.loads((tmp_path / "hub" / "config.json").read_text())["dtype"] == str(dtype).removeprefix("torch.")
    assert load_in_transformers(tmp_path / "hub").dtype == dtype
    assert_same(read_hub_layout(tmp_path / "hub"), checkpoint)


def test_what_transformers_saves_is_read(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    checkpoint = make("clip")
    write_hub_layout(checkpoint, tmp_path / "hub")
    load_in_transformers(tmp_path / "hub").save_pretrained(tmp_path / "theirs", max_shard_size="200kB")
    assert len(list((tmp_path / "theirs").glob("model-*-of-*.safetensors"))) > 1
    for name in ("vocab.txt", "preprocessor_config.json"):
        (tmp_path / "theirs" / name).write_bytes((tmp_path / "hub" / name).read_bytes())
    assert_same(read_hub_layout(tmp_path / "theirs"), checkpoint)


def test_the_tokenizer_is_the_same(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    transformers = pytest.importorskip("transformers")
    checkpoint = make()
    write_hub_layout(checkpoint, tmp_path / "hub")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "hub")
    ours = Tokenizer(checkpoint.vocab)
    for text in ("piece3 piece33s.", "Piece1  PIECE2 . unknown", ""):
        assert theirs(text, add_special_tokens=False).input_ids == ours.encode(text)
    assert (theirs.cls_token_id, theirs.sep_token_id, theirs.pad_token_id) == (3, 4, 0)
    theirs.save_pretrained(tmp_path / "tokenizer")
    (tmp_path / "hub" / "vocab.txt").unlink()
    (tmp_path / "hub" / "tokenizer.json").write_bytes((tmp_path / "tokenizer" / "tokenizer.json").read_bytes())
    assert read_hub_layout(tmp_path / "hub").vocab == VOCAB


def test_the_older_spelling_of_the_temporal_embedding(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    checkpoint = make("clip")
    folder = tmp_path / "hub"
    write_hub_layout(checkpoint, folder)
    state = load_file(folder / "model.safetensors")
    assert "git.img_temporal_embedding.5" in state
    old = {name.replace("temporal", "temperal"): tensor for name, tensor in state.items()}
    extra = {
        "git.image_encoder.visual_projection.weight": torch.ones(3),
        "git.embeddings.position_ids": torch.ones(1, 48).long(),
    }
    save_file({**old, **extra}, folder / "model.safetensors", metadata={"format": "pt"})
    assert_same(read_hub_layout(folder), checkpoint)


def test_pytorch_model_bin_is_read_when_there_is_nothing_better(tmp_path: Path, tiny: Checkpoint) -> None:
    folder = tmp_path / "hub"
    write_hub_layout(tiny, folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="has no weights"):
        read_hub_layout(folder)
    torch.save(to_foreign(tiny, "hub"), folder / "pytorch_model.bin")
    assert_same(read_hub_layout(folder), tiny)


def test_a_tied_file_may_leave_the_head_out(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    folder, checkpoint = tmp_path / "hub", make()
    write_hub_layout(checkpoint, folder)
    state = load_file(folder / "model.safetensors")
    del state["output.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"1 missing\)\n  missing: output\.weight"):
        read_hub_layout(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
    assert_same(read_hub_layout(folder), checkpoint)


def test_everything_wrong_is_listed(tmp_path: Path) -> None:
    folder, checkpoint = tmp_path / "hub", random_checkpoint(CONFIGS["clip"])
    write_hub_layout(checkpoint, folder)
    state = load_file(folder / "model.safetensors")
    state["git.img_temporal_embedding.6"] = torch.ones(1, 1, 128)
    del state["git.encoder.layer.0.attention.self.key.weight"]
    state["git.image_encoder.vision_model.encoder.layers.1.self_attn.v_proj.weight"] = torch.ones(64, 128)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError) as caught:
        read_hub_layout(folder)
    text = str(caught.value)
    assert "1 unknown, 1 missing, 1 misshapen" in text
    assert "v_proj.weight is [64, 128], must be [128, 128]" in text


def test_the_card_goes_along(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    write_hub_layout(make(), tmp_path / "hub")
    assert read_hub_layout(tmp_path / "hub").card == make().card
    assert has_own_pixels(tmp_path / "hub") and not has_own_pixels(tmp_path)
