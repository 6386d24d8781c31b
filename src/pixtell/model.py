"""GIT: an image encoder, a prefix and a text decoder, and the four things it can be asked.

`see` turns pixels into visual tokens, `forward` trains on them, `prefill` and `step` decode from them. The fact that
shapes all four: visual tokens see each other and nothing else, so what they are is settled before the first word, and
is computed once per medium whatever the number of captions, questions or beams (paper, figure 3: the attention mask).

    B media, F frames, C channels, H W pixels, P visual tokens, K texts a medium, R rows, T text tokens, D width,
    V vocabulary
"""

from __future__ import annotations

from torch import Tensor, nn

from pixtell import vision
from pixtell.cache import KVCache
from pixtell.config import ModelConfig
from pixtell.decoder import INIT_STD, Decoder
from pixtell.prefix import VisualPrefix


class GitModel(nn.Module):
    """The Generative Image-to-text Transformer (arXiv 2205.14100) that `config` describes, with random weights."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.vision = vision.build(config.vision)
        self.prefix = VisualPrefix(config.vision.width, config.text.width, config.frames)
        nn.init.normal_(self.prefix.projection.weight, std=INIT_STD)
        nn.init.zeros_(self.prefix.projection.bias)
        self.decoder = Decoder(config.text)

    def see(self, pixels_BFCHW: Tensor, *, resample_frames: bool = False) -> Tensor:
        """Encode each frame and lay the tokens of all frames end to end: visual_BPD.

        Raises `InputError` (`frames`) for more frames than the model has temporal embeddings, unless
        `resample_frames` stretches them.
        """
        media, frames = pixels_BFCHW.shape[:2]
        features = self.vision(pixels_BFCHW.flatten(0, 1))
        visual_BPD: Tensor = self.prefix(features.unflatten(0, (media, frames)), resample_frames=resample_frames)
        return visual_BPD

    def forward(self, visual_BPD: Tensor, ids_BKT: Tensor) -> Tensor:
        """Teacher-forced logits_BKTV of K texts about each medium; see `Decoder.forward`."""
        logits_BKTV: Tensor = self.decoder(visual_BPD, ids_BKT)
        return logits_BKTV

    def prefill(self, visual_BPD: Tensor, together: int | None = None) -> KVCache:
        """The visual part of a cache, once per medium, `together` media in a pass; `KVCache.rows` opens texts on it."""
        return self.decoder.prefill(visual_BPD, together)

    def step(self, ids_RT: Tensor, cache: KVCache, lengths_R: Tensor | None = None) -> Tensor:
        """Append tokens to the rows of `cache` (changing it) and return the next token's logits_RV."""
        return self.decoder.step(ids_RT, cache, lengths_R)
