"""The authors' `model.pt`: what shapes tell, what parameter.yaml tells, and what the layout can't hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pixtell.checkpoint.authors import PARAMETERS, parse_parameters, read_authors, write_authors
from pixtell.checkpoint.state import Checkpoint, describe, to_foreign
from pixtell.checkpoint.vocabulary import write_vocab
from pixtell.checkpoint.weights import open_torch
from pixtell.config import HALF, ModelConfig, PixelConfig
from pixtell.errors import CheckpointError

from .conftest import VOCAB


def read(folder: Path, pixels: PixelConfig | None = None) -> Checkpoint:
    return read_authors(open_torch(folder / "model.pt")[0], pixels=pixels)


def save(folder: Path, state: dict[str, torch.Tensor]) -> Path:
    folder.mkdir(exist_ok=True)
    torch.save({"model": state, "iteration": 100, "optimizer": {"lr": 1e-5}}, folder / "model.pt")
    write_vocab(VOCAB, folder)
    return folder


@pytest.mark.parametrize("shape", ["picture", "clip", "question"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_there_and_back(tmp_path: Path, make: Callable[..., Checkpoint], shape: str, dtype: torch.dtype) -> None:
    checkpoint = make(shape, dtype)
    write_authors(checkpoint, tmp_path / "model")
    back = read(tmp_path / "model")
    assert (back.config, back.vocab, back.card) == (checkpoint.config, checkpoint.vocab, checkpoint.card)
    assert back.state.keys() == checkpoint.state.keys()
    for name, tensor in checkpoint.state.items():
        assert back.state[name].dtype == dtype and torch.equal(back.state[name], tensor)


def test_a_file_as_the_authors_saved_it(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    """GIT_BASE carries `module.`, CLIP's unused projection, and no parameter.yaml."""
    checkpoint = make()
    state = to_foreign(checkpoint, "authors") | {"image_encoder.proj": torch.ones(128, 64)}
    plain = read(save(tmp_path / "plain", state))
    wrapped = read(save(tmp_path / "wrapped", {f"module.{name}": tensor for name, tensor in state.items()}))
    for back in (plain, wrapped):
        assert back.config == checkpoint.config
        assert all(torch.equal(back.state[name], tensor) for name, tensor in checkpoint.state.items())


