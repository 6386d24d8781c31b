"""Our own layout: exact there and back, closed, and checked before a tensor is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pixtell.checkpoint import native
from pixtell.checkpoint.native import config_from_json, config_to_json, read_native, write_native
from pixtell.checkpoint.state import Checkpoint
from pixtell.checkpoint.weights import TensorFile
from pixtell.config import PRESETS, ModelConfig, PixelConfig
from pixtell.errors import CheckpointError


def edited(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((folder / "config.json").read_text())
    change(content)
    (folder / "config.json").write_text(json.dumps(content))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", ["picture", "clip", "separate", "efficientnet"])
def test_there_and_back(tmp_path: Path, make: Callable[..., Checkpoint], shape: str, dtype: torch.dtype) -> None:
    checkpoint = make(shape, dtype)
    write_native(checkpoint, tmp_path / "model")
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "vocab.txt",
    ]
    back = read_native(tmp_path / "model")
    assert (back.config, back.vocab, back.card) == (checkpoint.config, checkpoint.vocab, checkpoint.card)
    assert back.state.keys() == checkpoint.state.keys()
    for name, tensor in checkpoint.state.items():
        assert back.state[name].dtype == dtype and torch.equal(back.state[name], tensor)


@pytest.mark.parametrize("name", PRESETS)
def test_configs_there_and_back(name: str) -> None:
    config = PRESETS[name].model
    assert config_from_json(json.loads(json.dumps(config_to_json(config))), Path("config.json")) == config


def test_pixels_can_be_replaced(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    write_native(make(), tmp_path / "model")
    assert read_native(tmp_path / "model", pixels=PixelConfig(size=99)).config.pixels.size == 99


def test_a_model_without_a_card_gets_a_plain_one(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    checkpoint = make("clip")
    write_native(Checkpoint(checkpoint.config, checkpoint.state, checkpoint.vocab), tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    assert "ClipVit, 128 wide" in card and "42 word pieces" in card and "clips of up to 6 frames" in card


def test_everything_wrong_in_a_config_is_listed(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    write_native(make(), tmp_path / "model")

    def spoil(content: dict[str, Any]) -> None:
        content["colour"] = "red"
        content["frames"] = 1.5
        content["vision"]["patchsize"] = content["vision"].pop("patch_size")
        content["text"].update(width="192", tied_head=1)
        content["pixels"].update(fit="stretch", mean=[0.5, 0.5])

    edited(tmp_path / "model", spoil)
    with pytest.raises(CheckpointError) as caught:
        read_native(tmp_path / "model")
    text = str(caught.value)
    for problem in (
        "8 problems",
        "colour is unknown",
        "vision.patchsize is unknown",
        "vision.patch_size is missing",
        "text.width is '192', which is of a wrong type",
        "text.tied_head is 1",
        "pixels.fit is 'stretch'",
        "pixels.mean is [0.5, 0.5]",
        "frames must be a whole number",
    ):
        assert problem in text


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda content: content.update(format_version=2), "format_version is 2; this version of Pixtell reads 1"),
        (
            lambda content: content["vision"].update(kind="swin"),
            "vision.kind must be one of clip_vit, efficientnet_lite",
        ),
        (lambda content: content["vision"].update(kind=["x"]), "vision.kind must be one of"),
        (lambda content: content.update(text=[]), "text must be an object"),
        (lambda content: content["text"].update(heads=5), "width 192 is not a multiple of heads 5"),
        (lambda content: content.pop("pixels"), "pixels is missing"),
    ],
)
def test_configs_that_are_refused(
    tmp_path: Path, make: Callable[..., Checkpoint], change: Callable[[dict[str, Any]], object], problem: str
) -> None:
    write_native(make(), tmp_path / "model")
    edited(tmp_path / "model", change)
    with pytest.raises(CheckpointError, match=problem):
        read_native(tmp_path / "model")


def test_tensors_are_compared_before_one_is_read(
    tmp_path: Path, make: Callable[..., Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_native(make(), tmp_path / "model")
    edited(tmp_path / "model", lambda content: content["text"].update(mlp_width=999))

    def never(self: TensorFile) -> dict[str, torch.Tensor]:
        raise AssertionError("a tensor was read")

    monkeypatch.setattr(TensorFile, "read", never)
    with pytest.raises(CheckpointError, match=r"6 misshapen[^!]*mlp\.fc_in\.bias is \[256\], must be \[999\]"):
        read_native(tmp_path / "model")
    with pytest.raises(AssertionError, match="a tensor was read"):
        edited(tmp_path / "model", lambda content: content["text"].update(mlp_width=256))
        read_native(tmp_path / "model")


def test_a_wrong_vocabulary_is_refused(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    write_native(make(), tmp_path / "model")
    (tmp_path / "model" / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n")
    with pytest.raises(CheckpointError, match="4 pieces, but the model has 42"):
        read_native(tmp_path / "model")


def test_the_config_is_written_field_by_field() -> None:
    content = config_to_json(ModelConfig())
    assert content["format"] == native.FORMAT and content["format_version"] == native.VERSION
    assert content["vision"]["kind"] == "clip_vit"
    assert content["text"]["embedding_eps"] == 1e-8
