"""Training views: inside the picture, as large as asked, mirrored only when allowed, moving in a straight line."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image
from tiny_data import drawing

from pixtell.data.views import ASPECT_JITTER, Shape, View, crop, moving_views, random_box, recoloured, square, views

PICTURE = drawing("red", "disc", (60, 40))


def one_view(picture: Image.Image, size: int, random: np.random.Generator, *, flip: bool, area: float) -> Image.Image:
    return views([picture], View(size, 1, "squash", area, flip), random)[0]


def darker_on_the_left(view: Image.Image) -> bool:
    grey = np.asarray(view.convert("L"), dtype=float)
    return bool(grey[:3, :4].mean() < grey[:3, -4:].mean())


@pytest.mark.parametrize("size", [(60, 40), (1, 1), (3, 997), (224, 224)])
@pytest.mark.parametrize("area", [0.05, 0.4, 0.7, 0.9, 1.0])
def test_boxes_lie_inside_and_keep_the_area(size: tuple[int, int], area: float) -> None:
    picture, random = Image.new("RGB", size), np.random.default_rng(0)
    shares = []
    for _ in range(300):
        left, top, right, bottom = random_box(picture, random, area)
        assert 0 <= left < right <= size[0] * (1 + 1e-12) and 0 <= top < bottom <= size[1] * (1 + 1e-12)
        shares.append((right - left) / size[0] * (bottom - top) / size[1])
        stretch = (right - left) / size[0] / ((bottom - top) / size[1])
        assert 1 / ASPECT_JITTER - 1e-9 <= stretch <= ASPECT_JITTER + 1e-9
    assert min(shares) >= area - 1e-9 and max(shares) <= 1 + 1e-9
    assert area == 1.0 or max(shares) - min(shares) > 0.5 * (1 - area), "the area wanders"


def test_the_whole_area_is_the_whole_picture() -> None:
    random = np.random.default_rng(0)
    whole = np.asarray(crop(PICTURE, (0, 0, *PICTURE.size), 32))
    for _ in range(5):
        assert np.array_equal(np.asarray(one_view(PICTURE, 32, random, flip=False, area=1.0)), whole)


def test_every_box_can_be_cut_out() -> None:
    """Pillow refuses a box that leaves the picture by as little as a rounding."""
    random = np.random.default_rng(1)
    for size in ((60, 40), (1, 1), (7, 3)):
        picture = Image.new("RGB", size)
        for _ in range(100):
            assert one_view(picture, 8, random, flip=True, area=0.3).size == (8, 8)


@pytest.mark.parametrize("flip", [False, True])
def test_mirror_images_only_when_allowed(flip: bool) -> None:
    random = np.random.default_rng(2)
    photos = [darker_on_the_left(one_view(PICTURE, 32, random, flip=flip, area=0.9)) for _ in range(60)]
    clips = [moving_views(PICTURE, 32, 3, random, flip=flip) for _ in range(40)]
    first_frames = [darker_on_the_left(clip[0]) for clip in clips]
    if not flip:
        assert all(photos)
        return
    assert 15 < sum(photos) < 45, "about half"
    assert 8 < sum(first_frames) < 32
    for clip in clips:
        assert len({darker_on_the_left(frame) for frame in clip}) == 1, "a clip is mirrored as a whole"


@pytest.mark.parametrize("frames", [1, 2, 6])
def test_a_clip_moves_in_a_straight_line(frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes: list[tuple[float, ...]] = []

    def noted(picture: Image.Image, box: tuple[float, float, float, float], size: int) -> Image.Image:
        boxes.append(box)
        return crop(picture, box, size)

    monkeypatch.setattr("pixtell.data.views.crop", noted)
    views = moving_views(PICTURE, 16, frames, np.random.default_rng(3), flip=False)
    assert [view.size for view in views] == [(16, 16)] * frames == [(16, 16)] * len(boxes)
    path = np.array(boxes)
    assert np.allclose(np.diff(path, n=2, axis=0), 0, atol=1e-9), "equal steps"
    if frames > 1:
        assert np.abs(path[-1] - path[0]).max() > 1, "it does move"
    assert path.min() >= 0 and (path[:, 2] <= 60 + 1e-9).all() and (path[:, 3] <= 40 + 1e-9).all()


def test_the_same_chance_gives_the_same_views() -> None:
    for make in (
        lambda random: [one_view(PICTURE, 24, random, flip=True, area=0.5)],
        lambda random: moving_views(PICTURE, 24, 4, random, flip=True),
    ):
        one, other, third = (make(np.random.default_rng(seed)) for seed in (5, 5, 6))
        assert [frame.tobytes() for frame in one] == [frame.tobytes() for frame in other]
        assert [frame.tobytes() for frame in one] != [frame.tobytes() for frame in third]


@pytest.mark.parametrize("size", [(100, 100), (110, 100), (100, 124), (400, 300), (97, 300), (1, 1), (5, 4)])
def test_squares_are_the_published_crops(size: tuple[int, int]) -> None:
    """0.8 to 1 of the area wherever such a square fits; the largest in the middle where none does."""
    picture, random = Image.new("RGB", size), np.random.default_rng(4)
    boxes = [square(picture, random, 0.8) for _ in range(200)]
    for left, top, right, bottom in boxes:
        assert right - left == bottom - top and 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]
    short, long = sorted(size)
    middle = ((size[0] - short) // 2, (size[1] - short) // 2, (size[0] + short) // 2, (size[1] + short) // 2)
    if short / long < 0.79:
        assert set(boxes) == {middle}
    elif short > 10:
        shares = [(right - left) ** 2 / (size[0] * size[1]) for left, _, right, _ in boxes]
        assert min(shares) > 0.78 and len(set(boxes)) > 20, "a side is rounded to whole pixels"


def test_a_square_shows_nothing_from_beside_it() -> None:
    """Bicubic looks two pixels around; the authors cut out first."""
    picture = Image.new("RGB", (80, 40), (255, 255, 255))
    picture.paste((10, 20, 30), (20, 0, 60, 40))
    view = views([picture], View(64), np.random.default_rng(0))[0]
    assert np.asarray(view).reshape(-1, 3).tolist() == [[10, 20, 30]] * 64 * 64


@pytest.mark.parametrize("shape", ["square", "squash"])
def test_a_clip_is_cropped_as_one(shape: Shape) -> None:
    frames = [PICTURE] * 5
    shown = views(frames, View(24, 5, shape, 0.5, flip=True), np.random.default_rng(7))
    assert len(shown) == 5 and len({frame.tobytes() for frame in shown}) == 1


def test_a_photo_among_clips_is_made_one() -> None:
    for shape in ("square", "squash"):
        shown = views([PICTURE], View(24, 4, shape), np.random.default_rng(8))
        assert [frame.size for frame in shown] == [(24, 24)] * 4
        assert len({frame.tobytes() for frame in shown}) > 1, "it moves"


def test_made_clips_of_square_models_keep_the_aspect(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes: list[tuple[float, ...]] = []
    monkeypatch.setattr("pixtell.data.views.crop", lambda picture, box, size: boxes.append(box) or picture)
    moving_views(PICTURE, 16, 6, np.random.default_rng(9), flip=False, shape="square")
    for left, top, right, bottom in boxes:
        assert right - left == pytest.approx(bottom - top) and right - left >= math.sqrt(0.4) * 40 - 1e-9


@pytest.mark.parametrize(("shape", "frames"), [("square", 1), ("squash", 1), ("square", 6), ("squash", 6)])
def test_no_view_is_smaller_than_told(shape: Shape, frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """`least_part` says at what scale a JPEG may be decoded."""
    boxes: list[tuple[float, ...]] = []
    monkeypatch.setattr("pixtell.data.views.crop", lambda picture, box, size: boxes.append(box) or picture)
    for size in ((300, 310), (200, 390), (700, 90)):
        view, random = View(16, frames, shape, 0.8), np.random.default_rng(10)
        boxes.clear()
        for _ in range(300):
            views([Image.new("RGB", size)], view, random)
        least = min(min(right - left, bottom - top) for left, top, right, bottom in boxes)
        assert least >= view.least_part * min(size) - 1


def test_jittered_colours_stay_within_the_share() -> None:
    """Brightness alone of a grey: contrast and saturation leave one grey as it is."""
    grey = Image.new("RGB", (4, 4), (100, 100, 100))
    random = np.random.default_rng(9)
    found = [recoloured([grey], 0.3, random)[0].getpixel((1, 2)) for _ in range(200)]
    assert all(isinstance(pixel, tuple) and len(set(pixel)) == 1 for pixel in found)
    levels = [pixel[0] for pixel in found if isinstance(pixel, tuple)]
    assert 69 <= min(levels) < 75 and 125 < max(levels) <= 131 and 95 < np.mean(levels) < 105


def test_jitter_changes_contrast_and_saturation_too() -> None:
    shown = [recoloured([PICTURE], 0.4, np.random.default_rng(seed))[0] for seed in range(30)]
    pixels = np.stack([np.asarray(view, dtype=float) for view in shown])
    assert np.ptp(pixels.std(axis=(1, 2, 3))) > 10, "contrast"
    red = pixels[:, 20, 30]
    ratio = (red[:, 0] - red[:, 1]) / red.mean(1)
    assert np.ptp(ratio) > 0.3, "saturation"


@pytest.mark.parametrize("frames", [1, 4])
def test_frames_of_a_clip_are_jittered_alike(frames: int) -> None:
    clip = [PICTURE] * 5
    plain, view = View(24, 5, area=1.0), View(24, 5, area=1.0, color_jitter=0.5)
    shown = views(clip, view, np.random.default_rng(3))
    assert len({frame.tobytes() for frame in shown}) == 1
    assert shown[0].tobytes() != views(clip, plain, np.random.default_rng(3))[0].tobytes()
    made, still = (
        views([PICTURE], View(24, frames, color_jitter=jitter), np.random.default_rng(4)) for jitter in (0.5, 0.0)
    )
    assert len(made) == frames and all(one.tobytes() != two.tobytes() for one, two in zip(made, still, strict=True))