def test_a_head_that_differs_is_kept_apart(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    checkpoint = make("separate")
    back = read(save(tmp_path / "model", to_foreign(checkpoint, "authors")))
    assert not back.config.text.tied_head
    assert torch.equal(back.state["decoder.head.weight"], checkpoint.state["decoder.head.weight"])


def test_everything_wrong_is_listed(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    state = to_foreign(make(), "authors")
    state["linear.weight"] = torch.ones(1)
    del state["textual.output.bias"]
    state["image_encoder.ln_post.bias"] = torch.ones(7)
    with pytest.raises(CheckpointError) as caught:
        read(save(tmp_path / "model", state))
    assert "1 unknown, 1 missing, 1 misshapen" in str(caught.value)
    for name in ("linear.weight", "textual.output.bias", "image_encoder.ln_post.bias is [7], must be [128]"):
        assert name in str(caught.value)


def test_missing_and_strangely_numbered_blocks(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    state = to_foreign(make(), "authors")
    moved = {name.replace("resblocks.1.", "resblocks.999999999."): tensor for name, tensor in state.items()}
    with pytest.raises(CheckpointError, match=r"12 unknown, 12 missing"):
        read(save(tmp_path / "model", moved))
    with pytest.raises(CheckpointError, match=r"lacks or misshapes image_encoder\.class_embedding, .*words"):
        read(save(tmp_path / "model", {"a": torch.ones(1)}))


def test_a_width_that_is_not_made_of_heads(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    state = to_foreign(make(), "authors")
    state["image_encoder.conv1.weight"] = torch.ones(100, 3, 16, 16)
    with pytest.raises(CheckpointError, match="width 100 does not divide into heads of 64"):
        read(save(tmp_path / "model", state))


def test_pixels(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    folder = save(tmp_path / "snapshot", to_foreign(make("question"), "authors"))
    assert read(folder).config.pixels == PixelConfig(size=80), "unknown shape, no parameters: the grid's size"
    (tmp_path / PARAMETERS).write_text("test_crop_size: 80 # pixels\n\ntest_respect_ratio_max: 112\n")
    kept = PixelConfig(size=80, fit="aspect", max_size=112)
    assert read(folder).config.pixels == kept, "above a folder called snapshot"
    (folder / PARAMETERS).write_text("num_image_with_embedding: 0\n")
    assert read(folder).config.pixels == PixelConfig(), "the authors' default is 224"
    assert read(folder, kept).config.pixels == kept


def test_a_released_shape_without_parameters_has_its_presets_pixels(
    tmp_path: Path, make: Callable[..., Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixtell.checkpoint import authors
    from pixtell.config import Preset

    config = make("question").config
    monkeypatch.setattr(authors, "PRESETS", {"tiny": Preset("tiny", config, PixelConfig(size=80))})
    folder = save(tmp_path / "model", to_foreign(make("question"), "authors"))
    assert read(folder).config.pixels == config.pixels


def test_parameters_that_contradict_the_weights(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    folder = save(tmp_path / "model", to_foreign(make("clip"), "authors"))
    (folder / PARAMETERS).write_text(
        "image_encoder_type: CLIPViT_L_14\nvisual_feature_size: 1024\nnum_image_with_embedding: 8\n"
    )
    with pytest.raises(CheckpointError) as caught:
        read(folder)
    for problem in ("image_encoder_type is CLIPViT_L_14", "visual_feature_size is 1024", "but the weights have 6"):
        assert problem in str(caught.value)


def test_impossible_parameters_are_one_line(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    folder = save(tmp_path / "model", to_foreign(make(), "authors"))
    (folder / PARAMETERS).write_text("test_crop_size: 480\ntest_respect_ratio_max: 10\n")
    with pytest.raises(CheckpointError, match="max_size 10 is smaller than size 480"):
        read(folder)
    with pytest.raises(CheckpointError) as caught:
        parse_parameters(
            "a: 1\ntest_crop_size\ntest_crop_size: -1\nvisual_feature_size: 1\nvisual_feature_size: 1", Path("p")
        )
    assert all(f"line {number}:" in str(caught.value) for number in (1, 2, 3, 5))
    assert parse_parameters("image_encoder_type: 'CLIPViT_L_14'", Path("p")) == {"image_encoder_type": "CLIPViT_L_14"}


def test_no_vocabulary(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    folder = save(tmp_path / "model", to_foreign(make(), "authors"))
    (folder / "vocab.txt").rename(tmp_path / "words.txt")
    with pytest.raises(CheckpointError, match=r"bert-base-uncased.*--vocab"):
        read(folder)
    file = open_torch(folder / "model.pt")[0]
    assert read_authors(file, vocab=tmp_path / "words.txt").vocab == VOCAB


def test_what_the_layout_has_no_words_for(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    checkpoint = make("separate")
    config = checkpoint.config
    text = replace(config.text, heads=6, layer_eps=1e-5)
    odd = ModelConfig(replace(config.vision, heads=8), text, PixelConfig(size=32, mean=HALF), 0)
    with pytest.raises(CheckpointError) as caught:
        write_authors(replace(checkpoint, config=odd), tmp_path / "model")
    for problem in (
        "vision heads have 128/8",
        "text heads have 192/6",
        "head is separate",
        "layer_eps",
        "CLIP's colours",
    ):
        assert problem in str(caught.value)
    assert not (tmp_path / "model").exists()


def test_the_written_parameters(tmp_path: Path, make: Callable[..., Checkpoint]) -> None:
    write_authors(make("question"), tmp_path / "model")
    assert (tmp_path / "model" / PARAMETERS).read_text() == (
        "test_crop_size: 80\nvisual_feature_size: 128\ntest_respect_ratio_max: 112\n"
    )
    names = describe(torch.load(tmp_path / "model" / "model.pt", weights_only=True)["model"])
    assert "textual.output.weight" in names and not any(name.startswith("module.") for name in names)
