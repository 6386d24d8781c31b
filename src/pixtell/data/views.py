"""Training views of one picture or clip: a random crop, or a made clip that pans and zooms over a picture.

In: upright RGB pictures. Out: frames of `size` x `size`, not yet pixels. A `square` view is the published one
(RandomResizedCrop of the authors' `train.py`: 0.8 to 1 of the area, aspect 1:1, bicubic). A `squash` view keeps such a
share of the area too, but its aspect wanders by up to a quarter around the picture's own, because the bundled model
squashes pictures into squares. Their colours may wander, too.

The surprising thing: of a picture wider than 5:4, or taller, a square never has 0.8 of the area. The published view is
then always the largest square in the middle, with no chance in it at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageEnhance

Box = tuple[float, float, float, float]
Shape = Literal["square", "squash"]

ASPECT_JITTER = 4 / 3
MOVING_AREA = 0.4  # the least share of the picture that a frame of a made clip shows
ENHANCERS = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
TRIES = 10  # torchvision's get_params draws so often before it takes the middle


@dataclass(frozen=True)
class View:
    """How a picture is looked at: `frames` of `size` x `size` pixels that show at least `area` of it, mirrored by
    chance where `flip` allows it, with colours changed by chance by up to a share of `color_jitter`."""

    size: int
    frames: int = 1
    shape: Shape = "square"
    area: float = 0.8
    flip: bool = False
    color_jitter: float = 0.0

    @property
    def least_part(self) -> float:
        """The least share of the picture's shorter side that a view may be a crop of."""
        area = MOVING_AREA if self.frames > 1 else self.area
        return math.sqrt(area / ASPECT_JITTER) if self.shape == "squash" else math.sqrt(area)


def views(frames: Sequence[Image.Image], view: View, random: np.random.Generator) -> list[Image.Image]:
    """The frames of one photo or clip as a model in training sees them: of a photo, where several are wanted, a made
    clip; of a clip, one crop through all of it."""
    if len(frames) == 1 and view.frames > 1:
        shown = moving_views(frames[0], view.size, view.frames, random, flip=view.flip, shape=view.shape)
        return recoloured(shown, view.color_jitter, random)
    box = random_box(frames[0], random, view.area) if view.shape == "squash" else square(frames[0], random, view.area)
    shown = [crop(frame, box, view.size) for frame in frames]
    return recoloured(mirrored(shown) if view.flip and random.random() < 0.5 else shown, view.color_jitter, random)


def moving_views(
    picture: Image.Image,
    size: int,
    frames: int,
    random: np.random.Generator,
    *,
    flip: bool,
    shape: Shape = "squash",
) -> list[Image.Image]:
    """`frames` views along a straight move between two random crops: a pan, a zoom, or both."""
    box_of = random_box if shape == "squash" else _moving_square
    start, end = (np.array(box_of(picture, random, MOVING_AREA)) for _ in range(2))
    steps = np.linspace(0.0, 1.0, frames) if frames > 1 else np.zeros(1)
    boxes = [tuple((1 - step) * start + step * end) for step in steps]
    shown = [crop(picture, (float(b[0]), float(b[1]), float(b[2]), float(b[3])), size) for b in boxes]
    return mirrored(shown) if flip and random.random() < 0.5 else shown


def square(picture: Image.Image, random: np.random.Generator, area: float) -> Box:
    """A square of `area` to 1 of the picture's area at a random place; where none that large fits, the middle."""
    for _ in range(TRIES):
        side = round(math.sqrt(random.uniform(area, 1.0) * picture.width * picture.height))
        if 0 < side <= min(picture.size):
            left, top = (int(random.integers(length - side + 1)) for length in picture.size)
            return left, top, left + side, top + side
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return left, top, left + side, top + side


def random_box(picture: Image.Image, random: np.random.Generator, area: float) -> Box:
    """A random (left, top, right, bottom) with `area` to 1 of the picture's area, inside it."""
    share = random.uniform(area, 1.0)
    stretch = math.exp(random.uniform(-1, 1) * math.log(ASPECT_JITTER)) ** 0.5
    width, height = min(1.0, math.sqrt(share) * stretch), min(1.0, math.sqrt(share) / stretch)
    # A side cut at the picture's edge costs area: beyond 3/4 the other side makes up for it.
    width, height = min(1.0, max(width, area / height)), min(1.0, max(height, area / width))
    return _placed(picture, random, width * picture.width, height * picture.height)


def _moving_square(picture: Image.Image, random: np.random.Generator, area: float) -> Box:
    """A square of `area` to 1 of the largest square in the picture."""
    side = math.sqrt(random.uniform(area, 1.0)) * min(picture.size)
    return _placed(picture, random, side, side)


def _placed(picture: Image.Image, random: np.random.Generator, width: float, height: float) -> Box:
    left = random.uniform(0, picture.width - width)
    top = random.uniform(0, picture.height - height)
    return left, top, left + width, top + height


def crop(picture: Image.Image, box: Box, size: int) -> Image.Image:
    """What is in the box, `size` x `size`. A box of whole pixels is cut out first, as the authors' code does, so that
    nothing beside it shines in."""
    left, top, right, bottom = box
    if all(isinstance(edge, int) for edge in box):
        return picture.crop((int(left), int(top), int(right), int(bottom))).resize(
            (size, size), Image.Resampling.BICUBIC
        )
    return picture.resize((size, size), Image.Resampling.BICUBIC, box=box)


def mirrored(frames: Sequence[Image.Image]) -> list[Image.Image]:
    """Every frame with left and right exchanged."""
    return [frame.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for frame in frames]


def recoloured(frames: Sequence[Image.Image], jitter: float, random: np.random.Generator) -> list[Image.Image]:
    """Every frame with brightness, contrast and saturation, in an order of chance, times 1 - `jitter` to 1 + `jitter`.

    All frames of a clip change alike. Hue stays: captions name colours.
    """
    if not jitter:  # no random numbers are drawn where none are needed
        return list(frames)
    order, factors = random.permutation(len(ENHANCERS)), random.uniform(1 - jitter, 1 + jitter, len(ENHANCERS))
    for number in order:
        frames = [ENHANCERS[number](frame).enhance(float(factors[number])) for frame in frames]
    return list(frames)
