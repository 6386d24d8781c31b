"""Packed layers beside plain ones: whole-number arithmetic repeated in Python, a row alone and in company, a model."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from tiny import loud_model, random_ids, random_pixels
from torch import Tensor, nn

from pixtell import packed
from pixtell.attention import has_bfloat16_units
from pixtell.config import DecodeOptions
from pixtell.decoder import Mlp
from pixtell.decoding import Prompt, generate
from pixtell.errors import ConfigError
from pixtell.model import GitModel
from pixtell.packed import BLOCK_ROWS, Int8Linear, PackedLinear, is_int8, pack, require_int8, to_bytes
from pixtell.vision.clip_vit import QuickGeluMlp


@pytest.fixture(scope="session")
def int8() -> None:
    """Skips where the processor has no 8-bit products."""
    try:
        require_int8()
    except ConfigError as error:
        pytest.skip(str(error))


def linear(inputs: int = 24, outputs: int = 40, seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    layer = nn.Linear(inputs, outputs)
    with torch.no_grad():
        layer.weight.mul_(torch.logspace(-2, 1, outputs)[:, None])  # outputs of very different size
    return layer


def rows(count: int, width: int = 24, seed: int = 1) -> Tensor:
    """Rows of very different size."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator) * torch.logspace(-3, 2, count)[:, None]


def whole_numbers(x_RK: Tensor, layer: nn.Linear) -> Tensor:
    """What an 8-bit layer should give, in whole numbers and float64."""
    weight_NK, x_RK = layer.weight.detach().double(), x_RK.double()
    scale_N1 = weight_NK.abs().amax(1, keepdim=True) / 127
    scale_R1 = x_RK.abs().amax(1, keepdim=True) / 127
    product_RN = (x_RK / scale_R1).round() @ (weight_NK / scale_N1).round().T
    return (product_RN * scale_R1 * scale_N1.T + layer.bias.detach().double()).float()


@torch.inference_mode()
def test_an_8_bit_layer_is_whole_number_arithmetic(int8: None) -> None:
    layer = linear()
    twin = Int8Linear(layer.weight, layer.bias)
    for count in (1, 7, BLOCK_ROWS + 5):
        x_RK = rows(count)
        out_RN, exact_RN = twin(x_RK), layer(x_RK)
        torch.testing.assert_close(out_RN, whole_numbers(x_RK, layer), rtol=1e-4, atol=1e-3)
        # Half a step of each of two scales, of 127 steps each.
        size_RN = x_RK.norm(dim=1, keepdim=True) * layer.weight.norm(dim=1)
        assert ((out_RN - exact_RN).abs() / size_RN).max() < 0.02
        assert (out_RN - exact_RN).abs().max() > 0, "8 bits that cost nothing are not 8 bits"


@torch.inference_mode()
def test_a_row_gets_the_same_bits_in_any_company(int8: None) -> None:
    layer = linear()
    twin = Int8Linear(layer.weight, layer.bias)
    x_RK = rows(2 * BLOCK_ROWS + 3)
    together = twin(x_RK)
    for row in (0, 5, BLOCK_ROWS, len(x_RK) - 1):
        assert torch.equal(twin(x_RK[row : row + 1])[0], together[row])
    assert torch.equal(twin(x_RK[None, :, None]), together[None, :, None])
    assert torch.equal(twin(torch.zeros(2, 24)), layer.bias.detach().expand(2, -1)), "a row of zeros has no size"


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=9))
def test_bytes_are_the_nearest_of_255(row: list[float]) -> None:
    bytes_1K, largest = to_bytes(torch.tensor([row]))
    back = (bytes_1K.double() - 128) * largest.double() / 127
    assert bytes_1K.min() >= 1, "symmetric: -128 is not used"
    assert (back - torch.tensor([row]).double()).abs().max() <= float(largest) / 127 * 0.5001 + 1e-30


@pytest.mark.parametrize("mlp", [Mlp(24, 64), QuickGeluMlp(24, 64)], ids=lambda mlp: type(mlp).__name__)
@torch.inference_mode()
def test_mlps_keep_their_activation(int8: None, mlp: nn.Module) -> None:
    x_BTK = 2 * torch.randn(3, 100, 24, generator=torch.Generator().manual_seed(3))
    twin = mlp(x_BTK)
    assert twin.std() > 0.1
    assert relative(packed._int8_twin("mlp", mlp)(x_BTK), twin) < 0.02  # type: ignore[misc]
    if has_bfloat16_units():
        rounded = packed._bfloat16_twin("mlp", mlp.to(torch.bfloat16))
        assert rounded is not None and relative(rounded(x_BTK.bfloat16()), twin) < 0.02
    mlp.float()


