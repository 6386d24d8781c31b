"""From the encoder's features to the visual tokens that text reads: features_BFNE -> visual_BPD.

Frames of a clip are encoded one by one; each gets its temporal embedding (after the encoder's last norm, before the
projection), and all frames' tokens are laid end to end. Also here: the mask under which text reads them.

    B media, F frames, N tokens a frame, P = F*N visual tokens, E vision width, D decoder width, K texts, T text tokens
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixtell.errors import InputError


class VisualPrefix(nn.Module):
    """Temporal embedding, linear projection and layer norm (authors' `decoder.py`, `create_projecton_layer`)."""

    def __init__(self, vision_width: int, width: int, frames: int) -> None:
        super().__init__()
        # Zero at birth, as the authors': a picture model that learns clips starts from what it knew.
        self.temporal_embedding = nn.Parameter(torch.zeros(frames, 1, vision_width)) if frames else None
        self.projection = nn.Linear(vision_width, width)
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, features_BFNE: Tensor, *, resample_frames: bool = False) -> Tensor:
        """Return visual_BPD with P = F * N, frame after frame.

        A model with temporal embeddings gives a photo the first one. More frames than embeddings raise `InputError`
        (`frames`), unless `resample_frames` stretches the embeddings linearly over the frames at hand.
        """
        if self.temporal_embedding is not None:
            features_BFNE = features_BFNE + self.temporal(features_BFNE.shape[1], resample_frames)
        elif features_BFNE.shape[1] > 1:
            raise InputError(
                "frames", f"{features_BFNE.shape[1]} frames, but this model reads single pictures: give it 1 frame"
            )
        visual_BPD: Tensor = self.layer_norm(self.projection(features_BFNE.flatten(1, 2)))
        return visual_BPD

    def temporal(self, frames: int, resample: bool) -> Tensor:
        """The embeddings of `frames` frames, [F, 1, E]."""
        assert self.temporal_embedding is not None
        learned_F1E = self.temporal_embedding
        if frames <= len(learned_F1E):
            return learned_F1E[:frames]
        if not resample:
            raise InputError(
                "frames",
                f"{frames} frames, but the model has {len(learned_F1E)} temporal embeddings: "
                f"ask for at most {len(learned_F1E)} frames, or allow resampled embeddings (resample_frames)",
            )
        stretched_1EF = F.interpolate(
            learned_F1E.permute(1, 2, 0).float(), size=frames, mode="linear", align_corners=True
        )
        return stretched_1EF.permute(2, 0, 1).to(learned_F1E.dtype)


def prefix_mask(visual_tokens: int, texts: int, length: int, device: torch.device | None = None) -> Tensor:
    """What the text of one medium may read, [K*T, P + K*T], True where it may (paper, figure 3).

    Each of the K texts sees all P visual tokens and its own past, never another text. The visual rows of the whole
    mask are left out because they need none: visual tokens see each other and nothing else, so they are computed
    without the text (`Decoder.visual_layers`).
    """
    place = torch.arange(texts * length, device=device)
    past = place[:, None] >= place
    same_text = place[:, None] // length == place // length
    return F.pad(past & same_text, (visual_tokens, 0), value=True)
