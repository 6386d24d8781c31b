"""The image encoder: pixels_BCHW -> features_BNE, every token of it.

Two encoders share that contract: CLIP's vision transformer (all released GIT checkpoints) and EfficientNet-Lite (the
bundled model). `build` picks one by the type of its config.
"""

from __future__ import annotations

from pixtell.config import ClipVitConfig, VisionConfig
from pixtell.vision.clip_vit import ClipVit
from pixtell.vision.efficientnet import EfficientNetLite

__all__ = ["ClipVit", "EfficientNetLite", "build"]


def build(config: VisionConfig) -> ClipVit | EfficientNetLite:
    """Build the image encoder that `config` describes, with random weights."""
    return ClipVit(config) if isinstance(config, ClipVitConfig) else EfficientNetLite(config)
