"""Strictness and translation: everything wrong is listed at once, and there and back changes no byte."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from pixtell.checkpoint.names import Foreign
from pixtell.checkpoint.state import (
    HEAD,
    LISTED,
    WORDS,
    Checkpoint,
    TensorInfo,
    _NoRandomNumbers,
    describe,
    empty_model,
    expected,
    foreign_shapes,
    from_foreign,
    known_names,
    packed,
    require,
    to_foreign,
)
from pixtell.errors import CheckpointError

FOREIGN: tuple[Foreign, ...] = ("authors", "hub")


@pytest.mark.parametrize("layout", FOREIGN)
def test_there_and_back_changes_no_byte(tiny: Checkpoint, layout: Foreign) -> None:
    theirs = to_foreign(tiny, layout)
    assert {name: tuple(tensor.shape) for name, tensor in theirs.items()} == foreign_shapes(tiny.config, layout)
    config, state = from_foreign(theirs, tiny.config, layout)
    assert config == tiny.config
    assert state.keys() == tiny.state.keys()
    assert all(torch.equal(state[name], tiny.state[name]) for name in state)


def test_queries_keys_and_values_keep_their_order(make: Callable[..., Checkpoint]) -> None:
    checkpoint = make()
    theirs = to_foreign(checkpoint, "hub")
    ours = checkpoint.state["decoder.blocks.1.attention.qkv.weight"]
    for place, part in enumerate(("query", "key", "value")):
        name = f"git.encoder.layer.1.attention.self.{part}.weight"
        assert torch.equal(theirs[name], ours[192 * place : 192 * (place + 1)])
    stacked = to_foreign(checkpoint, "authors")["image_encoder.transformer.resblocks.0.attn.in_proj_bias"]
    assert torch.equal(stacked, checkpoint.state["vision.blocks.0.attention.qkv.bias"])


def test_no_two_foreign_tensors_share_memory(make: Callable[..., Checkpoint]) -> None:
    theirs = to_foreign(make("clip"), "hub")
    assert len({tensor.untyped_storage().data_ptr() for tensor in theirs.values()}) == len(theirs)


def test_the_head_is_tied_only_when_equal_bit_for_bit(make: Callable[..., Checkpoint]) -> None:
    checkpoint = make()
    theirs = to_foreign(checkpoint, "hub")
    assert HEAD not in from_foreign(theirs, checkpoint.config, "hub")[1]
    theirs["output.weight"][0, 0] = 0.0
    theirs["git.embeddings.word_embeddings.weight"][0, 0] = -0.0  # equal as numbers, not as bytes
    config, state = from_foreign(theirs, checkpoint.config, "hub")
    assert not config.text.tied_head
    assert torch.equal(state[HEAD], theirs["output.weight"])
    theirs["output.weight"][0, 0] = -0.0
    theirs["output.weight"][1, 1] = theirs["git.embeddings.word_embeddings.weight"][1, 1] = float("nan")
    assert from_foreign(theirs, checkpoint.config, "hub")[0].text.tied_head


def test_parts_of_one_tensor_must_agree_in_dtype(make: Callable[..., Checkpoint]) -> None:
    theirs = to_foreign(make(), "hub")
    name = "git.encoder.layer.0.attention.self.key.bias"
    theirs[name] = theirs[name].half()
    with pytest.raises(CheckpointError, match=r"decoder\.blocks\.0\.attention\.qkv\.bias differ in dtype"):
        from_foreign(theirs, make().config, "hub")


def test_everything_wrong_is_listed_at_once(make: Callable[..., Checkpoint]) -> None:
    checkpoint = make()
    found = describe(checkpoint.state)
    found["extra.weight"] = TensorInfo((1,), "F32")
    found[WORDS] = TensorInfo((7, 192), "F32")
    found["vision.class_embedding"] = TensorInfo((128,), "I64")
    for bias in ("decoder.head.bias", "vision.ln_pre.bias"):
        del found[bias]
    with pytest.raises(CheckpointError) as caught:
        require(found, expected(checkpoint.config), "model.safetensors")
    assert str(caught.value).splitlines() == [
        "model.safetensors: tensors don't fit the config (1 unknown, 2 missing, 1 misshapen, 1 not F32, F16, BF16)",
        "  unknown: extra.weight",
        "  missing: decoder.head.bias, vision.ln_pre.bias",
        "  misshapen: decoder.word_embedding.weight is [7, 192], must be [42, 192]",
        "  not F32, F16, BF16: vision.class_embedding is I64",
    ]


def test_long_and_hostile_lists_are_cut(make: Callable[..., Checkpoint]) -> None:
    names = [f"x{number:04}\x1b[2J" + "y" * 1000 for number in range(5000)]
    found = {**describe(make().state), **{name: TensorInfo((1,), "F32") for name in names}}
    with pytest.raises(CheckpointError) as caught:
        require(found, expected(make().config), "model.safetensors")
    text = str(caught.value)
    assert "5000 unknown" in text and f"and {5000 - LISTED:,} more" in text
    assert "\x1b" not in text and len(text) < 5000


def test_ignored_and_older_names() -> None:
    info = TensorInfo((1,), "F32")
    old = dict.fromkeys(("git.img_temperal_embedding.0", "git.embeddings.position_ids", "output.bias"), info)
    assert known_names(old, "hub") == {
        "git.img_temporal_embedding.0": "git.img_temperal_embedding.0",
        "output.bias": "output.bias",
    }
    both = dict.fromkeys(("git.img_temperal_embedding.0", "git.img_temporal_embedding.0"), info)
    assert known_names(both, "hub").keys() == both.keys(), "a second spelling stays, to be listed as unknown"
    wrapped = dict.fromkeys(("module.image_encoder.proj", "module.textual.output.bias"), info)
    assert known_names(wrapped, "authors") == {"textual.output.bias": "module.textual.output.bias"}
    half = dict.fromkeys(("module.textual.output.bias", "textual.output.weight"), info)
    assert known_names(half, "authors").keys() == half.keys(), "the prefix only goes when all carry it"


def test_packed_tensors_stand_alone() -> None:
    base = torch.arange(12.0).view(3, 4)
    state = {"whole": base, "again": base, "row": base[1], "turned": base.T}
    alone = packed(state)
    assert all(torch.equal(alone[name], state[name]) and alone[name].is_contiguous() for name in state)
    assert len({tensor.untyped_storage().data_ptr() for tensor in alone.values()}) == len(state)
    assert alone["row"].untyped_storage().nbytes() == 16


def test_a_checkpoint_is_frozen(make: Callable[..., Checkpoint]) -> None:
    with pytest.raises(AttributeError):
        make().card = "other"  # type: ignore[misc]
    assert replace(make(), card="other").card == "other"


def test_a_model_without_weights_draws_no_numbers(make: Callable[..., Checkpoint]) -> None:
    """On the meta device PyTorch imports sympy for it, a second that every start of the command would wait."""
    model = empty_model(make("efficientnet").config)
    assert all(tensor.is_meta for tensor in model.state_dict().values())
    sevens = torch.full((3,), 7.0)
    with _NoRandomNumbers():
        assert sevens.normal_() is sevens and torch.nn.init.normal_(sevens, std=0.1) is sevens
        assert torch.nn.init.normal_(tensor=sevens) is sevens and torch.randn(2, 3).shape == (2, 3)
    assert sevens.tolist() == [7.0] * 3
