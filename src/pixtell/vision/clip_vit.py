"""CLIP's vision transformer: pixels_BCHW -> features_BNE, the class token and every patch.

As in the authors' `layers/CLIP/model.py` with `output_grid=True, grid_after_ln=True`: pre-norm blocks, QuickGELU, a
layer norm before the first block and one after the last. The surprising thing: GIT reads *all* tokens after that last
norm, where CLIP itself keeps one and projects it.

    B pictures, C channels, H W pixels, h w patch rows and columns, N = 1 + h*w tokens, E width, A heads, d = E / A
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixtell.attention import attend
from pixtell.config import ClipVitConfig

QUICK_GELU_SLOPE = 1.702


class ClipVit(nn.Module):
    """The image encoder of every released GIT checkpoint (paper, table 11)."""

    def __init__(self, config: ClipVitConfig) -> None:
        super().__init__()
        self.config = config
        width, patch = config.width, config.patch_size
        self.patch_embedding = nn.Conv2d(3, width, kernel_size=patch, stride=patch, bias=False)
        self.class_embedding = nn.Parameter(nn.init.normal_(torch.empty(width), std=width**-0.5))
        self.position_embedding = nn.Parameter(nn.init.normal_(torch.empty(1 + config.grid**2, width), std=width**-0.5))
        self.ln_pre = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.ln_post = nn.LayerNorm(width)

    def forward(self, pixels_BCHW: Tensor) -> Tensor:
        """Encode pictures of any one size of at least a patch; returns features_BNE, N = 1 + (H // p) * (W // p).

        Rows and columns of pixels that don't fill a patch are dropped by the convolution, as in the authors' code.
        """
        patches_BEhw = self.patch_embedding(pixels_BCHW)
        rows, columns = patches_BEhw.shape[-2:]
        patches_BNE = patches_BEhw.flatten(2).transpose(1, 2)
        class_B1E = self.class_embedding.expand(len(patches_BNE), 1, -1)
        features_BNE = torch.cat([class_B1E, patches_BNE], dim=1) + self.positions(rows, columns)
        features_BNE = self.ln_pre(features_BNE)
        for block in self.blocks:
            features_BNE = block(features_BNE)
        out: Tensor = self.ln_post(features_BNE)
        return out

    def positions(self, rows: int, columns: int) -> Tensor:
        """Position embeddings [1 + rows * columns, E], resized (bicubic) when the grid is not the learned one."""
        grid = self.config.grid
        if (rows, columns) == (grid, grid):
            return self.position_embedding
        learned_1Egg = self.position_embedding[1:].T.reshape(1, -1, grid, grid).float()
        resized_1Ehw = F.interpolate(learned_1Egg, size=(rows, columns), mode="bicubic", align_corners=False)
        resized = resized_1Ehw.flatten(2)[0].T.to(self.position_embedding.dtype)
        return torch.cat([self.position_embedding[:1], resized])


class Block(nn.Module):
    """One pre-norm transformer block over features_BNE."""

    def __init__(self, config: ClipVitConfig) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.width)
        self.attention = Attention(config.width, config.heads)
        self.ln_2 = nn.LayerNorm(config.width)
        self.mlp = QuickGeluMlp(config.width, config.mlp_width)

    def forward(self, features_BNE: Tensor) -> Tensor:
        features_BNE = features_BNE + self.attention(self.ln_1(features_BNE))
        out: Tensor = features_BNE + self.mlp(self.ln_2(features_BNE))
        return out


class Attention(nn.Module):
    """Self-attention in which every token sees every token; queries, keys and values come from one matrix."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, features_BNE: Tensor) -> Tensor:
        batch, tokens, width = features_BNE.shape
        qkv = self.qkv(features_BNE).view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # 3 B A N d
        mixed_BANd = attend(qkv[0], qkv[1], qkv[2])
        out: Tensor = self.out(mixed_BANd.transpose(1, 2).reshape(batch, tokens, width))
        return out


class QuickGeluMlp(nn.Module):
    """Two linear layers around QuickGELU, CLIP's cheap stand-in for GELU: x * sigmoid(1.702 x)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc_in = nn.Linear(width, hidden)
        self.fc_out = nn.Linear(hidden, width)

    def forward(self, features_BNE: Tensor) -> Tensor:
        hidden = self.fc_in(features_BNE)
        out: Tensor = self.fc_out(hidden * torch.sigmoid(QUICK_GELU_SLOPE * hidden))
        return out
