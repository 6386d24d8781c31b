"""Frames become pixels: resized, cropped, normalised; the only mean and standard deviation in the project.

In: RGB pictures. Out: `pixels_FCHW`, float32. Sizes and offsets are those of the authors' code (inference.py):
torchvision's `Resize` and `CenterCrop`, or their own `MinMaxResizeForTest` where the aspect is kept.

The surprising thing: the hub's processors round the crop's offset down, where torchvision rounds to the nearest, halves
to even. When the side to be cut is 3, 7, 11, ... pixels too long, their crop is one pixel further left or higher. In
everything else the two agree, value by value.

F frames, C colours (red, green, blue), H and W of the resized pictures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pixtell.config import PixelConfig
from pixtell.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}

# Above this many pixels a resized picture isn't built whole to be cropped: a 1 x 5000 picture would become 224 x 1.1 M.
_WHOLE_LIMIT = 16_000_000
# A kept aspect may leave a picture thinner than one patch of the released models, so with no visual token at all.
_THINNEST = 16


def to_pixels(
    frames: Sequence[Image.Image], config: PixelConfig, name: str = "<frames>", *, fitted: bool = False
) -> Tensor:
    """Make `pixels_FCHW` from the RGB pictures of one photo or clip; messages begin with its `name`.

    `fitted` says that they come from `fit_frames`. Raises InputError as that does.
    """
    import torch  # here, so that processes that only decode and fit pictures do without

    pictures = frames if fitted else fit_frames(frames, config, name)
    bytes_FHWC = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))
    mean_C11, std_C11 = (torch.tensor(values)[:, None, None] for values in (config.mean, config.std))
    # Turned while it is bytes: arithmetic over a last axis of 3 takes many times longer.
    pixels_FCHW = bytes_FHWC.permute(0, 3, 1, 2).contiguous().float()
    # In the order of torchvision's ToTensor and Normalize, so that float32 rounds the same.
    return pixels_FCHW.div_(255).sub_(mean_C11).div_(std_C11)


def fit_frames(frames: Sequence[Image.Image], config: PixelConfig, name: str = "<frames>") -> list[Image.Image]:
    """The pictures of one photo or clip at the size that the model looks at.

    (Not to be done twice: a kept aspect, rounded to pixels, is another aspect.)

    Raises InputError: `frames` when there are none or when they come out at different sizes (the aspect is kept and
    theirs differ), `too_narrow` when the kept aspect would leave less than one patch.
    """
    if not frames:
        raise InputError("frames", f"{name}: there are no frames to look at")
    assert all(frame.mode == "RGB" for frame in frames), "open_media gives RGB"
    pictures = [_fit(frame, config, name) for frame in frames]
    sizes = list(dict.fromkeys(picture.size for picture in pictures))
    if len(sizes) > 1:
        found = ", ".join(f"{width} x {height}" for width, height in sizes)
        raise InputError(
            "frames",
            f"{name}: frames of one clip must come out at one size, not at {found}: crop them to one shape",
        )
    return pictures


def _fit(frame: Image.Image, config: PixelConfig, name: str) -> Image.Image:
    """One picture at the size that the model looks at."""
    if config.fit == "squash":
        return _resize(frame, (config.size, config.size), config)
    if config.fit == "aspect":
        size = aspect_size(frame.width, frame.height, config)
        if min(size) < _THINNEST:
            raise InputError(
                "too_narrow",
                f"{name}: {frame.width} x {frame.height} pixels are too narrow: with the aspect kept they become "
                f"{size[0]} x {size[1]}, and {_THINNEST} is the least: crop the picture",
            )
        return _resize(frame, size, config)
    return _crop(frame, config)


def aspect_size(width: int, height: int, config: PixelConfig) -> tuple[int, int]:
    """Width and height with the aspect kept: short side `size`, or less where the long one would exceed `max_size`.

    The authors' MinMaxResizeForTest (inference.py), halves rounded to even and the long side rounded down.
    """
    assert config.max_size is not None
    short, long = min(width, height), max(width, height)
    size = config.size
    if long / short * size > config.max_size:
        size = round(config.max_size * short / long)
    if size == short:
        return width, height
    stretched = int(size * long / short)
    return (size, stretched) if width < height else (stretched, size)


def _crop(frame: Image.Image, config: PixelConfig) -> Image.Image:
    """Short side to `size`, then the square in the middle (torchvision Resize and CenterCrop)."""
    size = config.size
    short, long = min(frame.size), max(frame.size)
    stretched = int(size * long / short)
    offset = round((stretched - size) / 2)
    upright = frame.width <= frame.height
    if size * stretched > _WHOLE_LIMIT:
        return _crop_part(frame, offset, stretched, config)
    resized = _resize(frame, (size, stretched) if upright else (stretched, size), config)
    left, top = (0, offset) if upright else (offset, 0)
    return resized.crop((left, top, left + size, top + size))


def _crop_part(frame: Image.Image, offset: int, stretched: int, config: PixelConfig) -> Image.Image:
    """The same crop from the part of the picture that it shows and no more.

    It may differ by one level of 255: Pillow holds the corners of a part in 32-bit floats.
    """
    size = config.size
    scale = max(frame.size) / stretched
    start, end = offset * scale, (offset + size) * scale
    margin = math.ceil(2 * max(scale, 1)) + 1  # both filters look at most 2 pixels of the coarser picture away
    low, high = max(math.floor(start) - margin, 0), min(math.ceil(end) + margin, max(frame.size))
    box: tuple[float, float, float, float]
    if frame.width <= frame.height:
        strip = frame.crop((0, low, frame.width, high))
        box = (0, start - low, frame.width, end - low)
    else:
        strip = frame.crop((low, 0, high, frame.height))
        box = (start - low, 0, end - low, frame.height)
    return strip.resize((size, size), _FILTERS[config.resample], box=box)


def _resize(frame: Image.Image, size: tuple[int, int], config: PixelConfig) -> Image.Image:
    return frame if frame.size == size else frame.resize(size, _FILTERS[config.resample])
