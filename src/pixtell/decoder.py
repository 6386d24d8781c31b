"""The text transformer: visual tokens and text so far -> logits of the next token.

Post-norm BERT layers over one sequence, visual tokens first (paper 2.1; authors' `layers/decoder.py`). Both kinds of
token go through the same weights, but visual tokens see only each other, so their stream never depends on the text.
It is therefore computed on its own and once (`visual_layers`), and text reads its keys and values: in training
(`forward`) directly, in decoding (`step`) out of a cache. In the last layer nobody reads the visual tokens' output,
so it is not computed.

    B media, K texts a medium, R rows, P visual tokens, T text tokens, D width, H heads, d = D / H, V vocabulary
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixtell.attention import attend
from pixtell.cache import KVCache
from pixtell.config import TextConfig
from pixtell.prefix import prefix_mask

INIT_STD = 0.02  # authors' `_init_weights`: the decoder starts at random, not from BERT


class Decoder(nn.Module):
    """GIT's text decoder. Text positions start at 0; visual tokens take no position."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.word_embedding = nn.Embedding(config.vocab_size, config.width)
        self.position_embedding = nn.Embedding(config.max_positions, config.width)
        self.embedding_layer_norm = nn.LayerNorm(config.width, eps=config.embedding_eps)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.head = Head(config)
        self.apply(_init_weights)

    def forward(self, visual_BPD: Tensor, ids_BKT: Tensor) -> Tensor:
        """Teacher-forced logits_BKTV of K texts about each medium, which share one pass of its visual tokens.

        Position t of the result predicts the token after `ids_BKT[..., t]`. Padding needs no mask: it comes last,
        and no token reads what comes after it.
        """
        media, texts, length = ids_BKT.shape
        mask = prefix_mask(visual_BPD.shape[1], texts, length, visual_BPD.device)
        positions_T = torch.arange(length, device=ids_BKT.device)
        text_BTD = self.embed(ids_BKT, positions_T).flatten(1, 2)  # B K*T D
        for block, (visual_keys, visual_values) in zip(self.layers(), self.visual_layers(visual_BPD), strict=True):
            queries, keys, values = block.attention.project(text_BTD)
            mixed_BHTd = block.attention.mix(
                queries, torch.cat([visual_keys, keys], dim=2), torch.cat([visual_values, values], dim=2), mask
            )
            text_BTD = block.finish(text_BTD, mixed_BHTd)
        return self.logits(text_BTD.view(media, texts, length, -1))

    def prefill(self, visual_BPD: Tensor, together: int | None = None) -> KVCache:
        """Keys and values of the visual tokens of every layer, for any number of texts about them.

        `together` media share a pass; all, when not given.
        """
        cache: KVCache | None = None
        media = len(visual_BPD)
        for start in range(0, media, together or media):
            some = slice(start, start + (together or media))
            for layer, (keys, values) in enumerate(self.visual_layers(visual_BPD[some])):
                # Written into place layer by layer: stacking them all at the end would hold everything twice.
                room = (len(self.blocks), media, *keys.shape[1:])
                cache = cache or KVCache(keys.new_empty(room), values.new_empty(room))
                cache.visual_keys[layer, some] = keys
                cache.visual_values[layer, some] = values
        assert cache is not None, "no media, or a decoder without layers"
        return cache

    def step(self, ids_RT: Tensor, cache: KVCache, lengths_R: Tensor | None = None) -> Tensor:
        """Append T tokens to each row of the cache; returns logits_RV after the last of them.

        `lengths_R` says how many of the T are real when rows differ (padding comes last and leaves no trace).
        """
        length = ids_RT.shape[1]
        mask = cache.text_mask(length)
        text_RTD = self.embed(ids_RT, cache.positions(length))
        for layer, block in enumerate(self.layers()):
            queries, keys, values = block.attention.project(text_RTD)
            cache.write(layer, keys, values)
            text_RTD = block.finish(text_RTD, attend_cached(queries, cache, layer, mask))
        cache.advance(length if lengths_R is None else lengths_R)
        if lengths_R is None:
            return self.logits(text_RTD[:, -1])
        return self.logits(text_RTD[torch.arange(len(ids_RT), device=ids_RT.device), lengths_R - 1])

    def visual_layers(self, visual_BPD: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Run the visual stream; yields each layer's keys and values, [B, H, P, d] each."""
        for number, block in enumerate(self.layers(), start=1):
            queries, keys, values = block.attention.project(visual_BPD)
            yield keys, values
            if number < len(self.blocks):
                visual_BPD = block.finish(visual_BPD, block.attention.mix(queries, keys, values))

    def layers(self) -> Iterator[Block]:
        """The blocks from first to last."""
        for block in self.blocks:
            assert isinstance(block, Block)
            yield block

    def embed(self, ids: Tensor, positions: Tensor) -> Tensor:
        """Word plus position embedding, normalised; no token types."""
        summed = self.word_embedding(ids) + self.position_embedding(positions)
        return F.dropout(self.embedding_layer_norm(summed), self.config.dropout, self.training)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits over the vocabulary, [..., D] -> [..., V]."""
        logits: Tensor = self.head(hidden, self.word_embedding.weight)
        return logits


class Head(nn.Module):
    """The output layer's own weights: a bias, and a matrix only where it is not the word embedding's."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        shape = (config.vocab_size, config.width)
        self.weight = None if config.tied_head else nn.Parameter(nn.init.normal_(torch.empty(shape), std=INIT_STD))
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden: Tensor, embedding_VD: Tensor) -> Tensor:
        return F.linear(hidden, embedding_VD if self.weight is None else self.weight, self.bias)


