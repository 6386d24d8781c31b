"""The bytes of a stored photo or clip become `Media`, with the digest that tells equal content from other content.

In: a place that gives bytes, and how media are looked at. Out: frames, and the SHA-256 of what they were made from. The
surprising thing: bytes have no name of their own, so messages about them are given the name of the place.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal, Protocol

from pixtell.errors import InputError, MissingExtraError
from pixtell.media import Media, open_media

FAILURES = (InputError, MissingExtraError)  # of an input; other errors end the run


@dataclass(frozen=True)
class Looks:
    """How media are opened: `frames` of a clip (0: as many as the model knows) and the rest as in `open_media`."""

    frames: int = 0
    sampling: Literal["uniform", "window"] = "uniform"
    seed: int = 0
    resample_frames: bool = False
    respect_exif: bool = True
    max_pixels: int = 40_000_000


class Place(Protocol):
    """Where the bytes of one photo or clip lie."""

    def read(self) -> bytes: ...


def open_place(place: Place, name: str, looks: Looks, least_side: int = 0) -> tuple[Media, str]:
    """Open what lies at `place` and digest it (SHA-256, hexadecimal); messages call it `name`.

    `least_side` as in `open_media`. Raises `InputError` and `MissingExtraError`.
    """
    content = place.read()
    return open_source(io.BytesIO(content), name, looks, least_side), hashlib.sha256(content).hexdigest()


def open_source(source: IO[bytes] | Path, name: str, looks: Looks, least_side: int = 0) -> Media:
    """Open what an open file, or a folder of frames, holds; messages call it `name`.

    Raises `InputError` and `MissingExtraError`.
    """
    return replace(_opened(source, name, looks, least_side), source=name)


def open_folder(folder: Path, looks: Looks, least_side: int = 0) -> tuple[Media, str]:
    """Open a folder of frames as one clip; its digest is that of its files' contents in the order of their names."""
    digest = hashlib.sha256()
    try:
        for file in sorted(path for path in folder.iterdir() if path.is_file()):
            digest.update(file.read_bytes())
    except OSError as error:
        raise InputError("unreadable", f"{folder}: it can't be read: {error.strerror or error}") from None
    return _opened(folder, str(folder), looks, least_side), digest.hexdigest()


def _opened(source: IO[bytes] | Path, name: str, looks: Looks, least_side: int) -> Media:
    try:
        return open_media(
            source,
            frames=looks.frames or 1,
            sampling=looks.sampling,
            seed=looks.seed,
            respect_exif=looks.respect_exif,
            max_pixels=looks.max_pixels,
            least_side=least_side,
        )
    except FAILURES as error:
        raise renamed(error, name) from None


def renamed(error: InputError | MissingExtraError, name: str) -> InputError | MissingExtraError:
    """The error with the place's name at its beginning instead of that of nameless bytes."""
    text = str(error)
    message = f"{name}:{text.partition(':')[2]}" if text.startswith("<") else text
    return InputError(error.code, message) if isinstance(error, InputError) else MissingExtraError(message)
