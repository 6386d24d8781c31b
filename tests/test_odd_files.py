"""One table of odd photos and clips: what users have, and what becomes of each.

A row is a name, a function that makes the file's bytes, and what is expected: `Photo` (size and the letters of its four
quadrants), `Clip` (the numbers of the frames chosen from it and their times), or the code of the error.
"""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import odd_files as odd
import pytest
from PIL import Image, ImageCms

from pixtell.errors import InputError, MissingExtraError, PixtellError
from pixtell.media import open_media


@dataclass(frozen=True)
class Photo:
    letters: str = "RGBW"
    size: tuple[int, int] = odd.SIZE


@dataclass(frozen=True)
class Clip:
    numbers: list[int]
    times: list[float]
    size: tuple[int, int] = odd.CLIP_SIZE


@dataclass(frozen=True)
class Shown:
    """A clip whose frames all show these letters."""

    letters: str
    size: tuple[int, int] = odd.CLIP_SIZE


@dataclass(frozen=True)
class Part:
    """A truncated clip of `count` numbered frames, ten a second: some first part of it, sampled like a whole clip."""

    count: int
    size: tuple[int, int] = odd.CLIP_SIZE


Expected = Photo | Clip | Shown | Part | str
Row = tuple[str, Callable[[], bytes], Expected]

RGB = odd.quadrants()
GREY = odd.quadrants("KDLW").convert("L")
TWO = odd.quadrants("KWWK").convert("1")
BIG = odd.quadrants(size=(400, 300))
TWELVE = Clip([1, 3, 5, 7, 9, 11], [0.1, 0.3, 0.5, 0.7, 0.9, 1.1])
THIRTY = Clip([2, 7, 12, 17, 22, 27], [0.2, 0.7, 1.2, 1.7, 2.2, 2.7])


def lab() -> bytes:
    profiles = [ImageCms.ImageCmsProfile(ImageCms.createProfile(space)) for space in ("sRGB", "LAB")]
    picture = ImageCms.profileToProfile(odd.quadrants("DLWK"), *profiles, outputMode="LAB")
    assert picture is not None
    return odd.saved(picture, "TIFF")


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as output:
        output.writestr("photo.jpg", odd.saved(RGB, "JPEG"))
    return file.getvalue()


def blank_png(width: int, height: int) -> bytes:
    """A PNG whose header says its size truly, but that holds a single row."""
    return odd.png(width, height, 8, 0, [bytes(width)])


