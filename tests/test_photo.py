"""Picture modes, animations and damage that the table of odd files doesn't reach."""

from __future__ import annotations

import io
import pickle
import struct
import warnings
from typing import Any

import numpy as np
import odd_files as odd
import pytest
from PIL import Image

from pixtell.errors import InputError
from pixtell.look import Look
from pixtell.photo import Kind, read_photo, to_rgb, upright_rgb

LOOK = Look("photo")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "HSV", "P"])
def test_colours_survive_every_mode(mode: str) -> None:
    picture = odd.quadrants()
    picture = picture.convert("RGBA").convert(mode) if mode == "RGBa" else picture.convert(mode)
    rgb = to_rgb(picture, LOOK)
    assert (rgb.mode, rgb.size, odd.read_quadrants(rgb)) == ("RGB", odd.SIZE, "RGBW")


@pytest.mark.parametrize("mode", ["L", "LA", "La", "1", "I", "F", "I;16"])
def test_greys_survive_every_mode(mode: str) -> None:
    grey = odd.quadrants("KWWK").convert("L")
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        picture = grey.convert("LA").convert(mode) if mode == "La" else grey.convert(mode)
    assert picture.mode == mode
    assert odd.read_quadrants(to_rgb(picture, LOOK)) == "KWWK"


@pytest.mark.parametrize("mode", ["RGBA", "RGBa", "LA", "La", "PA"])
def test_transparency_lies_over_white(mode: str) -> None:
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 127))
    path = {"RGBA": [], "RGBa": ["RGBa"], "LA": ["LA"], "La": ["LA", "La"], "PA": ["PA"]}[mode]
    for picture, expected in ((clear, 255), (half, 128)):
        for step in path:
            picture = picture.convert(step)
        assert picture.mode == mode
        assert to_rgb(picture, LOOK).getpixel((1, 1)) == (expected,) * 3


def test_16_bits_are_rounded_to_the_nearest_of_8() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = [[round(int(value) / 257) for value in row] for row in values]
    assert np.array_equal(np.asarray(to_rgb(Image.fromarray(values), LOOK))[..., 0], expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([0.0, 257.0, 65535.0], [0, 1, 255]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([0.0, 1e6, 2e6], [0, 128, 255]),
        ([float("nan"), float("inf"), 1.0], [0, 0, 255]),
        ([-1e-45, 0.0, 0.0], [0, 255, 255]),
    ],
)
def test_floats_are_scaled_by_the_range_they_are_in(values: list[float], expected: list[int]) -> None:
    picture = Image.fromarray(np.array([values], np.float32))
    assert [to_rgb(picture, LOOK).getpixel((x, 0))[0] for x in range(3)] == expected


def test_a_picture_is_copied_unless_it_is_our_own() -> None:
    """Ours, where it is right already, need not be; a caller's must, whatever is then done to it."""
    picture = odd.quadrants()
    assert to_rgb(picture, LOOK) is upright_rgb(picture, LOOK, own=True) is picture
    upright_rgb(picture, LOOK).putpixel((0, 0), (1, 2, 3))
    assert picture.getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP"])
def test_a_photo_stands_alone_when_its_file_is_closed(kind: Kind) -> None:
    """It is the decoder's picture itself, and no longer needs the decoder, here or in another process."""
    file = io.BytesIO()
    odd.quadrants().save(file, kind)
    file.seek(0)
    [frame], _ = read_photo(file, kind, LOOK)
    file.close()
    for one in (frame, pickle.loads(pickle.dumps(frame)), frame.copy()):
        one.load()
        assert (one.mode, one.size, odd.read_quadrants(one)) == ("RGB", odd.SIZE, "RGBW")


def test_a_photo_of_several_holds_its_file_no_longer() -> None:
    """Telephones write JPEGs with a second picture, of depth or of brightness, behind the first; so may PNGs."""
    file = io.BytesIO()
    odd.quadrants().save(file, "MPO", save_all=True, append_images=[Image.new("RGB", odd.SIZE)])
    assert Image.open(file).format == "MPO"
    one_frame = odd.animation("PNG", (100,) * 4)
    for content, kind in ((file.getvalue(), "JPEG"), (one_frame[: one_frame.index(b"fdAT") + 10], "PNG")):
        [frame], _ = read_photo(io.BytesIO(content), kind, LOOK)  # type: ignore[arg-type]
        assert not [name for name, value in vars(frame).items() if isinstance(value, io.BytesIO)]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF"])
