"""Training views of one picture: a random crop, or a made clip that pans and zooms over it.

In: an upright RGB picture. Out: frames of `size` x `size`, not yet pixels. Crops keep 0.7 to 1 of the area and their
aspect wanders by up to a quarter, because the bundled model squashes pictures into squares. The paper crops 0.8 to 1
with the aspect kept (authors' `train.py`).
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

Box = tuple[float, float, float, float]
ASPECT_JITTER = 4 / 3


def random_view(
    picture: Image.Image, size: int, random: np.random.Generator, *, flip: bool, area: float
) -> Image.Image:
    """One random crop of at least `area` of the picture, mirrored half the time when `flip`."""
    view = crop(picture, random_box(picture, random, area), size)
    return view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip and random.random() < 0.5 else view


def moving_views(
    picture: Image.Image, size: int, frames: int, random: np.random.Generator, *, flip: bool
) -> list[Image.Image]:
    """`frames` views along a straight move between two random crops: a pan, a zoom, or both."""
    start, end = (np.array(random_box(picture, random, 0.4)) for _ in range(2))
    steps = np.linspace(0.0, 1.0, frames) if frames > 1 else np.zeros(1)
    boxes = [tuple((1 - step) * start + step * end) for step in steps]
    views = [crop(picture, (float(b[0]), float(b[1]), float(b[2]), float(b[3])), size) for b in boxes]
    if flip and random.random() < 0.5:
        views = [view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for view in views]
    return views


def random_box(picture: Image.Image, random: np.random.Generator, area: float) -> Box:
    """A random (left, top, right, bottom) with `area` to 1 of the picture's area, inside it."""
    share = random.uniform(area, 1.0)
    stretch = math.exp(random.uniform(-1, 1) * math.log(ASPECT_JITTER)) ** 0.5
    width, height = min(1.0, math.sqrt(share) * stretch), min(1.0, math.sqrt(share) / stretch)
    # A side cut at the picture's edge costs area: beyond 3/4 the other side makes up for it.
    width, height = min(1.0, max(width, area / height)), min(1.0, max(height, area / width))
    width, height = width * picture.width, height * picture.height
    left = random.uniform(0, picture.width - width)
    top = random.uniform(0, picture.height - height)
    return left, top, left + width, top + height


def crop(picture: Image.Image, box: Box, size: int) -> Image.Image:
    return picture.resize((size, size), Image.Resampling.BICUBIC, box=box)
