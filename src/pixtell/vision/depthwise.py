"""Depthwise convolution whose gradients are quick on a CPU: maps_BChw -> maps_BCyx, one filter for each channel.

Forward is PyTorch's own. Backward computes the same sums another way, because oneDNN has slow paths there: the weights'
gradient of a 5 x 5 filter takes 27 ms in bfloat16 where its forward pass takes 1 (8 maps of 720 channels, 17 x 17, two
cores), and the input's of a filter with stride 2 takes 10. A training step of the bundled model spent half its time so.

The surprising thing: a 5 x 5 filter's gradient is put together from four of 3 x 3, which have a quick path. Two of them
overlap in the middle row or column, where both find the same numbers.

    B maps, C channels, h w height and width, y x the same after the stride
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

PIECE = 3  # the side of a filter that has a quick path


class DepthwiseConv2d(nn.Conv2d):
    """A filter of 3 x 3 or 5 x 5 on each channel, padded so that stride 1 keeps the size."""

    def __init__(self, channels: int, kernel: int, stride: int = 1) -> None:
        assert kernel in (PIECE, PIECE + 2), f"gradients are put together for 3 x 3 and 5 x 5, not {kernel}"
        super().__init__(channels, channels, kernel, stride, padding=kernel // 2, groups=channels)

    def forward(self, maps_BChw: Tensor) -> Tensor:
        """Filter; differentiable once where quick gradients take over, on a CPU."""
        if maps_BChw.device.type != "cpu" or not torch.is_grad_enabled():
            return super().forward(maps_BChw)
        weight, bias = self.weight, self.bias
        assert bias is not None
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            maps_BChw, weight, bias = maps_BChw.to(dtype), weight.to(dtype), bias.to(dtype)
        out: Tensor = _Filter.apply(maps_BChw, weight, bias, self.stride[0])  # type: ignore[no-untyped-call]
        return out


class _Filter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps_BChw: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(maps_BChw, weight)
        ctx.stride = stride
        return F.conv2d(maps_BChw, weight, bias, stride, weight.shape[-1] // 2, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BCyx: Tensor) -> tuple[Tensor | None, ...]:
        maps_BChw, weight = ctx.saved_tensors
        of_maps, of_weight, of_bias, _ = ctx.needs_input_grad
        grad_BCyx = grad_BCyx.contiguous(memory_format=torch.channels_last)
        return (
            maps_gradient(grad_BCyx, maps_BChw, weight, ctx.stride) if of_maps else None,
            weight_gradient(grad_BCyx, maps_BChw, weight, ctx.stride) if of_weight else None,
            grad_BCyx.sum((0, 2, 3), dtype=torch.float32).to(weight.dtype) if of_bias else None,
            None,
        )


def maps_gradient(grad_BCyx: Tensor, maps_BChw: Tensor, weight: Tensor, stride: int) -> Tensor:
    """The gradient of the input: what came back, spread out by the stride, through the filters turned around."""
    if stride > 1:
        spread_BChw = torch.zeros_like(maps_BChw, memory_format=torch.channels_last)
        spread_BChw[:, :, ::stride, ::stride] = grad_BCyx
        grad_BCyx = spread_BChw
    return F.conv2d(grad_BCyx, weight.flip(2, 3), None, 1, weight.shape[-1] // 2, groups=len(weight))


def weight_gradient(grad_BCyx: Tensor, maps_BChw: Tensor, weight: Tensor, stride: int) -> Tensor:
    """The gradient of the filters, in pieces of 3 x 3."""
    channels, _, kernel, _ = weight.shape
    height, width = grad_BCyx.shape[2:]
    padded = F.pad(maps_BChw, (kernel // 2,) * 4)
    piece = weight.new_empty(channels, 1, PIECE, PIECE)
    gradient = torch.empty_like(weight)
    starts = range(0, kernel - PIECE + 1, 2)  # 0 of a side of 3; 0 and 2 of 5
    for top in starts:
        for left in starts:
            rows = slice(top, top + stride * (height - 1) + PIECE)
            columns = slice(left, left + stride * (width - 1) + PIECE)
            part = padded[:, :, rows, columns].contiguous(memory_format=torch.channels_last)
            _, found, _ = torch.ops.aten.convolution_backward(
                grad_BCyx,
                part,
                piece,
                None,
                [stride] * 2,
                [0, 0],
                [1, 1],
                False,
                [0, 0],
                channels,
                [False, True, False],
            )
            gradient[:, :, top : top + PIECE, left : left + PIECE] = found
    return gradient