JPEGS: list[Row] = [
    *[(f"jpeg exif {o}", lambda o=o: odd.oriented("JPEG", o, quality=95), Photo()) for o in range(1, 9)],
    ("jpeg exif damaged", lambda: odd.saved(RGB, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), Photo()),
    ("jpeg progressive", lambda: odd.saved(RGB, "JPEG", progressive=True), Photo()),
    ("jpeg grey", lambda: odd.saved(GREY, "JPEG"), Photo("KDLW")),
    ("jpeg cmyk, adobe inverted", lambda: odd.saved(RGB.convert("CMYK"), "JPEG"), Photo()),
    ("jpeg with bytes after it", lambda: odd.saved(RGB, "JPEG") + b"\0" * 999, Photo()),
    ("jpeg of two pictures (mpo)", lambda: odd.saved(RGB, "MPO", save_all=True, append_images=[BIG]), Photo()),
    ("jpeg truncated", lambda: odd.saved(BIG, "JPEG")[:-800], "truncated"),
    ("jpeg with nothing after its mark", lambda: b"\xff\xd8\xff\xe0" + bytes(range(256)), "broken"),
]
PNGS: list[Row] = [
    ("png", lambda: odd.saved(RGB, "PNG"), Photo()),
    ("png exif 6", lambda: odd.oriented("PNG", 6), Photo()),
    ("png 16-bit grey", lambda: odd.saved(Image.fromarray(odd.greys("u2", 65535)), "PNG"), Photo("KDLW")),
    ("png 16-bit rgb", odd.png_16_bits_rgb, Photo()),
    ("png 1-bit", lambda: odd.saved(TWO, "PNG"), Photo("KWWK")),
    ("png palette", lambda: odd.saved(odd.palette(), "PNG"), Photo("RGBK")),
    ("png palette, red transparent", lambda: odd.saved(odd.palette(transparent=True), "PNG"), Photo("WGBK")),
    ("png rgb, red transparent", odd.png_colour_key, Photo("WGBW")),
    ("png rgba", lambda: odd.saved(odd.see_through(), "PNG"), Photo("WGBW")),
    ("png la", lambda: odd.saved(odd.see_through("LA"), "PNG"), Photo("W??W")),
    ("png 1 x 1", lambda: odd.saved(Image.new("RGB", (1, 1)), "PNG"), Photo("KKKK", (1, 1))),
    ("png 1 x 5000", lambda: odd.saved(Image.new("RGB", (1, 5000), "white"), "PNG"), Photo("WWWW", (1, 5000))),
    ("png of 41 megapixels", lambda: blank_png(8200, 5000), "too_large"),
    ("png bomb", lambda: blank_png(60000, 60000), "too_large"),
    ("png truncated", lambda: odd.saved(BIG, "PNG")[:-100], "truncated"),
    ("png damaged", lambda: odd.damaged(odd.saved(RGB, "PNG"), 0.4, 0.9), "broken"),
    ("png animated", lambda: odd.animation("PNG", (100,) * 12), TWELVE),
    (
        "png animated, a picture before it",
        lambda: odd.animation("PNG", (100,) * 13, default_image=True),
        Clip([2, 4, 6, 8, 10, 12], TWELVE.times),
    ),
    ("png animated, truncated", lambda: odd.half(odd.animation("PNG", (100,) * 12)), Part(12)),
]
OTHERS: list[Row] = [
    ("tiff", lambda: odd.saved(RGB, "TIFF"), Photo()),
    ("tiff exif 8", lambda: odd.oriented("TIFF", 8), Photo()),
    ("tiff lzw exif 5", lambda: odd.oriented("TIFF", 5, compression="tiff_lzw"), Photo()),
    ("tiff 16-bit grey", lambda: odd.saved(Image.fromarray(odd.greys("u2", 65535)), "TIFF"), Photo("KDLW")),
    (
        "tiff 16-bit grey, big-endian",
        lambda: odd.saved(Image.fromarray(odd.greys(">u2", 65535)), "TIFF"),
        Photo("KDLW"),
    ),
    ("tiff 32-bit grey", lambda: odd.saved(Image.fromarray(odd.greys("i4", 65535)), "TIFF"), Photo("KDLW")),
    ("tiff float 0..1", lambda: odd.saved(Image.fromarray(odd.greys("f4", 1)), "TIFF"), Photo("KDLW")),
    ("tiff float 0..255", lambda: odd.saved(Image.fromarray(odd.greys("f4", 255)), "TIFF"), Photo("KDLW")),
    ("tiff float -50..50", lambda: odd.saved(Image.fromarray(odd.greys("f4", 100) - 50), "TIFF"), Photo("KDLW")),
    ("tiff cmyk", lambda: odd.saved(RGB.convert("CMYK"), "TIFF"), Photo()),
    ("tiff ycbcr", lambda: odd.saved(RGB.convert("YCbCr"), "TIFF", compression="jpeg"), Photo()),
    ("tiff lab", lab, Photo("DLWK")),
    ("tiff fax", lambda: odd.saved(TWO, "TIFF", compression="group4"), Photo("KWWK")),
    ("tiff of two pages", lambda: odd.saved(RGB, "TIFF", save_all=True, append_images=[BIG]), Photo()),
    ("tiff truncated", lambda: odd.saved(BIG, "TIFF")[:-9000], "truncated"),
    ("bmp", lambda: odd.saved(RGB, "BMP"), Photo()),
    ("bmp palette", lambda: odd.saved(odd.palette(), "BMP"), Photo("RGBK")),
    ("bmp truncated", lambda: odd.saved(BIG, "BMP")[:-9000], "truncated"),
    ("gif", lambda: odd.saved(RGB, "GIF"), Photo()),
    ("gif, red transparent", lambda: odd.saved(odd.palette(), "GIF", transparency=0), Photo("WGBK")),
    ("gif truncated", lambda: odd.saved(BIG, "GIF")[:-400], "truncated"),
    ("gif animated", lambda: odd.animation("GIF", (100,) * 12), TWELVE),
    ("gif animated, without durations", lambda: odd.animation("GIF", (0,) * 12), TWELVE),
    (
        "gif animated, held at the end",
        lambda: odd.animation("GIF", (100, 100, 100, 700)),
        Clip([0, 2, 3, 3, 3, 3], [0.0, 0.2, 0.3, 0.3, 0.3, 0.3]),
    ),
    ("gif animated, truncated", lambda: odd.half(odd.animation("GIF", (100,) * 12)), Part(12)),
    ("webp", lambda: odd.saved(RGB, "WEBP", quality=90), Photo()),
    ("webp lossless", lambda: odd.saved(RGB, "WEBP", lossless=True), Photo()),
    ("webp rgba", lambda: odd.saved(odd.see_through(), "WEBP", lossless=True), Photo("WGBW")),
    ("webp exif 6", lambda: odd.oriented("WEBP", 6), Photo()),
    ("webp truncated", lambda: odd.saved(BIG, "WEBP")[:-100], "truncated"),
    ("webp animated", lambda: odd.animation("WEBP", (100,) * 12, lossless=True), TWELVE),
    ("avif", lambda: odd.saved(RGB, "AVIF"), Photo()),
    ("avif rgba", lambda: odd.saved(odd.see_through(), "AVIF"), Photo("WGBW")),
    ("avif exif 6", lambda: odd.oriented("AVIF", 6), Photo()),
    ("avif truncated", lambda: odd.saved(BIG, "AVIF")[:-100], "truncated"),
    ("avif animated", lambda: odd.animation("AVIF", (100,) * 12), TWELVE),
]
STRANGERS: list[Row] = [
    ("empty", lambda: b"", "empty"),
    ("text", lambda: "Grüße, a photo of my dog\n".encode() * 999, "unsupported"),
    ("text that begins with BM", lambda: b"BMW is a car maker of Munich, and this is text.", "unsupported"),
    ("pdf", lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "unsupported"),
    ("svg", lambda: b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "unsupported"),
    ("html", lambda: b"<!DOCTYPE html><html><title>404</title></html>", "unsupported"),
    ("zip", archive, "unsupported"),
    ("random bytes", lambda: np.random.default_rng(1).bytes(5000), "unsupported"),
    ("zeros", lambda: bytes(5000), "unsupported"),
    ("ffconcat", lambda: b"ffconcat version 1.0\nfile '/etc/passwd'\n", "unsupported"),
    ("m3u8", lambda: b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "unsupported"),
    ("m3u8 behind an mp4's first box", lambda: b"\0\0\0\x10ftypisom\0\0\0\0#EXTM3U\n/etc/passwd\n", "truncated"),
    ("jpeg xl", lambda: b"\xff\x0a" + bytes(100), "unsupported"),
    ("mpeg stream", lambda: b"\x00\x00\x01\xba" + bytes(100), "unsupported"),
    ("mp3", lambda: b"ID3\x04" + bytes(100), "no_video"),
    ("wav", lambda: b"RIFF\x24\0\0\0WAVEfmt " + bytes(28), "no_video"),
]
BROKEN_CLIPS: list[Row] = [
    ("mp4 of sound only", odd.sound, "no_video"),
    ("mkv of sound only", lambda: odd.sound("matroska"), "no_video"),
    ("m4a with a cover picture", lambda: odd.sound("mp4", cover=True), "no_video"),
    ("mp4 truncated before its index", lambda: odd.clip()[:900], "truncated"),
    ("mp4 truncated in its index", lambda: odd.clip(codec="libx264", fragmented=True)[:100], "truncated"),
    ("mp4 of an unknown codec", lambda: odd.clip(codec="libx264").replace(b"avc1", b"zzzz"), "unsupported"),
    ("mp4 with 8 bytes", lambda: b"\0\0\0\x20ftyp", "truncated"),
    ("mov with a wrong index", lambda: odd.patched(odd.clip(), b"stsz", 8, 100_000), "broken"),
    ("avi truncated in its header", lambda: odd.clip("avi")[:200], "truncated"),
    ("mkv truncated in its header", lambda: odd.clip("matroska", "ffv1")[:100], "broken"),
    ("mkv with a damaged middle", lambda: odd.damaged(odd.clip("matroska", "ffv1"), 0.1, 0.98), "broken"),
    ("webm of random bytes", lambda: b"\x1a\x45\xdf\xa3" + np.random.default_rng(1).bytes(5000), "broken"),
]