def test_an_animation_is_sampled_by_its_durations(kind: str) -> None:
    data = odd.animation(kind, (100, 200, 300, 600))
    frames, times = read_photo(io.BytesIO(data), kind, LOOK)  # type: ignore[arg-type]
    assert [odd.read_bars(frame) for frame in frames] == [1, 2, 2, 3, 3, 3]
    assert times == [0.1, 0.3, 0.3, 0.6, 0.6, 0.6]


def test_an_animation_with_one_whole_frame_is_a_photo() -> None:
    data = odd.animation("PNG", (100,) * 4)
    second = data.index(b"fdAT")
    frames, times = read_photo(io.BytesIO(data[: second + 10]), "PNG", LOOK)
    assert ([odd.read_bars(frame) for frame in frames], times) == ([0], [0.0])


def test_an_animation_with_no_whole_frame_is_an_error() -> None:
    data = odd.animation("PNG", (100,) * 4)
    first = data.index(b"IDAT")
    damaged = data[: first + 6] + b"\xa5" * 20 + data[first + 26 :]
    with pytest.raises(InputError) as caught:
        read_photo(io.BytesIO(damaged), "PNG", LOOK)
    assert caught.value.code == "broken"


def grown_gif() -> bytes:
    """A GIF of 64 x 48 whose second frame says that it is 3000 x 3000."""
    data = bytearray(odd.animation("GIF", (100, 100, 100)))
    controls = [place for place in range(len(data)) if data[place : place + 3] == b"\x21\xf9\x04"]
    frame = controls[1] + 8  # the second frame begins behind its control block: 2c, left, top, width, height
    assert data[frame] == 0x2C
    data[frame : frame + 9] = b"\x2c" + struct.pack("<4H", 0, 0, 3000, 3000)
    return bytes(data)


def test_a_gif_that_grows_is_measured_again() -> None:
    with pytest.raises(InputError) as caught:
        read_photo(io.BytesIO(grown_gif()), "GIF", Look("photo", max_pixels=5_000_000))
    assert caught.value.code == "too_large"
    assert "3000 x 3000" in str(caught.value)


@pytest.mark.parametrize(
    "options", [{}, {"lossless": True}, {"exif": b"Exif\0\0II*\0"}], ids=["lossy", "lossless", "extended"]
)
def test_a_webp_is_measured_before_its_decoder_is_made(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making the decoder allocates the whole picture."""
    data = odd.saved(odd.quadrants(), "WEBP", **options)
    assert data[12:16] == {"lossless": b"VP8L", "exif": b"VP8X"}.get("".join(options), b"VP8 ")
    monkeypatch.setitem(Image.OPEN, "WEBP", (None, None))
    with pytest.raises(InputError, match="48 x 32") as caught:
        read_photo(io.BytesIO(data), "WEBP", Look("photo", max_pixels=1000))
    assert caught.value.code == "too_large"


def test_what_pillow_refuses_for_its_size_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GIF's later frames are checked by Pillow while they are read, against its own limit."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4_000_000)
    with pytest.raises(InputError, match="8 megapixels") as caught:
        read_photo(io.BytesIO(grown_gif()), "GIF", LOOK)
    assert caught.value.code == "too_large"


def test_the_limit_is_ours_not_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Image.open` would refuse this one; a caller who raises our limit is not held back by the process's."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    (frame,), _ = read_photo(io.BytesIO(odd.saved(odd.quadrants(), "PNG")), "PNG", LOOK)
    assert frame.size == odd.SIZE


def test_the_processes_warning_filters_are_left_alone() -> None:
    before = list(warnings.filters)
    read_photo(io.BytesIO(odd.saved(odd.quadrants(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")), "JPEG", LOOK)
    assert list(warnings.filters) == before
