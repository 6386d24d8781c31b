"""Pixels equal the hub's processors where those round as the authors do, and the authors' sizes where they don't."""

from __future__ import annotations

import io
import logging
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pixtell.config import CLIP_MEAN, CLIP_STD, HALF, PRESETS, PixelConfig
from pixtell.errors import InputError
from pixtell.pixels import aspect_size, to_pixels

VQA_BASE = PixelConfig(size=480, fit="aspect", max_size=640)
VQA_LARGE = PixelConfig(size=420, fit="aspect", max_size=560)
CLIP_FRAMES = PixelConfig(resample="bilinear", mean=HALF, std=HALF)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """A picture in which every pixel matters: noise over a gradient."""
    draw = np.random.default_rng(seed)
    values = draw.integers(0, 256, (height, width, 3)) // 2 + np.linspace(0, 127, width)[None, :, None]
    return Image.fromarray(values.astype(np.uint8))


def hub_processor(config: PixelConfig) -> Any:
    """The processor that the hub's preprocessor_config.json asks for, in its form without torchvision."""
    pytest.importorskip("transformers", reason="transformers is for the tests only, and not installed")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from transformers.models.videomae.image_processing_pil_videomae import VideoMAEImageProcessorPil

    kind = VideoMAEImageProcessorPil if config.resample == "bilinear" else CLIPImageProcessorPil
    return kind(
        size={"shortest_edge": config.size},
        crop_size={"height": config.size, "width": config.size},
        resample={"bicubic": 3, "bilinear": 2}[config.resample],
        image_mean=list(config.mean),
        image_std=list(config.std),
    )


def hub_pixels(frames: list[Image.Image], config: PixelConfig) -> torch.Tensor:
    pixels = hub_processor(config)(frames, return_tensors="pt").pixel_values
    return pixels[0] if pixels.ndim == 5 else pixels  # FCHW


SIZES = [(640, 480), (480, 640), (640, 426), (500, 333), (333, 500), (224, 224), (100, 100), (230, 224), (224, 232)]
SIZES += [(50, 400), (1, 7), (1, 1), (1000, 224)]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("config", [PixelConfig(), PixelConfig(size=480), CLIP_FRAMES], ids=["picture", "480", "clip"])
def test_crop_equals_the_hubs_processors(config: PixelConfig, width: int, height: int) -> None:
    frames = [noise(width, height, seed) for seed in range(2)]
    ours = to_pixels(frames, config)
    assert (ours.dtype, ours.shape, ours.is_contiguous()) == (torch.float32, (2, 3, config.size, config.size), True)
    assert torch.allclose(ours, hub_pixels(frames, config), rtol=0, atol=1e-6)


def authors_crop(frame: Image.Image, config: PixelConfig) -> torch.Tensor:
    """Resize, CenterCrop, ToTensor and Normalize written out pixel by pixel of the crop (torchvision's rules)."""
    width, height = frame.size
    if width <= height:
        size = (config.size, int(config.size * height / width))
    else:
        size = (int(config.size * width / height), config.size)
    values = np.asarray(frame.resize(size, Image.Resampling.BICUBIC)).astype(np.float64) / 255
    top, left = round((size[1] - config.size) / 2.0), round((size[0] - config.size) / 2.0)
    crop = values[top : top + config.size, left : left + config.size]
    return torch.tensor(((crop - config.mean) / config.std).transpose(2, 0, 1))[None]


@pytest.mark.parametrize("extra", range(9))
def test_the_crops_offset_is_the_authors(extra: int) -> None:
    """Halves go to the even side; the hub's processors round them down, so each 4th size differs by one pixel."""
    for frame in (noise(64 + extra, 64), noise(64, 64 + extra)):
        config = PixelConfig(size=64)
        ours = to_pixels([frame], config)
        assert torch.allclose(ours.double(), authors_crop(frame, config), rtol=0, atol=1e-5)
        same = torch.allclose(ours, hub_pixels([frame], config), rtol=0, atol=1e-6)
        assert same == (extra % 4 != 3)


@pytest.mark.parametrize(
    ("size", "config", "expected"),
    [
        ((640, 480), VQA_BASE, (480, 640)),
        ((640, 426), VQA_BASE, (426, 640)),
        ((640, 360), VQA_BASE, (360, 640)),
        ((640, 640), VQA_BASE, (480, 480)),
        ((480, 640), VQA_BASE, (640, 480)),
        ((426, 640), VQA_BASE, (640, 426)),
        ((480, 480), VQA_BASE, (480, 480)),
        ((320, 240), VQA_BASE, (480, 640)),
        ((1920, 1080), VQA_BASE, (360, 640)),
        ((500, 375), VQA_BASE, (480, 640)),
        ((640, 480), VQA_LARGE, (420, 560)),
        ((480, 640), VQA_LARGE, (560, 420)),
        ((640, 640), VQA_LARGE, (420, 420)),
        ((640, 360), VQA_LARGE, (315, 560)),
    ],
)
def test_aspect_sizes_are_the_authors(size: tuple[int, int], config: PixelConfig, expected: tuple[int, int]) -> None:
    """MinMaxResizeForTest: (width, height) in, (height, width) out."""
    pixels = to_pixels([noise(*size)], config)
    assert pixels.shape == (1, 3, *expected)
    assert aspect_size(*size, config) == expected[::-1]


