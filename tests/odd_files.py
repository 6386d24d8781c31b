"""Makes the odd photos and clips of `test_odd_files.py`, in memory, and reads back what they show.

A photo has four quadrants whose colours are letters, read from left to right and top to bottom: "RGBW" is red, green,
blue, white; K, D, L, W are greys of 0, 85, 170 and 255. A frame of a clip has four bars whose greys spell its number in
base 8, so that every frame of a clip can be told from every other one, whatever the codec loses.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import av
import numpy as np
from PIL import Image

COLOURS = {
    "R": (255, 0, 0),
    "G": (0, 255, 0),
    "B": (0, 0, 255),
    "K": (0, 0, 0),
    "D": (85, 85, 85),
    "L": (170, 170, 170),
    "W": (255, 255, 255),
}
SIZE = (48, 32)
CLIP_SIZE = (64, 48)


# ---- photos


def quadrants(letters: str = "RGBW", size: tuple[int, int] = SIZE) -> Image.Image:
    """A picture of four quadrants."""
    width, height = size
    picture = Image.new("RGB", size)
    boxes = [(0, 0), (width // 2, 0), (0, height // 2), (width // 2, height // 2)]
    for letter, (left, top) in zip(letters, boxes, strict=True):
        picture.paste(COLOURS[letter], (left, top, left + width // 2, top + height // 2))
    return picture


def read_quadrants(picture: Image.Image) -> str:
    """The letters that a picture shows, `?` for a colour that is none of them."""
    width, height = picture.size
    letters = ""
    for x, y in ((1, 1), (3, 1), (1, 3), (3, 3)):
        seen = np.array(picture.getpixel((x * width // 4, y * height // 4)))
        near = [letter for letter, colour in COLOURS.items() if np.abs(seen - colour).max() <= 16]
        letters += near[0] if near else "?"
    return letters


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of a picture file."""
    file = io.BytesIO()
    # Of copies: Pillow leaves one format's settings on a picture, and another format trips over them.
    if "append_images" in options:
        options["append_images"] = [other.copy() for other in options["append_images"]]
    picture.copy().save(file, kind, **options)
    return file.getvalue()


def oriented(kind: str, orientation: int, **options: Any) -> bytes:
    """A photo that shows RGBW (48 x 32) once it is turned as its EXIF orientation says."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    picture = quadrants()
    if orientation in undo:
        picture = picture.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(picture, kind, exif=exif, **options)


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, bits: int, colour_type: int, rows: Sequence[bytes], *extra: bytes) -> bytes:
    """A PNG written by hand, for what Pillow doesn't write."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 1)
    return b"\x89PNG\r\n\x1a\n" + b"".join([chunk(b"IHDR", header), *extra, chunk(b"IDAT", data), chunk(b"IEND", b"")])


def png_16_bits_rgb() -> bytes:
    """A PNG of 16 bits a colour."""
    values = np.asarray(quadrants()).astype(">u2") * 257
    return png(*SIZE, 16, 2, [row.tobytes() for row in values])


def png_colour_key() -> bytes:
    """An RGB PNG whose pure red is said to be transparent."""
    rows = [row.tobytes() for row in np.asarray(quadrants())]
    return png(*SIZE, 8, 2, rows, chunk(b"tRNS", struct.pack(">3H", 255, 0, 0)))


def greys(dtype: str, scale: float) -> np.ndarray[Any, Any]:
    """Quadrants K, D, L, W as numbers: grey / 255 times `scale`."""
    return (np.asarray(quadrants("KDLW").convert("L")) / 255 * scale).astype(dtype)


