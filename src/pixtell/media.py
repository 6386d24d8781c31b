"""Whatever a user has - a path, "-", bytes, a file object, a PIL image, an array, frames - becomes `Media`.

In: one photo or one clip, in any of these forms. Out: upright RGB pictures with their times; never a tensor. This file
finds out what it was given; `photo.py` decodes photos and animations, `video.py` clips.

The surprising thing: what a file is, is read from its first bytes, and its name is never trusted. A PNG called .jpg, or
an mp4 called .jpg, simply works; a text called .jpg is told to be one.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any, Literal

import numpy as np
from PIL import Image

from pixtell.config import PixelConfig
from pixtell.errors import InputError
from pixtell.look import Look, Sampling, Span, Timeline, pick
from pixtell.photo import Kind, damage_reported, read_photo, to_rgb, upright_rgb
from pixtell.video import measure_clip, sample_clip, sample_spans

READABLE = "JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF and HEIC photos; mp4, mov, mkv, webm and avi clips"

_PICTURES: tuple[tuple[bytes, Kind], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_BMP_HEADER_SIZES = (12, 40, 52, 56, 64, 108, 124)  # "BM" alone begins too many texts
_MATROSKA = b"\x1a\x45\xdf\xa3"
_MOV_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip")  # what old mov files begin with
_SOUNDS = (b"ID3", b"\xff\xfb", b"\xff\xf3", b"fLaC")

# First bytes of common files that are neither photos nor clips we read, to say what was found.
_STRANGERS = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive or office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"#EXTM3U", "a playlist"),
    (b"ffconcat", "a list of clips"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\x00\x00\x00\x0cjP", "a JPEG 2000 picture"),
    (b"8BPS", "a Photoshop document"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"%!PS", "a PostScript document"),
    (b"FLV", "a Flash video"),
    (b"OggS", "an Ogg file"),
    (b"\x30\x26\xb2\x75", "a Windows Media file"),
    (b"\x00\x00\x01\xba", "an MPEG program stream"),
    (b"\x47\x40", "an MPEG transport stream"),
)


@dataclass(frozen=True)
class Media:
    """A photo (one frame) or a clip (several), ready to become pixels.

    `frames` are RGB and upright, in order of time, and may differ in size when the caller gave such pictures. `times`
    are seconds on screen from the clip's first frame: (0.0,) for a photo, one second each for pictures without a clock
    (a folder, a list, an array). `source` is how messages and results name it: the path as given, "-", "<bytes>",
    "<file>", "<image>", "<array>" or "<3 frames>". `fitted` are the pixels that the frames have been resized for, if
    they have (`pixels.fit_frames`): a process that opens media ahead of the model does that, too.
    """

    frames: tuple[Image.Image, ...]
    source: str
    times: tuple[float, ...]
    fitted: PixelConfig | None = None


@dataclass(frozen=True)
class Stretch:
    """What is seen of a clip from `start` to `end`, in seconds from its first frame, as are the times of its frames."""

    start: float
    end: float
    media: Media


def open_media(
    source: Any,
    *,
    frames: int = 6,
    sampling: Sampling = "uniform",
    seed: int = 0,
    respect_exif: bool = True,
    max_pixels: int = 40_000_000,
    least_side: int = 0,
) -> Media:
    """Read one photo or clip from `source`.

    `source` may be a path; "-" for standard input; bytes; a binary file object (read from its beginning where it can
    seek, left where it was); a PIL image (the frame it stands at; never changed); a uint8 array, HW, HWC or FHWC with
    1, 3 or 4 channels; a folder; or a list of photos given in any of these ways.

    A photo gives one frame, whatever `frames`. A clip (mp4, mov, mkv, webm, avi; animated GIF, WebP, PNG or AVIF) gives
    exactly `frames`, chosen as `video.pick` says from `sampling` and `seed`, repeated where the clip is too short. A
    folder gives its pictures in natural order (2 before 10), hidden files and other files passed over, and when there
    are more than `frames`, that many chosen as from a clip. A list or an FHWC array gives exactly the frames that it
    holds: whoever made it has chosen.

    `respect_exif` turns photos and clips as their EXIF orientation or display matrix says; HEIC is always turned, by
    its decoder. `max_pixels` limits every single picture. `least_side` above 0 is for speed: a JPEG is then decoded at
    the smallest of 1/1, 1/2, 1/4, 1/8 of its size that leaves both sides at least so many pixels. Twice the side that
    the model looks at changes a value by 0.2 of 255 on average.

    Raises InputError (one line that begins with the source's name) with the codes `missing`, `unreadable`, `empty`,
    `no_pictures`, `unsupported`, `truncated`, `broken`, `too_large`, `no_video` and `frames`; MissingExtraError for
    HEIC or a clip without its package; ConfigError for options out of range.
    """
    # Checked here, whatever the source.
    look = Look("<input>", frames, sampling, seed, respect_exif, max_pixels, least_side)
    if isinstance(source, Image.Image):
        return _from_image(source, replace(look, name=_printable(str(getattr(source, "filename", "")) or "<image>")))
    if isinstance(source, np.ndarray):
        return _from_array(source, replace(look, name="<array>"))
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _from_file(io.BytesIO(source), replace(look, name="<bytes>"))
    if isinstance(source, (str, os.PathLike)):
        return _from_path(os.fsdecode(source), look)
    if hasattr(source, "read"):
        return _from_object(source, replace(look, name="<file>"))
    if isinstance(source, Sequence):
        return _from_list(source, look)
    kind = type(source).__name__
    raise InputError("unsupported", f"<{kind}>: a {kind} is not read: give a path, bytes, a PIL image or a uint8 array")


def clip_timeline(file: IO[bytes], *, name: str = "<file>", max_pixels: int = 40_000_000) -> Timeline | None:
    """When the frames of the clip in `file`, which can seek, come on screen, and so how long it is.

    Nothing that its header says of that is believed. None for a photo or an animation. Raises as `open_media` does.
    """
    look = Look(_printable(name), max_pixels=max_pixels)
    file.seek(0)
    return measure_clip(file, look) if _sniff(file, look) == "clip" else None


def open_stretches(
    file: IO[bytes],
    spans: Sequence[Span],
    timeline: Timeline | None = None,
    *,
    name: str = "<file>",
    frames: int = 6,
    sampling: Sampling = "uniform",
    seed: int = 0,
    respect_exif: bool = True,
    max_pixels: int = 40_000_000,
) -> Iterator[Stretch]:
    """See stretches of the clip in `file`, one after another, in one pass through it.

    `spans` are in seconds from the first frame, in order and apart. Each gives exactly `frames`, chosen as from a clip
    of its own that begins with the frame on screen then. Of a clip that ends early, those behind its end are left out.
    `timeline` is what `clip_timeline` gave, if it was asked. The rest is as in `open_media`.
    """
    look = Look(_printable(name), frames, sampling, seed, respect_exif, max_pixels)
    for (start, end), pictures, times in sample_spans(file, look, spans, timeline):
        shown = tuple(to_rgb(picture, look) for picture in pictures)
        yield Stretch(start, end, Media(shown, name, tuple(times)))


# ---- the ways in


def _from_path(path: str, look: Look) -> Media:
    """A file, a folder, or "-"; `source` of the result is the path as given, messages show it in one printable line."""
    if path == "-":
        if sys.stdin.isatty():
            raise InputError("empty", "-: nothing is piped in: write pixtell ... - < photo.jpg")
        return _from_file(io.BytesIO(sys.stdin.buffer.read()), replace(look, name="-"))
    look = replace(look, name=_printable(path) or "''")
    entries, file = None, None
    try:
        if os.path.isdir(path):
            entries = os.listdir(path)
        else:
            file = open(path, "rb")  # noqa: SIM115 - closed below, where other errors than opening's can come
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = ": addresses are not fetched, download it first" if "://" in path else ""
        raise look.bad("missing", f"no such file{hint}") from error
    except (OSError, ValueError) as error:
        raise look.bad("unreadable", f"it can't be opened: {_reason(error)}") from error
    if file is None:
        return replace(_from_folder(path, entries or [], look), source=path)
    with file:
        return replace(_from_object(file, look), source=path)


def _printable(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _from_object(file: IO[bytes], look: Look) -> Media:
    """A binary file object; one that can't seek (a pipe) is read to its end first."""
    try:
        if not isinstance(file.read(0), bytes):
            raise look.bad("unsupported", "the file gives text: open it in binary mode")
        place = file.tell()
        file.seek(0)
    except (AttributeError, TypeError, OSError):
        data = file.read()
        if not isinstance(data, bytes):
            raise look.bad("unsupported", f"the file gives {type(data).__name__}, not bytes") from None
        return _from_file(io.BytesIO(data), look)
    try:
        return _from_file(file, look)
    finally:
        file.seek(place)


def _from_file(file: IO[bytes], look: Look) -> Media:
    """A file that can seek and stands at its beginning."""
    kind = _sniff(file, look)
    if kind == "clip":
        pictures, times = sample_clip(file, look)
        pictures = [to_rgb(picture, look) for picture in pictures]
    else:
        pictures, times = read_photo(file, kind, look)
    return Media(tuple(pictures), look.name, tuple(times))


def _from_image(image: Image.Image, look: Look) -> Media:
    look.check_size(*image.size)
    with damage_reported(look):
        frame = upright_rgb(image, look)
    return Media((frame,), look.name, (0.0,))


def _from_array(array: np.ndarray[Any, Any], look: Look) -> Media:
    if array.dtype != np.uint8:
        raise look.bad(
            "unsupported",
            f"its values are {array.dtype}, not uint8 from 0 to 255: turn floats from 0 to 1 into them by "
            "(x * 255).round().astype('uint8')",
        )
    shape = " x ".join(map(str, array.shape))
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim not in (3, 4) or array.shape[-1] not in (1, 3, 4):
        raise look.bad("unsupported", f"its shape is {shape}: give HW, HWC or FHWC with 1, 3 or 4 channels, last")
    if 0 in array.shape:
        raise look.bad("empty", f"it holds no pixels, its shape is {shape}")
    height, width = array.shape[-3:-1]
    look.check_size(width, height)
    pictures = array.reshape(-1, height, width, array.shape[-1])
    if array.shape[-1] == 1:
        pictures = pictures[..., 0]
    frames = tuple(to_rgb(Image.fromarray(picture), look) for picture in pictures)
    return Media(frames, look.name, tuple(float(second) for second in range(len(frames))))


def _from_list(items: Sequence[Any], look: Look) -> Media:
    """The frames of a clip that the caller chose, each a photo in any form but a list."""
    name = "<1 frame>" if len(items) == 1 else f"<{len(items)} frames>"
    if not items:
        raise InputError("empty", f"{name}: the list holds no frames")
    frames: list[Image.Image] = []
    for place, item in enumerate(items, 1):
        if isinstance(item, (list, tuple)):
            raise InputError("frames", f"{name}: frame {place} is itself a list: give a flat list of photos")
        try:
            media = open_media(
                item,
                frames=2,
                respect_exif=look.upright,
                max_pixels=look.max_pixels,
                least_side=look.least_side,
            )
        except InputError as error:
            if isinstance(item, (str, os.PathLike)):
                raise
            raise InputError(error.code, f"{name}: frame {place}: {error}") from error
        if len(media.frames) > 1:
            raise InputError("frames", f"{media.source}: a clip can't be frame {place} of {len(items)}: give photos")
        frames += media.frames
    return Media(tuple(frames), name, tuple(float(second) for second in range(len(frames))))


def _from_folder(folder: str, entries: list[str], look: Look) -> Media:
    """A folder of frames: those of its entries whose content is a picture."""
    names = sorted((name for name in entries if not name.startswith(".")), key=_natural)
    paths = [path for path in (os.path.join(folder, name) for name in names) if os.path.isfile(path)]
    pictures = [path for path in paths if _is_picture(path)]
    if not pictures:
        found = f"{len(paths)} other files" if paths else "no files at all"
        raise look.bad("no_pictures", f"the folder holds no pictures ({found})")
    picks = list(range(len(pictures)))
    if len(picks) > look.frames:
        picks = pick(picks, len(picks), look)
    media = open_media(
        [pictures[i] for i in picks],
        respect_exif=look.upright,
        max_pixels=look.max_pixels,
        least_side=look.least_side,
    )
    return replace(media, times=tuple(float(i) for i in picks))


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Sort key that puts frame2 before frame10."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def _is_picture(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return _sniff(file, Look(path)) != "clip"
    except (OSError, InputError):
        return False


# ---- what a file is


def _sniff(file: IO[bytes], look: Look) -> Kind | Literal["clip"]:
    """Tell from its first bytes what `file` holds, and leave it at its beginning; say what it is when it's not ours."""
    try:
        head = file.read(4096)
        file.seek(0)
    except OSError as error:
        raise look.bad("unreadable", f"it can't be read: {_reason(error)}") from error
    if not head:
        raise look.bad("empty", "there is nothing in it (0 bytes)")
    for start, kind in _PICTURES:
        if head.startswith(start):
            return kind
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    if head[4:8] == b"ftyp":
        return _brand(head)
    if head[4:8] in _MOV_BOXES or head.startswith(_MATROSKA) or (head.startswith(b"RIFF") and head[8:11] == b"AVI"):
        return "clip"
    if head.startswith(_SOUNDS) or (head.startswith(b"RIFF") and head[8:12] == b"WAVE"):
        raise look.bad("no_video", "it holds sound and no picture: give a photo or a clip")
    raise look.bad("unsupported", f"it holds {_stranger(head)}, not a photo or clip that is read ({READABLE})")


def _brand(head: bytes) -> Kind | Literal["clip"]:
    """AVIF, HEIC or a clip: all three are files of boxes, told apart by the brands in the first."""
    brands = [head[8:12]]
    if brands[0] in (b"mif1", b"msf1"):  # "some picture": the brands it is compatible with tell which
        length = min(int.from_bytes(head[:4], "big"), len(head))
        brands = [head[place : place + 4] for place in range(16, length, 4)]
    if {b"avif", b"avis"} & set(brands):
        return "AVIF"
    if {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"} & {head[8:12], *brands}:
        return "HEIC"
    return "clip"


def _stranger(head: bytes) -> str:
    """Words for content that isn't read."""
    for start, words in _STRANGERS:
        if head.startswith(start):
            return words
    text = head.decode("utf-8", errors="ignore")  # ignore: the cut at 4096 may split a character
    if len(text.encode()) >= len(head) - 3 and all(c.isprintable() or c.isspace() for c in text):
        markup = text.lstrip("\ufeff \t\r\n").lower()
        if markup.startswith("<svg") or (markup.startswith("<?xml") and "<svg" in markup):
            return "an SVG drawing"
        return "a web page" if markup.startswith(("<!doctype html", "<html")) else "text"
    return "something unknown"
