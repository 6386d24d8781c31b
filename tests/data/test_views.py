"""Training views: inside the picture, as large as asked, mirrored only when allowed, moving in a straight line."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tiny_data import drawing

from pixtell.data.views import ASPECT_JITTER, crop, moving_views, random_box, random_view

PICTURE = drawing("red", "disc", (60, 40))


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
        assert np.array_equal(np.asarray(random_view(PICTURE, 32, random, flip=False, area=1.0)), whole)


def test_every_box_can_be_cut_out() -> None:
    """Pillow refuses a box that leaves the picture by as little as a rounding."""
    random = np.random.default_rng(1)
    for size in ((60, 40), (1, 1), (7, 3)):
        picture = Image.new("RGB", size)
        for _ in range(100):
            assert random_view(picture, 8, random, flip=True, area=0.3).size == (8, 8)


@pytest.mark.parametrize("flip", [False, True])
def test_mirror_images_only_when_allowed(flip: bool) -> None:
    random = np.random.default_rng(2)
    photos = [darker_on_the_left(random_view(PICTURE, 32, random, flip=flip, area=0.9)) for _ in range(60)]
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
        lambda random: [random_view(PICTURE, 24, random, flip=True, area=0.5)],
        lambda random: moving_views(PICTURE, 24, 4, random, flip=True),
    ):
        one, other, third = (make(np.random.default_rng(seed)) for seed in (5, 5, 6))
        assert [frame.tobytes() for frame in one] == [frame.tobytes() for frame in other]
        assert [frame.tobytes() for frame in one] != [frame.tobytes() for frame in third]
