"""EfficientNet-Lite: pixels_BCHW -> features_BNE, the last feature map read row by row.

The mobile encoder of the bundled model (Tan and Le, arXiv 1905.11946, table 1; the Lite variants drop squeeze-and-
excitation, use ReLU6, and keep stem and head unscaled). GIT's recipe, "image encoder -> 2-D feature map -> list of
tokens" (paper 2.1), needs nothing else. The surprising thing: there is no batch norm; `fold_batch_norms` merges the
published norms into the convolutions, which then have biases and train like any other weight.

    B pictures, C channels, H W pixels, h = ceil(H / 32), w = ceil(W / 32), N = h*w tokens, E width
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixtell.config import EfficientNetLiteConfig
from pixtell.errors import CheckpointError
from pixtell.vision.depthwise import DepthwiseConv2d

SCALES = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8))  # (width, depth) of lite0 to lite4
# kernel, stride, expansion, output channels, repeats (arXiv 1905.11946, table 1)
STAGES = ((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4))
LAST_STAGE = (3, 1, 6, 320, 1)
STEM_CHANNELS = 32
BATCH_NORM_EPS = 1e-3
# Pictures that go through all layers together on a CPU: the maps of more than these fall out of its caches (5.7 ms a
# picture of 256 pixels against 8.7 for 16 at once, on two cores).
AT_ONCE = 4


def scaled_channels(channels: int, scale: float) -> int:
    """Channels times `scale`, rounded to a multiple of 8 without losing more than a tenth."""
    rounded = max(8, int(channels * scale + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels * scale else rounded + 8


def convolution(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)


def relu6_(maps: Tensor) -> Tensor:
    """ReLU6 in place: what a convolution made is nobody else's, and a fresh map costs more than the clamp."""
    return F.relu6(maps, inplace=True)


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite without its classifier; every position of the last feature map is a visual token."""

    def __init__(self, config: EfficientNetLiteConfig) -> None:
        super().__init__()
        self.config = config
        width_scale, depth_scale = SCALES[config.variant]
        self.stem = convolution(3, STEM_CHANNELS, kernel=3, stride=2)
        blocks = []
        inputs = STEM_CHANNELS
        for number, (kernel, stride, expansion, channels, repeats) in enumerate((*STAGES, LAST_STAGE)):
            outputs = scaled_channels(channels, width_scale)
            # The Lite variants deepen neither the first stage nor the last.
            depth = repeats if number in (0, len(STAGES)) else math.ceil(repeats * depth_scale)
            for repeat in range(depth):
                blocks.append(InvertedResidual(inputs, outputs, kernel, stride if repeat == 0 else 1, expansion))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.head = convolution(inputs, config.width)

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        """Encode pictures of any one size; returns features_BNE, N = ceil(H / 32) * ceil(W / 32)."""
        if pixels_BCHW.device.type == "cpu" and not torch.is_grad_enabled() and len(pixels_BCHW) > AT_ONCE:
            starts = range(0, len(pixels_BCHW), AT_ONCE)
            return torch.cat([self(pixels_BCHW[start : start + AT_ONCE]) for start in starts])
        # Depthwise convolutions are several times faster on CPU when the channels lie side by side.
        maps_BEhw = relu6_(self.stem(pixels_BCHW.contiguous(memory_format=torch.channels_last)))
        for block in self.blocks:
            maps_BEhw = block(maps_BEhw)
        return relu6_(self.head(maps_BEhw)).flatten(2).transpose(1, 2)


class InvertedResidual(nn.Module):
    """Widen, filter each channel on its own, narrow; added to its input where shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        self.expand = convolution(inputs, hidden) if expansion > 1 else None
        self.depthwise = DepthwiseConv2d(hidden, kernel, stride)
        self.project = convolution(hidden, outputs)

    def forward(self, maps_BEhw: Tensor) -> Tensor:
        hidden = maps_BEhw if self.expand is None else relu6_(self.expand(maps_BEhw))
        out: Tensor = self.project(relu6_(self.depthwise(hidden)))
        return maps_BEhw + out if self.residual else out


def fold_batch_norms(published: Mapping[str, Tensor], config: EfficientNetLiteConfig) -> dict[str, Tensor]:
    """Turn the published ImageNet weights (`efficientnet-lite*.pth`) into this module's state dict.

    Each convolution takes in the batch norm behind it: with s = g / sqrt(var + eps) its weight becomes weight * s and
    its bias b - mean * s. The classifier is left out. Raises `CheckpointError` naming the first weight that is missing.
    """
    state: dict[str, Tensor] = {}

    def fold(ours: str, convolution_name: str, norm_name: str) -> None:
        try:
            weight = published[f"{convolution_name}.weight"]
            gain, shift, mean, variance = (
                published[f"{norm_name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
            )
        except KeyError as missing:
            raise CheckpointError(
                f"not the weights of EfficientNet-Lite{config.variant}: {missing} is missing"
            ) from None
        scale = gain / torch.sqrt(variance + BATCH_NORM_EPS)
        state[f"{ours}.weight"] = weight * scale.view(-1, 1, 1, 1)
        state[f"{ours}.bias"] = shift - mean * scale

    fold("stem", "_conv_stem", "_bn0")
    with torch.device("meta"):
        blocks = EfficientNetLite(config).blocks
    for index, block in enumerate(blocks):
        theirs = f"_blocks.{index}"
        if block.expand is not None:
            fold(f"blocks.{index}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0")
        fold(f"blocks.{index}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1")
        fold(f"blocks.{index}.project", f"{theirs}._project_conv", f"{theirs}._bn2")
    fold("head", "_conv_head", "_bn1")
    return state
