"""Tiny models with loud weights, so that a wrong place, mask or order shows in the first digits of a logit.

B media, F frames, C channels, H W pixels, R rows, T text tokens
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from pixtell.config import ClipVitConfig, EfficientNetLiteConfig, ModelConfig, PixelConfig, TextConfig
from pixtell.model import GitModel

VISION = ClipVitConfig(image_size=16, patch_size=8, width=16, layers=2, heads=2, mlp_width=24)
TEXT = TextConfig(
    vocab_size=40,
    width=24,
    layers=3,
    heads=3,
    mlp_width=32,
    max_positions=48,
    dropout=0.0,
    attention_dropout=0.0,
    cls_id=2,
    sep_id=3,
    pad_id=0,
)
EFFICIENTNET = EfficientNetLiteConfig(variant=0, image_size=64)


def tiny_config(frames: int = 0, **text: Any) -> ModelConfig:
    """A CLIP encoder of 5 tokens a frame and a decoder of 3 layers; `text` changes fields of the decoder."""
    return ModelConfig(VISION, replace(TEXT, **text), PixelConfig(size=16), frames)


def loud_model(config: ModelConfig | None = None, seed: int = 0, std: float = 0.3) -> GitModel:
    """A model in evaluation mode whose every weight is drawn anew: norms around 1, the rest around 0."""
    model = GitModel(config or tiny_config())
    generator = torch.Generator().manual_seed(seed)
    norms = {id(m.weight) for m in model.modules() if isinstance(m, nn.LayerNorm)}
    with torch.no_grad():
        for parameter in model.parameters():
            centre = 1.0 if id(parameter) in norms else 0.0
            parameter.copy_(centre + std * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def random_pixels(*shape: int, seed: int = 1) -> Tensor:
    """pixels_BFCHW out of a hat; `shape` is B, F, H, W."""
    media, frames, height, width = shape
    return torch.randn(media, frames, 3, height, width, generator=torch.Generator().manual_seed(seed))


def random_ids(*shape: int, seed: int = 2) -> Tensor:
    """Ids of ordinary pieces of the tiny vocabulary, after [CLS]."""
    ids = torch.randint(4, TEXT.vocab_size, shape, generator=torch.Generator().manual_seed(seed))
    ids[..., 0] = TEXT.cls_id
    return ids


def assert_near(ours: Tensor, twin: Tensor, atol: float = 1e-5) -> None:
    """Equal within `atol`, and far enough from constant that equality means something."""
    assert twin.std() > 0.05, f"values that hardly differ (std {twin.std()}) prove nothing"
    torch.testing.assert_close(ours, twin, atol=atol, rtol=0)
