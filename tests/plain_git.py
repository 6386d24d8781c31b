"""GIT written to be read, as a slow twin: one sequence [visual ; text] under one square mask, one text at a time.

In: a state dict of `GitModel` (only its names are shared with the source), a picture's or clip's pixels, token ids.
Out: logits. Nothing here is split in two streams, cached, batched or fused; it follows git-facts 1.1 line by line.

    F frames, C channels, H W pixels, N tokens a frame, E vision width, P = F*N, T text tokens, S = P + T, D width,
    V vocabulary
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from pixtell.config import ClipVitConfig, ModelConfig

State = Mapping[str, Tensor]


def linear(state: State, name: str, x: Tensor) -> Tensor:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def norm(state: State, name: str, x: Tensor, eps: float = 1e-5) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + eps)
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def attention(state: State, name: str, x_SD: Tensor, heads: int, allowed_SS: Tensor) -> Tensor:
    """Self-attention over one sequence, head by head; `allowed_SS[i, j]` says whether token i may see token j."""
    queries, keys, values = linear(state, f"{name}.qkv", x_SD).chunk(3, dim=-1)
    size = x_SD.shape[-1] // heads
    mixed = []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        scores_SS = queries[:, part] @ keys[:, part].T / math.sqrt(size)
        weights_SS = scores_SS.masked_fill(~allowed_SS, -math.inf).softmax(-1)
        mixed.append(weights_SS @ values[:, part])
    return linear(state, f"{name}.out", torch.cat(mixed, dim=-1))


def clip_features(state: State, config: ClipVitConfig, pixels_CHW: Tensor) -> Tensor:
    """features_NE of one picture whose patch grid is the learned one."""
    patch, grid = config.patch_size, config.grid
    kernel_EX = state["vision.patch_embedding.weight"].flatten(1)
    tokens = [state["vision.class_embedding"]]
    for row in range(grid):
        for column in range(grid):
            square = pixels_CHW[:, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
            tokens.append(kernel_EX @ square.flatten())
    x_NE = norm(state, "vision.ln_pre", torch.stack(tokens) + state["vision.position_embedding"])
    everything = torch.ones(len(tokens), len(tokens), dtype=torch.bool)
    for number in range(config.layers):
        block = f"vision.blocks.{number}"
        x_NE = x_NE + attention(
            state, f"{block}.attention", norm(state, f"{block}.ln_1", x_NE), config.heads, everything
        )
        hidden = linear(state, f"{block}.mlp.fc_in", norm(state, f"{block}.ln_2", x_NE))
        x_NE = x_NE + linear(state, f"{block}.mlp.fc_out", hidden * torch.sigmoid(1.702 * hidden))
    return norm(state, "vision.ln_post", x_NE)


def visual_tokens(state: State, features_FNE: Tensor) -> Tensor:
    """visual_PD: each frame gets its temporal embedding (where there are any), then the projection, then the norm."""
    embeddings = state.get("prefix.temporal_embedding")
    frames = []
    for number, features_NE in enumerate(features_FNE):
        if embeddings is not None:
            features_NE = features_NE + embeddings[number]
        frames.append(norm(state, "prefix.layer_norm", linear(state, "prefix.projection", features_NE)))
    return torch.cat(frames)


def square_mask(visual: int, text: int) -> Tensor:
    """allowed_SS: pictures see all of the pictures and no text, text sees all of the pictures and its own past."""
    allowed = torch.zeros(visual + text, visual + text, dtype=torch.bool)
    for seeing in range(visual + text):
        for seen in range(visual + text):
            allowed[seeing, seen] = seen < visual or (seeing >= visual and seen <= seeing)
    return allowed


def text_logits(state: State, config: ModelConfig, visual_PD: Tensor, ids: list[int]) -> Tensor:
    """logits_TV of one text after one picture's or clip's visual tokens."""
    text = config.text
    words_TD = state["decoder.word_embedding.weight"][torch.tensor(ids)]
    summed_TD = words_TD + state["decoder.position_embedding.weight"][: len(ids)]
    embedded_TD = norm(state, "decoder.embedding_layer_norm", summed_TD, text.embedding_eps)
    x_SD = torch.cat([visual_PD, embedded_TD])
    allowed_SS = square_mask(len(visual_PD), len(ids))
    for number in range(text.layers):
        block = f"decoder.blocks.{number}"
        attended = attention(state, f"{block}.attention", x_SD, text.heads, allowed_SS)
        x_SD = norm(state, f"{block}.attention_layer_norm", x_SD + attended, text.layer_eps)
        hidden = linear(state, f"{block}.mlp.fc_in", x_SD)
        gelu = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
        x_SD = norm(state, f"{block}.mlp_layer_norm", x_SD + linear(state, f"{block}.mlp.fc_out", gelu), text.layer_eps)
    head = state.get("decoder.head.weight", state["decoder.word_embedding.weight"])
    return x_SD[len(visual_PD) :] @ head.T + state["decoder.head.bias"]


def plain_git(state: State, config: ModelConfig, pixels_FCHW: Tensor, ids: list[int]) -> Tensor:
    """logits_TV of one text about one picture or clip, from its pixels."""
    assert isinstance(config.vision, ClipVitConfig)
    features_FNE = torch.stack([clip_features(state, config.vision, frame) for frame in pixels_FCHW])
    return text_logits(state, config, visual_tokens(state, features_FNE), ids)
