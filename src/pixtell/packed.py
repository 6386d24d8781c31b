"""A model's matrices laid out for the processor: a float model in, the same model with packed layers out.

`pack(model, "bfloat16")` lets oneDNN reorder bfloat16 matrices once instead of at every product, and runs each MLP's
activation inside its first product. Numbers stay those of bfloat16. `pack(model, "int8")` takes a float32 model and
stores each matrix in 8 bits with one scale for each output; what it reads is brought to 8 bits on the way, with one
scale for each row. Norms, residuals and activations stay float32; queries, keys and values are bfloat16.

The surprising thing: the scale of each *row*. The kernel knows one scale for all it reads, which would let a picture's
numbers depend on its neighbours in the batch. So rows are divided by their largest value before and multiplied by it
after, and since the products are whole numbers in between, a row gets the very same bits in any batch.

    R rows, K inputs, N outputs, V vocabulary
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixtell.attention import has_bfloat16_units
from pixtell.decoder import Head, Mlp
from pixtell.errors import ConfigError
from pixtell.model import GitModel
from pixtell.vision.clip_vit import QUICK_GELU_SLOPE, QuickGeluMlp

LARGEST = 127  # of 8 bits with a sign, kept symmetric
SMALLEST = 1e-30  # what a row of zeros is divided by
ZERO_POINT = 128  # the kernel reads inputs without a sign: 0 is stored as 128
# Rows a thread that go through an 8-bit layer together. Few of them keep what lies between two products (float32, up to
# 4 K wide) out of the page allocator, many make quick products: git-base's encoder takes 155 ms for 4 pictures at 128
# rows, 147 at 256 and 141 at 512 (two cores).
BLOCK_ROWS = 512
NO_POST_OP: tuple[str, list[Any], str] = ("none", [], "")


def pack(model: GitModel, dtype: str) -> GitModel:
    """Replace the matrices of `model`, which must be on the CPU, by packed ones; returns the same model.

    `dtype` is "int8" (of a float32 model) or "bfloat16" (of a bfloat16 model). A packed model can be neither trained
    nor moved to a device. Raises `ConfigError` where the processor or this torch has no exact 8-bit product; bfloat16
    stays as it is where there is nothing to gain.
    """
    if dtype == "int8":
        require_int8()
        _swap(model, _int8_twin)
    elif has_bfloat16_units():
        _swap(model, _bfloat16_twin)
    return model


def is_int8(model: nn.Module) -> bool:
    """Whether `pack(model, "int8")` was done."""
    return any(isinstance(module, Int8Linear) for module in model.modules())


class Int8Linear(nn.Module):
    """y = x @ W.T + b with 8-bit weights, a scale for each output, and inputs brought to 8 bits row by row.

    `weight_NK` and `scale_N` are what is stored: W is about weight_NK * scale_N[:, None]. The result is float32, or
    `result`.
    """

    def __init__(self, weight_NK: Tensor, bias_N: Tensor, result: torch.dtype = torch.float32) -> None:
        super().__init__()
        weight_NK = weight_NK.detach().float()
        scale_N = (weight_NK.abs().amax(dim=1) / LARGEST).clamp(min=SMALLEST)
        self.register_buffer("weight_NK", (weight_NK / scale_N[:, None]).round().to(torch.int8))
        self.register_buffer("scale_N", scale_N)
        self.register_buffer("bias_N", bias_N.detach().float().clone())
        self.weight_NK: Tensor
        self.scale_N: Tensor
        self.bias_N: Tensor
        self.result = result
        self._packed = torch.ops.onednn.qlinear_prepack(self.weight_NK, None)
        self._zero_N = torch.zeros(len(scale_N), dtype=torch.int32)

    def forward(self, inputs: Tensor) -> Tensor:
        return by_blocks(self.rows, inputs, len(self.scale_N), self.result)

    def rows(self, inputs_RK: Tensor) -> Tensor:
        """The product for a block of rows, in float32."""
        bytes_RK, largest_R1 = to_bytes(inputs_RK)
        product_RN: Tensor = torch.ops.onednn.qlinear_pointwise(
            *(bytes_RK, 1.0, ZERO_POINT, self._packed, self.scale_N, self._zero_N, None, 1.0, 0, torch.float32),
            *NO_POST_OP,
        )
        return torch.addcmul(self.bias_N, product_RN, largest_R1 / LARGEST, out=product_RN)


class Int8Mlp(nn.Module):
    """Two 8-bit layers around an activation, a block of rows through all three at a time."""

    def __init__(self, fc_in: Int8Linear, activate: Callable[[Tensor], Tensor], fc_out: Int8Linear) -> None:
        super().__init__()
        self.fc_in = fc_in
        self.activate = activate
        self.fc_out = fc_out

    def forward(self, inputs: Tensor) -> Tensor:
        return by_blocks(self.rows, inputs, len(self.fc_out.scale_N), torch.float32)

    def rows(self, inputs_RK: Tensor) -> Tensor:
        return self.fc_out.rows(self.activate(self.fc_in.rows(inputs_RK)))


class Int8Head(Int8Linear):
    """The output layer, float32 logits; what it is called with besides is the word embedding it was made from."""

    def forward(self, hidden: Tensor, embedding_VD: Tensor | None = None) -> Tensor:
        return super().forward(hidden)


class PackedLinear(nn.Module):
    """A bfloat16 linear layer whose matrix oneDNN has reordered, with a post-operation inside the product."""

    def __init__(self, weight_NK: Tensor, bias_N: Tensor, post_op: str = "none") -> None:
        super().__init__()
        # The plain matrix stays: it is what a state dict, a digest or a curious reader finds.
        self.weight = nn.Parameter(weight_NK.detach(), requires_grad=False)
        self.bias = nn.Parameter(bias_N.detach(), requires_grad=False)
        self._packed = torch.ops.mkldnn._reorder_linear_weight(self.weight.detach(), None)
        self._post_op: tuple[str, list[Any], str] = (post_op, [], "none" if post_op == "gelu" else "")

    def forward(self, inputs: Tensor) -> Tensor:
        out: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, self._packed, self.bias, *self._post_op)
        return out


class PackedMlp(nn.Module):
    """Two packed layers, the activation inside the first."""

    def __init__(self, fc_in: PackedLinear, fc_out: PackedLinear) -> None:
        super().__init__()
        self.fc_in = fc_in
        self.fc_out = fc_out

    def forward(self, inputs: Tensor) -> Tensor:
        out: Tensor = self.fc_out(self.fc_in(inputs))
        return out


class PackedHead(PackedLinear):
    """The output layer; what it is called with besides is the word embedding it was made from."""

    def forward(self, hidden: Tensor, embedding_VD: Tensor | None = None) -> Tensor:
        return super().forward(hidden)


def to_bytes(inputs_RK: Tensor) -> tuple[Tensor, Tensor]:
    """Bring each row to whole numbers of -127 to 127, stored as 1 to 255; returns them and each row's largest value."""
    inputs_RK = inputs_RK.float()
    most_R1, least_R1 = inputs_RK.amax(dim=-1, keepdim=True), inputs_RK.amin(dim=-1, keepdim=True)
    largest_R1 = torch.maximum(most_R1, -least_R1).clamp_(min=SMALLEST)  # abs() would write all of it once more
    signed_RK = (inputs_RK * (LARGEST / largest_R1)).round_().to(torch.int8)
    # The highest bit turned round is 128 added; straight to bytes without a sign, torch is several times slower.
    return signed_RK.view(torch.uint8).bitwise_xor_(ZERO_POINT), largest_R1


