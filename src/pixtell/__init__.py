"""Pixtell: from a photo or a clip to text, by GIT (Generative Image-to-text Transformer, arXiv 2205.14100).

     a photo, a clip, bytes, "-"
       |  media.py · photo.py · video.py   what the user has                -> frames
       |  pixels.py                        resize, crop, normalise          -> pixels_BFCHW
       |  vision/                          the image encoder, every token   -> features_BFNE
       |  prefix.py                        time, projection, mask           -> visual_BPD
       |  decoder.py · cache.py            the text transformer             -> logits_BV
       |  decoding/                        greedy, sample, beam, filters    -> ids_BT
       v  tokenizer.py                     WordPiece                        -> "two boats on a lake"

       model.py = vision + prefix + decoder      captioner.py = the whole column: encode, caption, ask, classify, stream

       checkpoint/  files <-> model              training/    batches -> better weights      cli/   the commands
       data/        rows -> batches              evaluation/  predictions -> scores          page/  self-contained pages
       batch/       folders and shards -> rows on disk, resumable

    >>> import pixtell
    >>> captioner = pixtell.load()
    >>> captioner.caption("photo.jpg").text  # doctest: +SKIP
    'a brown dog is running through the snow'

Importing this module imports neither torch nor anything else that is slow: names are fetched at first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pixtell.config import PRESETS, DecodeOptions
from pixtell.errors import CheckpointError, ConfigError, InputError, MissingExtraError, PixtellError
from pixtell.results import Answer, Caption, Classification

if TYPE_CHECKING:
    from pixtell.captioner import Captioner, load
    from pixtell.media import Media, open_media

__version__ = "0.1.0"

__all__ = [
    "PRESETS",
    "Answer",
    "Caption",
    "Captioner",
    "CheckpointError",
    "Classification",
    "ConfigError",
    "DecodeOptions",
    "InputError",
    "Media",
    "MissingExtraError",
    "PixtellError",
    "load",
    "open_media",
]

_LAZY = {
    "Captioner": "pixtell.captioner",
    "load": "pixtell.captioner",
    "Media": "pixtell.media",
    "open_media": "pixtell.media",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'pixtell' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