def authors_size(image_size: tuple[int, int], size: int, max_size: int) -> tuple[int, int]:
    """The authors' rule (inference.py), said in our words: (width, height) to (width, height)."""
    width, height = image_size
    if max(image_size) / min(image_size) * size > max_size:
        size = round(max_size * min(image_size) / max(image_size))
    if min(image_size) == size:
        return image_size
    if width < height:
        return size, int(size * height / width)
    return int(size * width / height), size


def test_aspect_sizes_are_the_authors_for_every_shape() -> None:
    for config in (VQA_BASE, VQA_LARGE):
        assert config.max_size is not None
        for width in range(200, 700, 7):
            for height in range(200, 700, 11):
                expected = authors_size((width, height), config.size, config.max_size)
                assert aspect_size(width, height, config) == expected


def test_aspect_pixels_are_pillows_bicubic() -> None:
    frame = noise(500, 375)
    resized = np.asarray(frame.resize((640, 480), Image.Resampling.BICUBIC)) / 255
    expected = torch.tensor(((resized - CLIP_MEAN) / CLIP_STD).transpose(2, 0, 1))
    assert torch.allclose(to_pixels([frame], VQA_BASE)[0].double(), expected, rtol=0, atol=1e-5)


def test_squash_keeps_everything_and_no_shape() -> None:
    frame = noise(90, 40)
    config = PixelConfig(size=32, fit="squash", mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
    expected = (np.asarray(frame.resize((32, 32), Image.Resampling.BICUBIC)).astype(np.float64) - 127) / 128
    assert torch.allclose(to_pixels([frame], config)[0].double(), torch.tensor(expected.transpose(2, 0, 1)), atol=1e-5)


def test_frames_of_different_sizes_are_fine_where_the_fit_makes_them_equal() -> None:
    frames = [noise(60, 40), noise(40, 60), noise(10, 10)]
    for config in (PixelConfig(size=32), PixelConfig(size=32, fit="squash")):
        together = to_pixels(frames, config)
        assert together.shape == (3, 3, 32, 32)
        for frame, pixels_CHW in zip(frames, together, strict=True):
            assert torch.equal(to_pixels([frame], config)[0], pixels_CHW)
    config = PixelConfig(size=32, fit="aspect", max_size=64)
    assert to_pixels([noise(60, 40), noise(90, 60)], config).shape == (2, 3, 32, 48)


def test_frames_that_stay_different_are_told_with_their_sizes() -> None:
    config = PixelConfig(size=32, fit="aspect", max_size=64)
    with pytest.raises(InputError, match=r"^clip\.mp4: .*48 x 32, 32 x 48") as caught:
        to_pixels([noise(60, 40), noise(60, 40), noise(40, 60)], config, "clip.mp4")
    assert caught.value.code == "frames"
    with pytest.raises(InputError, match=r"^<frames>: there are no frames"):
        to_pixels([], config)


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (1, 1), (3, 9000)])
def test_extreme_shapes_are_cropped_without_being_built_whole(size: tuple[int, int]) -> None:
    frame = noise(*size)
    assert to_pixels([frame], PixelConfig()).shape == (1, 3, 224, 224)


@pytest.mark.parametrize("size", [(37, 900), (900, 37), (64, 64), (11, 5000)])
def test_cropping_a_part_is_building_it_whole_to_one_level(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = PixelConfig(size=64, mean=(0, 0, 0), std=(1, 1, 1))
    whole = to_pixels([noise(*size)], config)
    monkeypatch.setattr("pixtell.pixels._WHOLE_LIMIT", 0)
    part = to_pixels([noise(*size)], config)
    assert (whole - part).abs().max() <= 1 / 255 + 1e-6


@pytest.mark.parametrize(("size", "told"), [((1, 5000), "1 x 5000"), ((2000, 30), "666 x 10")])
def test_a_kept_aspect_that_leaves_no_patch_is_an_error(size: tuple[int, int], told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        to_pixels([noise(*size)], VQA_BASE)
    assert caught.value.code == "too_narrow"


def test_every_presets_pixels_can_be_made() -> None:
    frame = noise(64, 48)
    for preset in PRESETS.values():
        for config in (preset.authors_pixels, preset.hub_pixels):
            assert to_pixels([frame], config).shape[:2] == (1, 3)


def test_a_colour_keeps_its_place() -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (255, 128, 0)).save(file, "PNG")
    pixels = to_pixels([Image.open(file)], PixelConfig(size=4, mean=(0, 0, 0), std=(1, 1, 1)))
    assert pixels[0, :, 0, 0].tolist() == pytest.approx([1, 128 / 255, 0])