def by_blocks(function: Callable[[Tensor], Tensor], inputs: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """Apply `function` of [rows, K] -> [rows, N] to inputs of any leading shape, a block of rows at a time."""
    inputs_RK = inputs.reshape(-1, inputs.shape[-1])
    shape = (*inputs.shape[:-1], width)
    blocks = -(-len(inputs_RK) // (BLOCK_ROWS * torch.get_num_threads()))
    if blocks <= 1:
        return function(inputs_RK).to(dtype).view(shape)
    size = -(-len(inputs_RK) // blocks)
    out_RN = inputs.new_empty(len(inputs_RK), width, dtype=dtype)
    for start in range(0, len(inputs_RK), size):
        out_RN[start : start + size] = function(inputs_RK[start : start + size])
    return out_RN.view(shape)


def require_int8() -> None:
    """Raise `ConfigError` unless 8-bit products are there and exact, even of the largest numbers.

    Processors without 8-bit dot products add pairs in 16 bits, which such numbers overflow (2 * 255 * 127 > 2 ** 15).
    """
    try:
        largest = Int8Linear(torch.ones(64, 64), torch.zeros(64))
        product = largest.rows(torch.ones(2, 64))
        exact = bool(torch.allclose(product, torch.full((2, 64), 64.0), rtol=1e-5))
    except (AttributeError, RuntimeError, NotImplementedError):
        exact = False
    if not exact:
        raise ConfigError("dtype 'int8' needs an x86 processor with 8-bit dot products (VNNI): use bfloat16 or float32")


def _swap(model: GitModel, twin: Callable[[str, nn.Module], nn.Module | None]) -> None:
    """Replace every module inside `model` that has a twin, the outermost first."""

    def visit(module: nn.Module) -> None:
        for name, child in list(module.named_children()):
            packed = twin(name, child)
            if packed is None:
                visit(child)
            else:
                setattr(module, name, packed.eval())

    embedding_VD = model.decoder.word_embedding.weight
    head = twin("head", _UntiedHead(model.decoder.head, embedding_VD))
    visit(model)
    if head is not None:
        setattr(model.decoder, "head", head)  # noqa: B010 (its type is Head's, its call the same)


class _UntiedHead(nn.Module):
    """The output layer with its matrix, wherever that stands."""

    def __init__(self, head: Head, embedding_VD: Tensor) -> None:
        super().__init__()
        self.weight_VD = embedding_VD if head.weight is None else head.weight
        self.bias_V = head.bias


def _int8_twin(name: str, module: nn.Module) -> nn.Module | None:
    if isinstance(module, _UntiedHead):
        return Int8Head(module.weight_VD, module.bias_V)
    if isinstance(module, nn.Linear):
        # Attention reads bfloat16 at twice the speed, and rounds less than 8 bits do.
        return Int8Linear(module.weight, module.bias, torch.bfloat16 if name == "qkv" else torch.float32)
    if isinstance(module, Mlp):
        return Int8Mlp(_int8(module.fc_in), F.gelu, _int8(module.fc_out))
    if isinstance(module, QuickGeluMlp):
        weight_in, bias_in, weight_out = _as_silu(module)
        return Int8Mlp(Int8Linear(weight_in, bias_in), F.silu, Int8Linear(weight_out, module.fc_out.bias))
    return None


def _int8(linear: nn.Linear) -> Int8Linear:
    return Int8Linear(linear.weight, linear.bias)


def _bfloat16_twin(name: str, module: nn.Module) -> nn.Module | None:
    if isinstance(module, _UntiedHead):
        return PackedHead(module.weight_VD, module.bias_V)
    if isinstance(module, nn.Linear):
        return PackedLinear(module.weight, module.bias)
    if isinstance(module, Mlp):
        fc_in, fc_out = module.fc_in, module.fc_out
        return PackedMlp(PackedLinear(fc_in.weight, fc_in.bias, "gelu"), PackedLinear(fc_out.weight, fc_out.bias))
    if isinstance(module, QuickGeluMlp):
        weight_in, bias_in, weight_out = _as_silu(module)
        return PackedMlp(PackedLinear(weight_in, bias_in, "swish"), PackedLinear(weight_out, module.fc_out.bias))
    return None


def _as_silu(mlp: QuickGeluMlp) -> tuple[Any, Any, Any]:
    """Weight and bias of the first layer and weight of the second that make QuickGELU a SiLU, which kernels know.

    x * sigmoid(1.702 x) = silu(1.702 x) / 1.702: the slope goes into the layer before and out of the one behind.
    """
    slope = QUICK_GELU_SLOPE
    return mlp.fc_in.weight * slope, mlp.fc_in.bias * slope, mlp.fc_out.weight / slope
