"""What the caller wants to see of a photo or clip, and which frames of a clip that is.

In: the times at which frames come on screen. Out: the places of those that are looked at, of a whole clip or of a
stretch of it.

The surprising thing: the frame on screen when a stretch begins came on screen before it, and belongs to it all the
same. So a stretch in which nothing changes has a frame, too.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from statistics import median_low
from typing import Literal

from pixtell.errors import ConfigError, InputError

Sampling = Literal["uniform", "window"]
Span = tuple[float, float]  # seconds from the first frame; what begins at the second is not in it

WHOLE = (0.0, math.inf)
WINDOW_STEP = 4  # decoded frames between two frames of a window: 6 frames span 24 (transformers, GIT examples)


@dataclass(frozen=True)
class Look:
    """What the caller wants to see of a source, checked at birth, and `name`, which every message about it begins with.

    `frames`, `sampling` and `seed` say which frames of a clip (see `pick`); `upright` whether to turn pictures as they
    say they are meant; `max_pixels` limits one picture. `least_side`, above 0, lets a JPEG be decoded at a half, a
    quarter or an eighth of its size as long as both sides keep that many pixels.
    """

    name: str
    frames: int = 6
    sampling: Sampling = "uniform"
    seed: int = 0
    upright: bool = True
    max_pixels: int = 40_000_000
    least_side: int = 0

    def __post_init__(self) -> None:
        problems = []
        if self.least_side < 0:
            problems.append(f"least_side must be 0 (decode JPEGs whole) or more, got {self.least_side}")
        for name in ("frames", "max_pixels"):
            if getattr(self, name) < 1:
                problems.append(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.sampling not in ("uniform", "window"):
            problems.append(f"sampling must be uniform or window, got {self.sampling!r}")
        if not 0 <= self.seed < 2**32:
            problems.append(f"seed must be in 0..{2**32 - 1}, got {self.seed}")
        if problems:
            raise ConfigError.listing("media", problems)

    def bad(self, code: str, message: str) -> InputError:
        """The error for this source, to be raised."""
        return InputError(code, f"{self.name}: {message}")

    def check_size(self, width: int, height: int) -> None:
        """Refuse a picture of more than `max_pixels` pixels."""
        if width * height > self.max_pixels:
            raise self.bad(
                "too_large",
                f"{width} x {height} pixels are {width * height / 1e6:.6g} megapixels, above the limit of "
                f"{self.max_pixels / 1e6:g}: make it smaller, or raise max_pixels if you trust it",
            )


@dataclass(frozen=True)
class Timeline:
    """When each frame of a clip comes on screen: ascending `starts`, in ticks of `tick` seconds from anywhere.

    `keys` are those of the frames that decoding can begin at; none where only decoding tells what frames there are.
    """

    starts: Sequence[int] = field(repr=False)
    keys: Sequence[int] = field(repr=False)
    tick: Fraction

    @cached_property
    def end(self) -> int:
        """The tick at which the last frame leaves the screen: after a typical gap, as durations may be wrong."""
        gaps = [later - earlier for earlier, later in pairwise(self.starts)]
        return self.starts[-1] + (median_low(gaps) if gaps else 1)

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the end."""
        return self.seconds(self.end)

    def seconds(self, tick: int) -> float:
        """Seconds from the first frame to `tick`."""
        return float((tick - self.starts[0]) * self.tick)

    def choose(self, span: Span, look: Look) -> list[int]:
        """Choose, as `pick` does, among the frames on screen in a stretch that begins before the end; their indices."""
        first = self._tick(span[0])
        last = Fraction(self.end) if span[1] >= self.duration else self._tick(span[1])
        there = bisect_right(self.starts, first) - 1
        on_screen: list[int | Fraction] = [first, *self.starts[there + 1 : bisect_left(self.starts, last)]]
        return [there + place for place in pick(on_screen, last, look)]

    def _tick(self, second: float) -> Fraction:
        # By way of its decimals: 0.3 seconds are 3 ticks of 0.1, and not a little less, as the float is.
        return self.starts[0] + Fraction(str(second)) / self.tick


def pick(starts: Sequence[int | Fraction], end: int | Fraction, look: Look) -> list[int]:
    """Choose which `look.frames` frames of a clip are looked at, by index, in order of time.

    `starts` holds the tick at which each frame comes on screen, ascending; the last one stays until `end`.

    `uniform` cuts the clip into as many parts of equal time and takes the frame on screen in the middle of each. A clip
    with fewer frames than that, or with uneven times, repeats a frame that is on screen in several middles.

    `window` is what the hub's examples do (transformers, docstring of GitForCausalLM): a window of 4 frames for each
    one wanted (24 for 6) at a random place, the wanted ones spread over it. `seed` gives what `numpy.random.seed(seed)`
    gives there. A clip shorter than the window is taken whole (the hub's code fails on it), repeating when very short.
    """
    if look.sampling == "window":
        return _pick_window(len(starts), look)
    span = end - starts[0]
    middles = [starts[0] + Fraction(span * (2 * part + 1), 2 * look.frames) for part in range(look.frames)]
    return [max(bisect_right(starts, middle) - 1, 0) for middle in middles]


def _pick_window(count: int, look: Look) -> list[int]:
    import numpy as np

    length = min(WINDOW_STEP * look.frames, count)
    # The hub draws the end below the number of frames; when the clip is one window long there is nothing to draw.
    end = int(np.random.RandomState(look.seed).randint(length, count)) if count > length else length
    places = np.linspace(end - length, end, num=look.frames)
    return [int(place) for place in np.clip(places, end - length, end - 1).astype(np.int64)]