def colours(turn: tuple[float, bool] = (0, False), **options: Any) -> bytes:
    return odd.clip(count=2, draw=odd.draw_quadrants, turn=turn, **options)


def see_through(codec: str, pixels: str) -> bytes:
    return odd.clip("mov", codec, pixels=pixels, draw=odd.draw_see_through, count=2)


CLIPS: list[Row] = [
    ("mp4 mpeg4", odd.clip, TWELVE),
    ("mp4 h264", lambda: odd.clip(codec="libx264"), TWELVE),
    ("mp4 h264 in fragments", lambda: odd.clip(codec="libx264", fragmented=True), TWELVE),
    ("mp4 hevc 10-bit", lambda: odd.clip(codec="libx265", pixels="yuv420p10le"), TWELVE),
    ("3gp", lambda: odd.clip("3gp"), TWELVE),
    ("mov prores 10-bit", lambda: odd.clip("mov", "prores", pixels="yuv422p10le"), TWELVE),
    ("mkv ffv1", lambda: odd.clip("matroska", "ffv1"), TWELVE),
    ("mkv h264", lambda: odd.clip("matroska", "libx264"), TWELVE),
    ("webm vp8", lambda: odd.clip("webm", "libvpx"), TWELVE),
    ("webm vp9", lambda: odd.clip("webm", "libvpx-vp9"), TWELVE),
    ("avi mjpeg", lambda: odd.clip("avi", "mjpeg", pixels="yuvj420p"), TWELVE),
    ("avi mpeg4", lambda: odd.clip("avi"), TWELVE),
    ("avi h264, its times in disorder", lambda: odd.clip("avi", "libx264", count=30), THIRTY),
    ("mov qtrle with alpha", lambda: see_through("qtrle", "argb"), Shown("WGBW")),
    ("mov png with alpha", lambda: see_through("png", "rgba"), Shown("WGBW")),
    ("1 frame", lambda: odd.clip(count=1), Clip([0] * 6, [0.0] * 6)),
    ("3 frames", lambda: odd.clip(count=3), Clip([0, 0, 1, 1, 2, 2], [0.0, 0.0, 0.1, 0.1, 0.2, 0.2])),
    (
        "600 frames",
        lambda: odd.clip(codec="libx264", count=600),
        Clip([50, 150, 250, 350, 450, 550], [5.0, 15.0, 25.0, 35.0, 45.0, 55.0]),
    ),
    (
        "variable frame rate",
        lambda: odd.clip(codec="libx264", ticks=(0, 1, 2, 3, 40, 41, 42, 43)),
        Clip([3, 3, 3, 3, 3, 4], [0.3, 0.3, 0.3, 0.3, 0.3, 4.0]),
    ),
    ("first time not 0, mp4", lambda: odd.clip(codec="libx264", start=1000), TWELVE),
    ("first time not 0, mkv", lambda: odd.clip("matroska", "libx264", start=1000), TWELVE),
    (
        "odd sides",
        lambda: odd.clip("avi", "mjpeg", pixels="yuvj420p", size=(65, 49)),
        Clip(TWELVE.numbers, TWELVE.times, (65, 49)),
    ),
    ("turned 90", lambda: colours((90, False)), Shown("GWRB", (48, 64))),
    ("turned 180", lambda: colours((180, False)), Shown("WBGR")),
    ("turned 270", lambda: colours((270, False)), Shown("BRWG", (48, 64))),
    ("turned 270, mkv", lambda: colours((270, False), container="matroska"), Shown("BRWG", (48, 64))),
    ("mirrored", lambda: colours((0, True)), Shown("GRWB")),
    ("turned 90 and mirrored", lambda: colours((90, True)), Shown("WGBR", (48, 64))),
    ("turned 45, left alone", lambda: colours((45, False)), Shown("RGBW")),
    ("duration of a millisecond", lambda: odd.patched(odd.clip(count=30), b"mvhd", 16, 1), THIRTY),
    ("duration of 24 days", lambda: odd.patched(odd.clip(count=30), b"mvhd", 16, 2**31 - 1), THIRTY),
    ("track's duration wrong", lambda: odd.patched(odd.clip(count=30), b"mdhd", 16, 2**31 - 1), THIRTY),
    ("number of frames wrong", lambda: odd.patched(odd.clip(count=30), b"stts", 8, 100_000), THIRTY),
    ("avi's number of frames wrong", lambda: odd.patched(odd.clip("avi", count=30), b"avih", 20, 2**24), THIRTY),
    ("mkv truncated", lambda: odd.half(odd.clip("matroska", "ffv1", count=30)), Part(30)),
    ("avi truncated", lambda: odd.half(odd.clip("avi", "mjpeg", pixels="yuvj420p", count=30)), Part(30)),
    ("webm truncated", lambda: odd.half(odd.clip("webm", "libvpx-vp9", count=30)), Part(30)),
]