def palette(transparent: bool = False) -> Image.Image:
    """A picture of 4 colours by number; with `transparent`, its first colour, red, is."""
    picture = Image.new("P", SIZE)
    picture.putpalette([number for letter in "RGBK" for number in COLOURS[letter]])
    picture.putdata((np.asarray(quadrants("KDLW").convert("L")) // 85).flatten().tolist())
    if transparent:
        picture.info["transparency"] = bytes([0, 255, 255, 255])
    return picture


def see_through(mode: str = "RGBA") -> Image.Image:
    """RGBW with an alpha of 0 in the red quadrant."""
    picture = quadrants().convert("RGBA")
    picture.paste((255, 0, 0, 0), (0, 0, SIZE[0] // 2, SIZE[1] // 2))
    return picture.convert(mode)


@cache
def animation(kind: str, durations: tuple[int, ...], **options: Any) -> bytes:
    """An animated picture whose frames show their numbers, each for its duration in milliseconds."""
    first, *others = [Image.fromarray(bars(number)) for number in range(len(durations))]
    return saved(first, kind, save_all=True, append_images=others, duration=list(durations), loop=0, **options)


def gif_disposal() -> bytes:
    """A GIF whose second frame covers a quarter of the first and is then removed again."""
    base, patch = quadrants("RGBW"), quadrants("KKKK", (24, 16))
    overlay = base.copy()
    overlay.paste(patch, (0, 0))
    return saved(base, "GIF", save_all=True, append_images=[overlay, base], duration=100, disposal=[1, 3, 1])


# ---- clips


def bars(number: int, size: tuple[int, int] = CLIP_SIZE) -> np.ndarray[Any, Any]:
    """The picture of a frame's number: four vertical bars, the first digit left."""
    width, height = size
    picture = np.zeros((height, width, 3), np.uint8)
    for place in range(4):
        digit = number // 8 ** (3 - place) % 8
        picture[:, place * width // 4 : (place + 1) * width // 4] = 16 + 32 * digit
    return picture


def read_bars(picture: Image.Image) -> int:
    """The number that a frame shows."""
    width, height = picture.size
    greys = [picture.getpixel(((2 * place + 1) * width // 8, height // 2))[1] for place in range(4)]
    return sum(round((grey - 16) / 32) * 8 ** (3 - place) for place, grey in enumerate(greys))


QUIET = {"libx265": {"x265-params": "log-level=none"}}


@cache
def clip(
    container: str = "mp4",
    codec: str = "mpeg4",
    *,
    count: int = 12,
    rate: int = 10,
    ticks: tuple[int, ...] | None = None,
    pixels: str = "yuv420p",
    size: tuple[int, int] = CLIP_SIZE,
    gop: int = 12,
    turn: tuple[float, bool] = (0, False),
    draw: Callable[[int, tuple[int, int]], np.ndarray[Any, Any]] = bars,
    start: int = 0,
    fragmented: bool = False,
) -> bytes:
    """A clip of numbered frames; `ticks` are their times in units of 1 / `rate` seconds (else one after another).

    `turn` is the display matrix: degrees counter-clockwise, and whether it mirrors left and right.
    """
    file = io.BytesIO()
    flags = {"movflags": "frag_keyframe+empty_moov"} if fragmented else {}
    with av.open(file, "w", format=container, options=flags) as output:
        stream = output.add_stream(codec, rate=rate, options=QUIET.get(codec, {}))
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        stream.gop_size = gop
        if turn != (0, False):
            stream.set_display_rotation(turn[0], hflip=turn[1])
        for number in range(count if ticks is None else len(ticks)):
            picture = draw(number, size)
            frame = av.VideoFrame.from_ndarray(picture, format="rgba" if picture.shape[2] == 4 else "rgb24")
            frame.pts = start + (number if ticks is None else ticks[number])
            frame.time_base = Fraction(1, rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def draw_quadrants(number: int, size: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Frames that all show RGBW."""
    return np.asarray(quadrants(size=size))


def draw_see_through(number: int, size: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Frames that show RGBW with the red transparent."""
    return np.asarray(see_through().resize(size, Image.Resampling.NEAREST))


@cache
def sound(container: str = "mp4", cover: bool = False) -> bytes:
    """A second of silence, with a cover picture when asked."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream("aac", rate=8000, layout="mono")
        image = output.add_stream("mjpeg", rate=1) if cover else None
        if image is not None:
            image.width, image.height, image.pix_fmt = 48, 32, "yuvj420p"
            image.disposition = av.stream.Disposition.attached_pic
            packets = image.encode(av.VideoFrame.from_image(quadrants()))
            output.mux([*packets, *image.encode(None)])
        for place in range(8):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1000), np.float32), format="fltp", layout="mono")
            frame.rate, frame.pts = 8000, 1000 * place
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def patched(data: bytes, box: bytes, offset: int, value: int) -> bytes:
    """The mp4 with a 32-bit number changed, `offset` bytes after the name of the first `box`."""
    place = data.index(box) + 4 + offset
    return data[:place] + struct.pack(">I", value) + data[place + 4 :]


def damaged(data: bytes, first: float, last: float) -> bytes:
    """The file with the bytes between two of its parts (0 to 1) overwritten."""
    start, end = int(len(data) * first), int(len(data) * last)
    return data[:start] + b"\xa5" * (end - start) + data[end:]


def half(data: bytes) -> bytes:
    """The first half of a file."""
    return data[: len(data) // 2]
