"""A picture file becomes RGB frames with their times: one for a photo, several for an animation.

In: an open binary file whose kind is already known from its first bytes. Out: pictures as they are meant to be seen:
turned as their EXIF says, transparent parts over white, 16-bit and floating grey scaled (not cut off) to 8 bits.

The surprising thing: Pillow's decoders are called through its registry and not by `Image.open`. Only the one for the
sniffed kind can then run, and the size is checked against our limit before a pixel is decoded; the check inside
`Image.open` is set for the whole process, warns, and can't say width and height. Colour profiles are not applied: the
authors' preparation ignores them, and what a model learned from should be what it is shown.
"""

from __future__ import annotations

import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import IO, Any, Literal

import numpy as np
from PIL import Image, features

from pixtell.errors import MissingExtraError
from pixtell.look import Look, pick
from pixtell.video import ends_early

Kind = Literal["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "HEIC"]

_PLUGINS = {
    "JPEG": "JpegImagePlugin",
    "PNG": "PngImagePlugin",
    "WEBP": "WebPImagePlugin",
    "GIF": "GifImagePlugin",
    "TIFF": "TiffImagePlugin",
    "BMP": "BmpImagePlugin",
    "AVIF": "AvifImagePlugin",
}
_ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")  # a TIFF of many pages is a document, and its first page counts
_FREE = ("JPEG", "PNG", "BMP")  # decoded, their pictures hold no more than pixels; others keep decoders, or turn
_UNTIMED_MS = 100  # how long browsers show a frame whose duration is 0 or absent

# What decoders raise on damaged data; only their calls, and none of ours that could fail, stand where these are caught.
_DAMAGE: tuple[type[Exception], ...] = (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError)
_DAMAGE += (AttributeError, RuntimeError, AssertionError, EOFError, struct.error)

_ONE_AT_A_TIME = threading.Lock()

_ORIENTATION = 0x0112  # the EXIF tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BACK = {**_TURNS, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


def read_photo(file: IO[bytes], kind: Kind, look: Look) -> tuple[list[Image.Image], list[float]]:
    """Decode the picture of `kind` in `file`: RGB frames, and the second each comes on screen.

    A still picture gives one frame at 0.0. An animation gives `look.frames` of its frames, chosen by their durations
    as `video.pick` says; one that is cut off or damaged on the way gives those of its part that decodes.

    Raises InputError (`truncated`, `broken`, `too_large`) or, for HEIC without its package, MissingExtraError.
    """
    with damage_reported(look, file, kind):
        image = _open_header(file, kind, look)
        look.check_size(*image.size)
        if kind == "JPEG" and look.least_side:
            # The decoder then skips the finest frequencies: several times quicker, and below half a size hard to tell.
            image.draft(None, (look.least_side, look.least_side))
        if kind in _ANIMATED and getattr(image, "is_animated", False):
            durations = _durations(image, look)
            if len(durations) > 1:
                return _animation(image, durations, look)
            image.seek(_first(image))
        return [upright_rgb(image, look, own=_is_free(image, kind))], [0.0]


def _is_free(image: Image.Image, kind: Kind) -> bool:
    """Whether `image` holds no more than pixels once it is decoded. One of several, such as the JPEG of a telephone
    with a second picture behind the first, keeps its file for the others."""
    return kind in _FREE and not getattr(image, "is_animated", False)


def upright_rgb(image: Image.Image, look: Look, *, own: bool = False) -> Image.Image:
    """Decode `image` and return it as a new RGB picture, turned as its EXIF says when `look.upright`.

    `own` says that nobody else has `image`: where nothing is to be changed, it is returned itself. (A copy's memory,
    fresh from the system, would cost as much as the decoding.)
    """
    # Loading a TIFF warns of damaged tags; and it turns it, whatever the caller wants, and removes the tag.
    tiff_tags = getattr(image, "tag_v2", None)
    turned = tiff_tags.get(_ORIENTATION, 1) if tiff_tags else 1
    with nullcontext() if tiff_tags is None else _unwarned():
        image.load()
    # Only now: asking for a PNG's EXIF loads it, and a second load after a failed one would pass and give black.
    turn = _TURNS.get(_orientation(image)) if look.upright else _BACK.get(turned)
    rgb = to_rgb(image, look)
    if turn is not None:
        return rgb.transpose(turn)
    return rgb if own or rgb is not image else image.copy()


def to_rgb(image: Image.Image, look: Look) -> Image.Image:
    """The RGB picture of the same size of one in any of Pillow's modes, `image` itself if it is one; transparency lies
    over white."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _grey_8_bits(image)
    elif image.mode == "LAB":
        image = _lab_to_rgb(image, look)
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    if image.mode == "La":
        image = image.convert("LA")
    rgba = image.convert("RGBA")
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(rgba, mask=rgba.getchannel("A"))
    return white


@contextmanager
def damage_reported(look: Look, file: IO[bytes] | None = None, kind: Kind | None = None) -> Iterator[None]:
    """Turn what a decoder raises into one clear line: `truncated` where the data ends too early, else `broken`."""
    try:
        yield
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise look.bad("too_large", f"it has more than the {limit:.0f} megapixels at which Pillow stops") from error
    except _DAMAGE as error:
        if "truncated" in str(error).lower() or isinstance(error, EOFError) or (file and _ends_early(file, kind)):
            raise look.bad("truncated", "the picture is cut off before its end: copy or download it again") from error
        what = f"the {kind} data" if kind else "the picture"
        raise look.bad("broken", f"{what} can't be decoded: it is damaged or not what it says it is") from error


def _open_header(file: IO[bytes], kind: Kind, look: Look) -> Image.Image:
    """Read the header, and no more, with the decoder for `kind`."""
    if kind == "HEIC":
        return _open_heic(file, look)
    if kind == "WEBP":
        look.check_size(*_webp_size(file))  # its decoder allocates the picture as soon as it is made
    plugin = import_module(f"PIL.{_PLUGINS[kind]}")
    if not getattr(plugin, "SUPPORTED", True):
        raise MissingExtraError(f"{look.name}: this Pillow was built without {kind}: pip install --upgrade pillow")
    factory, _ = Image.OPEN[kind]
    with _unwarned():
        return factory(file, "")


@contextmanager
def _unwarned() -> Iterator[None]:
    """Keep Pillow from warning about damage that it copes with. Filters belong to the process: threads take turns."""
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _webp_size(file: IO[bytes]) -> tuple[int, int]:
    """Width and height from the first chunk of a WebP file (RFC 9649, sections 2.5 to 2.7); 0 x 0 when it has none."""
    head = file.read(30).ljust(30, b"\0")
    file.seek(0)
    if head[12:16] == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if head[12:16] == b"VP8 ":
        return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    return 0, 0


def _open_heic(file: IO[bytes], look: Look) -> Image.Image:
    """A HEIC photo by its plug-in, which turns it upright itself, always."""
    try:
        pillow_heif: Any = import_module("pillow_heif")
    except ImportError as error:
        raise MissingExtraError(
            f"{look.name}: a HEIC photo needs the package pillow-heif: pip install 'pixtell[heif]'"
        ) from error
    heif = pillow_heif.open_heif(file)
    look.check_size(*heif.size)
    image: Image.Image = heif.to_pillow()
    return image


def _durations(image: Image.Image, look: Look) -> list[int]:
    """Milliseconds of each frame of an animation, as far as it decodes; each is measured, as a GIF may grow."""
    durations: list[int] = []
    try:
        while True:
            image.seek(_first(image) + len(durations))
            look.check_size(*image.size)
            image.load()
            durations.append(round(image.info.get("duration") or _UNTIMED_MS))
    except _DAMAGE:
        if not durations:
            raise
        return durations


def _first(image: Image.Image) -> int:
    """The index of an animation's first frame: an animated PNG may hold another picture before it."""
    return int(getattr(image, "default_image", False))


def _animation(image: Image.Image, durations: list[int], look: Look) -> tuple[list[Image.Image], list[float]]:
    starts = [sum(durations[:i]) for i in range(len(durations))]
    picks = pick(starts, sum(durations), look)
    frames = {}
    for i in sorted(set(picks)):
        image.seek(_first(image) + i)
        frames[i] = upright_rgb(image, look)
    return [frames[i] for i in picks], [starts[i] / 1000 for i in picks]


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; a damaged EXIF block doesn't make a photo unreadable."""
    try:
        with _unwarned():
            value = image.getexif().get(_ORIENTATION, 1)
    except _DAMAGE:
        return 1
    return value if isinstance(value, int) else 1


def _grey_8_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits or floats as 8 bits: by the type's full range for 16 bits, by the values for the others.

    Values within 0..1 (floats), 0..255 and 0..65535 are taken as parts of those ranges; anything else is stretched from
    its smallest to its largest value.
    """
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))
    numbers = np.where(np.isfinite(values), values, 0).astype(np.float64)
    low, high = float(numbers.min()), float(numbers.max())
    if low < 0 or high > 65535:
        numbers = (numbers - low) / (high - low or 1) * 255
    elif image.mode == "F" and high <= 1:
        numbers = numbers * 255
    elif high > 255:
        numbers = numbers / 257
    return Image.fromarray(numbers.round().astype(np.uint8))


def _lab_to_rgb(image: Image.Image, look: Look) -> Image.Image:
    if not features.check("littlecms2"):
        raise MissingExtraError(
            f"{look.name}: a LAB picture needs Pillow with littlecms2: pip install --upgrade pillow"
        )
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    rgb = ImageCms.profileToProfile(
        image, ImageCms.ImageCmsProfile(lab), ImageCms.ImageCmsProfile(srgb), outputMode="RGB"
    )
    assert rgb is not None
    return rgb


def _ends_early(file: IO[bytes], kind: Kind | None) -> bool:
    """Whether the file is shorter than its own structure says, where Pillow's error doesn't tell."""
    if kind in ("AVIF", "HEIC", "WEBP"):
        return ends_early(file)
    size = file.seek(0, 2)
    file.seek(0)
    if kind == "PNG":
        return b"IEND" not in file.read()
    head = file.read(8).ljust(8, b"\0")
    return kind == "TIFF" and int.from_bytes(head[4:8], "little" if head[:2] == b"II" else "big") >= size
