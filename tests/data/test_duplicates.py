"""Pictures that look alike, and quick search against slow."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny_data import jpeg, noise

from pixtell.data.duplicates import BITS, NEAR, Likenesses, look_hash


def distance(one: Image.Image, other: Image.Image) -> int:
    first, second = look_hash(one), look_hash(other)
    assert first is not None and second is not None
    return (first ^ second).bit_count()


def test_bits_by_hand() -> None:
    """Brighter to the right in every field, and nowhere below: 64 ones and 64 zeros."""
    ramp = Image.fromarray(np.tile(np.arange(0, 252, 28, dtype=np.uint8), (9, 1)))
    assert look_hash(ramp) == (2**64 - 1) << 64
    assert look_hash(ramp.transpose(Image.Transpose.ROTATE_270)) == 2**64 - 1, "and from above to below"


def test_the_same_picture_otherwise_saved_looks_the_same() -> None:
    for seed in range(20):
        picture = noise((200, 160), seed)
        smaller = Image.open(io.BytesIO(jpeg(picture.resize((100, 80)), 50)))
        assert distance(picture, smaller) <= NEAR
        assert distance(picture, picture.point(lambda value: value * 0.8)) <= NEAR


def test_other_pictures_do_not() -> None:
    pictures = [noise((90, 90), seed) for seed in range(30)]
    pairs = [(one, other) for i, one in enumerate(pictures) for other in pictures[:i]]
    assert min(distance(one, other) for one, other in pairs) > 2 * NEAR
    mirrored = [distance(picture, picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) for picture in pictures]
    assert min(mirrored) > NEAR, "a mirror image is another picture"


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_flat_picture_has_no_look(level: int) -> None:
    assert look_hash(Image.new("RGB", (50, 50), (level, level, level))) is None


@given(data=st.data(), near=st.integers(0, 20))
def test_search_is_the_slow_one(data: st.DataObject, near: int) -> None:
    """Against comparing with every hash: hashes are made near each other, so that there is something to find."""
    base = data.draw(st.integers(0, 2**BITS - 1))
    likenesses, known = Likenesses(near), []
    for number in range(12):
        changed = data.draw(st.lists(st.integers(0, BITS - 1), max_size=24))
        bits = base
        for bit in changed:
            bits ^= 1 << bit
        slow = next((name for other, name in known if (other ^ bits).bit_count() <= near), None)
        assert likenesses.find(bits) == slow
        likenesses.add(bits, str(number))
        known.append((bits, str(number)))
