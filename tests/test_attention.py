"""Plain attention beside the fused kernel, on every way that `attend` may take."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pixtell import attention
from pixtell.attention import attend


def drawn(length: int, seen: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values laid out as a fused projection leaves them: not contiguous."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(2, n, 3, 8, generator=generator).transpose(1, 2) for n in (length, seen, seen))  # type: ignore[return-value]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("length", "seen"), [(5, 5), (1, 7), (4, 9)])
def test_both_ways_give_what_the_formula_says(
    monkeypatch: pytest.MonkeyPatch, length: int, seen: int, masked: bool
) -> None:
    queries, keys, values = drawn(length, seen)
    mask = torch.ones(length, seen, dtype=torch.bool).tril(seen - length) if masked else None
    scores = torch.einsum("bhtd,bhsd->bhts", queries, keys).div(8**0.5)
    if mask is not None:
        scores[..., ~mask] = -1e9
    twin = torch.einsum("bhts,bhsd->bhtd", scores.softmax(-1), values)
    for plain in (False, True):
        monkeypatch.setattr(attention, "_plain_is_quick", lambda *_, plain=plain: plain)
        torch.testing.assert_close(attend(queries, keys, values, mask), twin, atol=1e-6, rtol=0)


def test_bfloat16_is_as_near_to_float32_as_the_fused_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = drawn(40, 40)
    rounded = [part.bfloat16() for part in exact]
    monkeypatch.setattr(attention, "_plain_is_quick", lambda *_: True)
    twin = F.scaled_dot_product_attention(*exact)
    plain, fused = attend(*rounded), F.scaled_dot_product_attention(*rounded)
    assert plain.dtype == torch.bfloat16
    assert (plain - twin).abs().max() < 2 * (fused - twin).abs().max() < 0.05


def test_float32_and_long_clips_keep_the_fused_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fused = F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *parts: (calls.append("fused"), fused(*parts))[1])
    attend(*drawn(3, 3))
    monkeypatch.setattr(attention, "_plain_is_quick", lambda *_: True)
    monkeypatch.setattr(attention, "MOST_SCORES", 2 * 3 * 3 * 3 - 1)
    attend(*drawn(3, 3))
    assert len(calls) == 2
    monkeypatch.setattr(attention, "MOST_SCORES", 2 * 3 * 3 * 3)
    attend(*drawn(3, 3))
    assert len(calls) == 2


def test_gradients_are_those_of_the_fused_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def gradients(plain: bool) -> list[torch.Tensor]:
        monkeypatch.setattr(attention, "_plain_is_quick", lambda *_: plain)
        parts = [part.requires_grad_() for part in drawn(5, 7)]
        attend(*parts, torch.ones(5, 7, dtype=torch.bool).tril(2)).sin().sum().backward()
        return [part.grad for part in parts if part.grad is not None]

    pairs = list(zip(gradients(True), gradients(False), strict=True))
    assert len(pairs) == 3 and all(torch.allclose(one, other, atol=1e-6) for one, other in pairs)
