"""Tiny checkpoints with random weights, in every shape that the layouts must carry."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from pixtell.checkpoint.state import Checkpoint, expected
from pixtell.config import ClipVitConfig, EfficientNetLiteConfig, ModelConfig, PixelConfig, TextConfig

VOCAB = ("[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"piece{n}" for n in range(34)), "##s", ".")

TEXT = TextConfig(
    vocab_size=len(VOCAB),
    width=192,
    layers=2,
    heads=3,
    mlp_width=256,
    max_positions=48,
    cls_id=VOCAB.index("[CLS]"),
    sep_id=VOCAB.index("[SEP]"),
    pad_id=VOCAB.index("[PAD]"),
)
VISION = ClipVitConfig(image_size=32, patch_size=16, width=128, layers=2, heads=2, mlp_width=160)

CONFIGS = {
    "picture": ModelConfig(VISION, TEXT, PixelConfig(size=32)),
    "clip": ModelConfig(VISION, TEXT, PixelConfig(size=32), frames=6),
    # As the VQA models: a larger grid and pixels with their aspect kept.
    "question": ModelConfig(
        replace(VISION, image_size=80), TEXT, PixelConfig(size=80, fit="aspect", max_size=112), frames=0
    ),
    "separate": ModelConfig(VISION, replace(TEXT, tied_head=False), PixelConfig(size=32)),
}


def random_checkpoint(config: ModelConfig, dtype: torch.dtype = torch.float32) -> Checkpoint:
    generator = torch.Generator().manual_seed(1)

    def draw(name: str, shape: tuple[int, ...]) -> torch.Tensor:
        values = torch.randn(shape, generator=generator) * 0.1
        return (1 + values if "ln_" in name or "layer_norm.weight" in name else values).to(dtype)

    state = {name: draw(name, shape) for name, shape in expected(config).items()}
    return Checkpoint(config, state, VOCAB, "# Tiny\n\nRandom weights.\n")


def efficientnet_config() -> ModelConfig:
    return ModelConfig(EfficientNetLiteConfig(image_size=64), TEXT, PixelConfig(size=64, fit="squash"))


@pytest.fixture(params=CONFIGS)
def tiny(request: pytest.FixtureRequest) -> Checkpoint:
    """Each of the tiny checkpoints in turn."""
    return random_checkpoint(CONFIGS[request.param])


@pytest.fixture
def make() -> Callable[..., Checkpoint]:
    """A tiny checkpoint by the name of its shape, in any dtype."""

    def build(name: str = "picture", dtype: torch.dtype = torch.float32) -> Checkpoint:
        return random_checkpoint(efficientnet_config() if name == "efficientnet" else CONFIGS[name], dtype)

    return build


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of tiny checkpoints need not survive a power cut."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