def read(data: bytes, tmp_path: Path, way: str) -> Any:
    """The same file by each way in: bytes, a file object, or a path whose extension says nothing or something wrong."""
    if way == "bytes":
        return open_media(data)
    if way == "file object":
        return open_media(io.BytesIO(data))
    path = tmp_path / f"an odd file, ünïcode{way}"
    path.write_bytes(data)
    return open_media(path)


@pytest.mark.parametrize("way", ["bytes", "file object", "", ".jpg", ".mp4"])
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(make, expected, id=name)
        for name, make, expected in JPEGS + PNGS + OTHERS + STRANGERS + BROKEN_CLIPS + CLIPS
    ],
)
def test_odd_file(make: Callable[[], bytes], expected: Expected, way: str, tmp_path: Path) -> None:
    data = make()
    if isinstance(expected, str):
        with pytest.raises(InputError) as caught:
            read(data, tmp_path, way)
        message = str(caught.value)
        assert caught.value.code == expected
        assert "\n" not in message
        assert message.startswith({"bytes": "<bytes>: ", "file object": "<file>: "}.get(way, str(tmp_path)))
        return
    media = read(data, tmp_path, way)
    assert {frame.mode for frame in media.frames} == {"RGB"}
    assert {frame.size for frame in media.frames} == {expected.size}
    if isinstance(expected, Clip):
        assert [odd.read_bars(frame) for frame in media.frames] == expected.numbers
        assert media.times == pytest.approx(expected.times)
    elif isinstance(expected, Part):
        numbers = [odd.read_bars(frame) for frame in media.frames]
        parts = [[(2 * part + 1) * length // 12 for part in range(6)] for length in range(2, expected.count)]
        assert numbers in parts
        assert media.times == pytest.approx([number / 10 for number in numbers])
    elif isinstance(expected, Shown):
        assert {odd.read_quadrants(frame) for frame in media.frames} == {expected.letters}
        assert len(media.frames) == 6
    else:
        assert [odd.read_quadrants(frame) for frame in media.frames] == [expected.letters]
        assert media.times == (0.0,)


def test_the_table_is_long_enough() -> None:
    assert len({name for name, _, _ in JPEGS + PNGS + OTHERS + STRANGERS + BROKEN_CLIPS + CLIPS}) >= 60


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_exif_rotation_can_be_switched_off(kind: str) -> None:
    (frame,) = open_media(odd.oriented(kind, 6), respect_exif=False).frames
    assert (frame.size, odd.read_quadrants(frame)) == ((32, 48), "GWRB")


def test_a_clips_rotation_can_be_switched_off() -> None:
    media = open_media(colours((90, False)), respect_exif=False)
    assert {(frame.size, odd.read_quadrants(frame)) for frame in media.frames} == {(odd.CLIP_SIZE, "RGBW")}


def test_a_gif_frame_is_removed_as_it_says() -> None:
    media = open_media(odd.gif_disposal(), frames=3)
    assert [odd.read_quadrants(frame) for frame in media.frames] == ["RGBW", "KGBW", "RGBW"]


HEIC_HEAD = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(100)


def test_heic_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MissingExtraError, match=r"^<bytes>: .*pip install 'pixtell\[heif\]'$"):
        open_media(HEIC_HEAD)


def test_heic_with_its_package() -> None:
    heif = pytest.importorskip("pillow_heif", reason="the heif extra is not installed")
    file = io.BytesIO()
    heif.from_pillow(RGB).save(file, quality=90)
    (frame,) = open_media(file.getvalue()).frames
    assert (frame.size, odd.read_quadrants(frame)) == (odd.SIZE, "RGBW")
    with pytest.raises(InputError) as caught:
        open_media(HEIC_HEAD)
    assert caught.value.code in ("broken", "truncated")


@pytest.mark.parametrize("seed", range(8))
def test_random_damage_never_gets_past_our_errors(seed: int) -> None:
    """A picture may survive a few wrong bytes; if it doesn't, one of our errors says so."""
    draw = np.random.default_rng(seed)
    for name, make, _ in JPEGS + PNGS + OTHERS + CLIPS[:12]:
        data = bytearray(make())
        for _ in range(draw.integers(1, 8)):
            data[draw.integers(len(data))] = draw.integers(256)
        try:
            frames = open_media(bytes(data[: draw.integers(len(data) // 2, len(data) + 1)]), frames=2).frames
        except PixtellError as error:
            assert str(error).startswith("<bytes>: "), name
        else:
            assert all(frame.mode == "RGB" for frame in frames), name