class Block(nn.Module):
    """One post-norm BERT layer: each half adds to its input and normalises the sum."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.attention = Attention(config)
        self.attention_layer_norm = nn.LayerNorm(config.width, eps=config.layer_eps)
        self.mlp = Mlp(config.width, config.mlp_width)
        self.mlp_layer_norm = nn.LayerNorm(config.width, eps=config.layer_eps)

    def finish(self, hidden_BTD: Tensor, mixed_BHTd: Tensor) -> Tensor:
        """Everything after the attention's mixing: output matrix, residual and norm; MLP, residual and norm."""
        attended_BTD = self.attention.out(mixed_BHTd.transpose(1, 2).flatten(2))
        hidden_BTD = self.attention_layer_norm(hidden_BTD + F.dropout(attended_BTD, self.dropout, self.training))
        out: Tensor = self.mlp_layer_norm(hidden_BTD + F.dropout(self.mlp(hidden_BTD), self.dropout, self.training))
        return out


class Attention(nn.Module):
    """Multi-head attention in two halves, so that what is read can come from elsewhere (a cache, another stream)."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.dropout = config.attention_dropout
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)

    def project(self, hidden_BTD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of these tokens, [B, H, T, d] each."""
        batch, length, _ = hidden_BTD.shape
        queries, keys, values = self.qkv(hidden_BTD).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        return queries, keys, values

    def mix(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Read `values` with `queries`, [B, H, T, d]; `mask` is True where reading is allowed."""
        dropout = self.dropout if self.training else 0.0
        if not dropout:
            return attend(queries, keys, values, mask)
        return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, dropout_p=dropout)


class Mlp(nn.Module):
    """Two linear layers around the exact (erf) GELU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc_in = nn.Linear(width, hidden)
        self.fc_out = nn.Linear(hidden, width)

    def forward(self, hidden_BTD: Tensor) -> Tensor:
        out: Tensor = self.fc_out(F.gelu(self.fc_in(hidden_BTD)))
        return out


def attend_cached(queries_RHTd: Tensor, cache: KVCache, layer: int, mask: Tensor | None) -> Tensor:
    """Let each row's T queries read its medium's visual tokens and its own text in one softmax; returns [R, H, T, d].

    One softmax over both parts is what a single concatenated sequence gives; the parts are only stored apart, so that
    rows of one medium share its visual keys and values.
    """
    length = queries_RHTd.shape[2]
    seen = cache.longest + length
    visual_keys, visual_values = cache.visual_keys[layer], cache.visual_values[layer]  # M H P d
    text_keys, text_values = cache.text_keys[layer, :, :, :seen], cache.text_values[layer, :, :, :seen]  # R H t d
    queries_RHTd = queries_RHTd * queries_RHTd.shape[-1] ** -0.5

    visual_scores = cache.by_row(cache.by_medium(queries_RHTd) @ visual_keys.transpose(-1, -2), length)  # R H T P
    text_scores = queries_RHTd.to(text_keys.dtype) @ text_keys.transpose(-1, -2)  # R H T t
    if mask is not None:
        text_scores = text_scores.masked_fill(~mask, float("-inf"))
    weights = torch.cat([visual_scores, text_scores], dim=-1).softmax(dim=-1)  # the wider type of both
    visual_weights, text_weights = weights[..., : visual_keys.shape[2]], weights[..., visual_keys.shape[2] :]
    visual_mix_RHTd = cache.by_row(cache.by_medium(visual_weights.to(visual_values.dtype)) @ visual_values, length)
    mixed_RHTd: Tensor = (visual_mix_RHTd + text_weights @ text_values).to(queries_RHTd.dtype)
    return mixed_RHTd


def _init_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=INIT_STD)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
