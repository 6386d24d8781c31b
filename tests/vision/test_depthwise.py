"""Quick gradients of depthwise convolutions beside those of PyTorch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pixtell.config import EfficientNetLiteConfig
from pixtell.vision.depthwise import DepthwiseConv2d
from pixtell.vision.efficientnet import EfficientNetLite

SHAPES = [
    (kernel, stride, size) for kernel in (3, 5) for stride in (1, 2) for size in ((7, 7), (8, 6), (1, 2), (9, 12))
]


def gradients(out: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
    """Of a sum in which every output counts another number."""
    counts = torch.arange(out.numel(), dtype=torch.float32).view(out.shape).sin()
    return torch.autograd.grad((out.float() * counts).sum(), leaves)


@pytest.mark.parametrize(("kernel", "stride", "size"), SHAPES)
def test_gradients_are_those_of_the_plain_convolution(kernel: int, stride: int, size: tuple[int, int]) -> None:
    torch.manual_seed(1)
    layer = DepthwiseConv2d(16, kernel, stride)
    maps = torch.randn(3, 16, *size, requires_grad=True)
    assert layer.bias is not None
    leaves = (maps, layer.weight, layer.bias)
    out = layer(maps)
    plain = F.conv2d(maps, layer.weight, layer.bias, stride, kernel // 2, groups=16)
    assert torch.equal(out, plain)
    for ours, theirs in zip(gradients(out, *leaves), gradients(plain, *leaves), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_only_what_is_asked_for_is_computed() -> None:
    layer = DepthwiseConv2d(8, 5)
    layer.requires_grad_(False)
    maps = torch.randn(2, 8, 6, 6, requires_grad=True)
    layer(maps).sum().backward()
    assert maps.grad is not None and layer.weight.grad is None
    layer.requires_grad_(True)
    layer(maps.detach()).sum().backward()
    assert layer.weight.grad is not None and layer.bias is not None and layer.bias.grad is not None


def test_bfloat16_is_as_near_to_float32_as_plain_bfloat16_is() -> None:
    """A whole encoder under autocast, whose depthwise layers are exchanged for plain ones."""
    torch.manual_seed(2)
    model = EfficientNetLite(EfficientNetLiteConfig(variant=0, image_size=64))
    pixels = torch.randn(2, 3, 64, 64)

    def found(*, bf16: bool) -> list[Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            out = model(pixels)
        return list(gradients(out, *model.parameters()))

    exact, ours = found(bf16=False), found(bf16=True)
    for block in model.blocks:
        plain = torch.nn.Conv2d(1, 1, 1)
        plain.__dict__ = block.depthwise.__dict__  # the same weights and settings, another forward
        block.depthwise = plain
    theirs = found(bf16=True)

    def error(some: list[Tensor]) -> float:
        return float(sum((a - b).norm() / b.norm() for a, b in zip(some, exact, strict=True)) / len(exact))

    assert error(ours) < 1.1 * error(theirs), (error(ours), error(theirs))