@pytest.mark.skipif(not has_bfloat16_units(), reason="no bfloat16 products in oneDNN here")
@torch.inference_mode()
def test_a_packed_bfloat16_layer_is_the_plain_one() -> None:
    layer = linear().bfloat16()
    x_RK = rows(9).bfloat16()
    torch.testing.assert_close(PackedLinear(layer.weight, layer.bias)(x_RK), layer(x_RK), rtol=0.01, atol=1e-3)
    gelu = PackedLinear(layer.weight, layer.bias, "gelu")(x_RK)
    torch.testing.assert_close(gelu, F.gelu(layer(x_RK)), rtol=0.02, atol=2e-2)


def relative(ours: Tensor, twin: Tensor) -> float:
    return float((ours.float() - twin.float()).norm() / twin.float().norm())


def ids_of(model: GitModel, pixels: Tensor, beams: int) -> list[tuple[int, ...]]:
    cache = model.prefill(model.see(pixels))
    prompts = [Prompt(medium, (model.config.text.cls_id,)) for medium in range(len(pixels))]
    return [found[0].ids for found in generate(model, cache, prompts, DecodeOptions(beams=beams, max_new_tokens=6))]


@torch.inference_mode()
def test_an_8_bit_model_is_near_its_float_one(int8: None) -> None:
    pixels, ids = random_pixels(3, 1, 32, 32), random_ids(3, 1, 5)
    plain, ours = loud_model(), pack(loud_model(), "int8")
    assert is_int8(ours) and not is_int8(plain)
    assert not any(isinstance(module, nn.Linear) for module in ours.modules())
    seen, twin = ours.see(pixels), plain.see(pixels)
    assert seen.dtype == torch.float32 and relative(seen, twin) < 0.05
    logits = ours(twin, ids)
    assert logits.dtype == torch.float32 and relative(logits, plain(twin, ids)) < 0.05
    assert all(tensor.is_contiguous() for tensor in ours.state_dict().values()), "a digest reads plain tensors"


def model_of(dtype: str) -> GitModel:
    return pack(loud_model().to(torch.bfloat16 if dtype == "bfloat16" else torch.float32), dtype)


@pytest.mark.parametrize("dtype", ["int8", "bfloat16"])
@pytest.mark.parametrize("beams", [1, 3])
@torch.inference_mode()
def test_a_batch_gives_what_one_at_a_time_gives(int8: None, dtype: str, beams: int) -> None:
    model = model_of(dtype)
    pixels = random_pixels(5, 1, 32, 32).to(torch.bfloat16 if dtype == "bfloat16" else torch.float32)
    together = ids_of(model, pixels, beams)
    assert together == [ids_of(model, one[None], beams)[0] for one in pixels]
    assert len(set(together)) > 1, "texts that are all alike prove nothing"


@pytest.mark.parametrize(("dtype", "near"), [("int8", 0.02), ("bfloat16", 0.05)])
@torch.inference_mode()
def test_cached_steps_give_the_logits_of_one_pass(int8: None, dtype: str, near: float) -> None:
    model = model_of(dtype)
    number_type = torch.bfloat16 if dtype == "bfloat16" else torch.float32
    visual, ids = model.see(random_pixels(2, 1, 32, 32).to(number_type)), random_ids(2, 1, 6)
    rows = model.prefill(visual).rows([0, 1], 6)
    for place in range(6):
        logits_RV = model.step(ids[:, 0, place : place + 1], rows)
        assert relative(logits_RV, model(visual, ids)[:, 0, place]) < near


def test_what_can_not_be_had_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def overflowing(self: Int8Linear, inputs_RK: Tensor) -> Tensor:
        return torch.full((len(inputs_RK), len(self.scale_N)), 32.0)  # what 16-bit sums would leave of 64

    def missing(*_: object) -> Callable[..., Tensor]:
        raise AttributeError("onednn")

    for broken in (overflowing, missing):
        monkeypatch.setattr(Int8Linear, "rows", broken)
        with pytest.raises(ConfigError, match="bfloat16 or float32") as error:
            require_int8()
        assert "\n" not in str(error.value)
