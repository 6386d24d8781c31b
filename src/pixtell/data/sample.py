"""One place of a batch: a picture or clip from disk becomes the frames that a training step sees.

In: a `Sample`, which says where the medium lies, how it is looked at and what chance decides. Out: `Seen`: its frames,
and the rows that had to be passed over.

The surprising thing: a row whose picture is broken gives its place to the row after it. A sample names those, too, so
what is seen depends on nothing but the data, whichever process looks.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from PIL import Image

from pixtell.data.opened import FAILURES, Looks, open_source
from pixtell.data.row import Problem, Stored
from pixtell.data.views import View, views
from pixtell.data.workers import DIED, in_order
from pixtell.errors import InputError
from pixtell.media import Media, open_media

# JPEGs are decoded at the smallest scale that leaves a crop twice its side: quick, and hard to tell (`open_media`).
OVERSIZE = 2
# Frames that a real clip gives for each one wanted; which of a part's is shown is chance.
JITTER = 3
# Rows that may stand in for a broken one. More in a row are a data set that isn't there.
STAND_INS = 15


@dataclass(frozen=True)
class Candidate:
    """A row that may take a place: its key, and where its medium lies."""

    key: str
    media: Stored


@dataclass(frozen=True)
class Sample:
    """One place of a batch: the first of `candidates` that can be seen takes it; `chance` is a generator's key.

    `exact` decodes JPEGs whole.
    """

    candidates: tuple[Candidate, ...]
    view: View
    chance: tuple[int, ...]
    exact: bool = False


@dataclass(frozen=True)
class Seen:
    """The frames of the first candidate that could be seen, none when none could; `broken` are those before it."""

    frames: tuple[Image.Image, ...]
    broken: tuple[Problem, ...] = ()


def see(sample: Sample) -> Seen:
    """Open the first candidate that can be opened, and look at it."""
    broken: list[Problem] = []
    for candidate in sample.candidates:
        random = np.random.default_rng(sample.chance)
        try:
            media = open_candidate(candidate, sample)
            frames = _jittered(media.frames, sample.view.frames, random)
            _check_sizes(candidate.key, frames)
            return Seen(tuple(views(frames, sample.view, random)), tuple(broken))
        except FAILURES as error:
            code = error.code if isinstance(error, InputError) else "missing_extra"
            broken.append(Problem(code, candidate.key, str(error)))
    return Seen((), tuple(broken))


def see_surely(sample: Sample, seen: Seen) -> Seen:
    """What was seen, where a process died on it with what the other candidates give in another process."""
    while not seen.frames and len(seen.broken) < len(sample.candidates):
        rest = replace(sample, candidates=sample.candidates[len(seen.broken) :])
        [(_, again)] = in_order(see, [rest], 1, 1, crashed)
        seen = Seen(again.frames, (*seen.broken, *again.broken))
    return seen


def crashed(sample: Sample) -> Seen:
    """What is known of a sample that killed its process."""
    key = sample.candidates[0].key
    return Seen((), (Problem("crashed", key, f"{key}: {DIED}"),))


def open_candidate(candidate: Candidate, sample: Sample) -> Media:
    """The whole medium, of a clip more frames than are shown."""
    view = sample.view
    least = 0 if sample.exact else math.ceil(OVERSIZE * view.size / view.least_part)
    frames = view.frames * JITTER
    if candidate.media.is_folder:
        return open_media(candidate.media.path, frames=frames, least_side=least)
    return open_source(io.BytesIO(candidate.media.read()), candidate.key, Looks(frames=frames), least)


def _jittered(frames: Sequence[Image.Image], wanted: int, random: np.random.Generator) -> list[Image.Image]:
    """Of a clip cut into `wanted` parts of equal time, one frame of each; a photo as it is."""
    if len(frames) == 1:
        return list(frames)
    parts = np.linspace(0, len(frames), wanted + 1).astype(int)  # a folder may hold fewer frames than were asked for
    return [
        frames[min(int(random.integers(start, max(end, start + 1))), len(frames) - 1)] for start, end in pairwise(parts)
    ]


def _check_sizes(key: str, frames: Sequence[Image.Image]) -> None:
    sizes = list(dict.fromkeys(frame.size for frame in frames))
    if len(sizes) > 1:
        found = " and ".join(f"{width} x {height}" for width, height in sizes[:2])
        raise InputError("frames", f"{key}: frames of one clip must be of one size, not {found}")
