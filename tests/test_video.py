"""Which frames of a clip are looked at, and that the quick way to them gives what the slow way gives."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
import odd_files as odd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pixtell import video
from pixtell.errors import ConfigError, InputError, MissingExtraError
from pixtell.video import Look, pick, sample_clip


def slow_pick(starts: Sequence[int], end: int, frames: int) -> list[int]:
    """Look at every moment in turn: which frame was the last to come on screen by then?"""
    picks = []
    for part in range(frames):
        middle = starts[0] + Fraction(2 * part + 1, 2) * Fraction(end - starts[0], frames)
        on_screen = 0
        for index, start in enumerate(starts):
            if start <= middle:
                on_screen = index
        picks.append(on_screen)
    return picks


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(-100, 100), st.integers(1, 12))
def test_uniform_takes_the_frame_on_screen_in_the_middle_of_each_part(gaps: list[int], first: int, frames: int) -> None:
    starts = [first + sum(gaps[:i]) for i in range(len(gaps))]
    end = first + sum(gaps)
    picks = pick(starts, end, Look("clip", frames=frames))
    assert picks == slow_pick(starts, end, frames)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, [0, 0, 0, 0, 0, 0]),
        (3, [0, 0, 1, 1, 2, 2]),
        (6, [0, 1, 2, 3, 4, 5]),
        (7, [0, 1, 2, 4, 5, 6]),
        (12, [1, 3, 5, 7, 9, 11]),
        (300, [25, 75, 125, 175, 225, 275]),
    ],
)
def test_uniform_of_evenly_spaced_frames(count: int, expected: list[int]) -> None:
    assert pick(range(count), count, Look("clip")) == expected


@settings(deadline=None, max_examples=60)
@given(st.integers(25, 5000), st.integers(0, 2**32 - 1))
def test_a_window_is_the_hubs(count: int, seed: int) -> None:
    """As the docstring of transformers' GitForCausalLM samples six frames, written with the global random state."""
    state = np.random.get_state()
    np.random.seed(seed)
    last = np.random.randint(24, count)
    np.random.set_state(state)
    expected = np.linspace(last - 24, last, num=6).clip(last - 24, last - 1).astype(np.int64)
    assert pick(range(count), count, Look("clip", sampling="window", seed=seed)) == expected.tolist()


@pytest.mark.parametrize(
    ("count", "expected"),
    [(24, [0, 4, 9, 14, 19, 23]), (23, [0, 4, 9, 13, 18, 22]), (3, [0, 0, 1, 1, 2, 2]), (1, [0] * 6)],
)
def test_a_clip_no_longer_than_the_window_is_taken_whole(count: int, expected: list[int]) -> None:
    for seed in range(5):
        assert pick(range(count), count, Look("clip", sampling="window", seed=seed)) == expected


def test_the_window_grows_with_the_frames_wanted() -> None:
    picks = pick(range(1000), 1000, Look("clip", frames=8, sampling="window", seed=3))
    assert len(picks) == 8
    assert picks[-1] - picks[0] == 31


def by_decoding(data: bytes, look: Look) -> tuple[list[Image.Image], list[float]]:
    return video._sample_by_decoding(video._Reader(io.BytesIO(data)), look)


SEEKABLE = [
    ("mp4", "libx264", {}),
    ("mp4", "libx264", {"fragmented": True}),
    ("mp4", "libx265", {}),
    ("mp4", "mpeg4", {}),
    ("mov", "mjpeg", {"pixels": "yuvj420p"}),
    ("matroska", "libx264", {}),
    ("matroska", "ffv1", {}),
    ("webm", "libvpx-vp9", {}),
]


@pytest.mark.parametrize("sampling", ["uniform", "window"])
@pytest.mark.parametrize("gop", [7, 48])
@pytest.mark.parametrize(("container", "codec", "options"), SEEKABLE)
def test_seeking_gives_what_decoding_everything_gives(
    container: str, codec: str, options: dict[str, Any], gop: int, sampling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = odd.clip(container, codec, count=110, gop=gop, start=33, **options)
    for frames, seed in ((1, 0), (6, 1)):
        look = Look("clip", frames=frames, sampling=sampling, seed=seed)
        pictures, times = by_decoding(data, look)
        with monkeypatch.context() as patch:
            if not options.get("fragmented"):  # seeking may land behind its aim there, and the slow way is taken
                patch.delattr(video, "_sample_by_decoding")
            quick_pictures, quick_times = sample_clip(io.BytesIO(data), look)
        assert quick_times == times
        assert [p.tobytes() for p in quick_pictures] == [p.tobytes() for p in pictures]


def test_seeking_decodes_a_small_part_of_a_long_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    data = odd.clip(codec="libx264", count=600, gop=12)
    decoded = 0
    decode = av.container.InputContainer.decode

    class Counting:
        """A container that counts the frames that come out of it."""

        def __init__(self, container: Any) -> None:
            self.container = container

        def __getattr__(self, name: str) -> Any:
            return getattr(self.container, name)

        def decode(self, stream: Any) -> Any:
            nonlocal decoded
            for frame in decode(self.container, stream):
                decoded += 1
                yield frame

    fetch = video._fetch_by_seeking
    monkeypatch.setattr(video, "_fetch_by_seeking", lambda container, *rest: fetch(Counting(container), *rest))
    pictures, _ = sample_clip(io.BytesIO(data), Look("clip"))
    assert [odd.read_bars(picture) for picture in pictures] == [50, 150, 250, 350, 450, 550]
    assert 6 <= decoded <= 6 * 12


@pytest.mark.parametrize(("container", "codec"), [("avi", "mpeg4"), ("avi", "libx264"), ("webm", "libvpx")])
def test_packets_that_cannot_be_trusted_are_not(container: str, codec: str) -> None:
    data = odd.clip(container, codec, count=20)
    with video._opened(video._Reader(io.BytesIO(data)), Look("clip")) as (opened, stream):
        assert video._packet_timeline(opened, stream) is None


def test_a_frame_missing_after_a_seek_falls_back_to_decoding() -> None:
    data = odd.clip(codec="libx264", count=60)
    with video._opened(video._Reader(io.BytesIO(data)), Look("clip")) as (opened, stream):
        starts, keys = video._packet_timeline(opened, stream) or ([], [])
        assert video._fetch_by_seeking(opened, stream, [starts[30] + 1], keys, Look("clip")) is None
        assert video._fetch_by_seeking(opened, stream, [starts[-1] + 1], keys, Look("clip")) is None
        assert list(video._fetch_by_seeking(opened, stream, [starts[30]], keys, Look("clip")) or {}) == [starts[30]]


def test_decoding_everything_keeps_only_what_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    picture = video._picture
    monkeypatch.setattr(video, "_picture", lambda frame, look: made.append(frame.pts) or picture(frame, look))
    by_decoding(odd.clip("avi", count=120), Look("clip"))
    assert made == [10, 30, 50, 70, 90, 110]


def grown_clip() -> bytes:
    """A clip whose second half is larger than its first: JPEG pictures in Matroska."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream = output.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for number in range(12):
            size = (64, 48) if number < 6 else (640, 480)
            packet = av.Packet(odd.saved(Image.fromarray(odd.bars(number, size)), "JPEG"))
            packet.stream, packet.time_base = stream, Fraction(1, 10)
            packet.pts = packet.dts = number
            packet.is_keyframe = True
            output.mux(packet)
    return file.getvalue()


def test_every_frame_is_measured_not_only_the_header() -> None:
    pictures, _ = sample_clip(io.BytesIO(grown_clip()), Look("clip"))
    assert [picture.size for picture in pictures] == [(64, 48)] * 3 + [(640, 480)] * 3
    for read in (
        lambda look: sample_clip(io.BytesIO(grown_clip()), look),
        lambda look: by_decoding(grown_clip(), look),
    ):
        with pytest.raises(InputError, match=r"^clip: 640 x 480 pixels are 0.3072 megapixels, above the limit of 0.1:"):
            read(Look("clip", max_pixels=100_000))


def test_a_header_that_is_too_large_is_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(video, "_packet_timeline")
    with pytest.raises(InputError, match="64 x 48") as caught:
        sample_clip(io.BytesIO(odd.clip()), Look("clip", max_pixels=64 * 48 - 1))
    assert caught.value.code == "too_large"


@pytest.mark.parametrize("data", [b"ffconcat version 1.0\nfile 'clip.mp4'\n", b"#EXTM3U\n#EXTINF:1,\nclip.mp4\n"])
def test_lists_of_files_are_refused_by_the_library_too(data: bytes) -> None:
    with pytest.raises(InputError) as caught:
        sample_clip(io.BytesIO(data), Look("clip"))
    assert caught.value.code == "broken"


def test_the_library_sees_no_name(tmp_path: Any) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(odd.clip())
    with path.open("rb") as file:
        assert not hasattr(video._Reader(file), "name")
        sample_clip(file, Look("clip"))
        assert not file.closed


def test_without_the_library_the_install_line_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"^clip: .*pip install av$"):
        sample_clip(io.BytesIO(odd.clip()), Look("clip"))


def test_all_that_is_wrong_with_a_wish_is_said_at_once() -> None:
    with pytest.raises(ConfigError, match=r"(?s)frames.*got 0.*max_pixels.*got 0.*sampling.*'first'.*seed.*got -1"):
        Look("clip", frames=0, max_pixels=0, sampling="first", seed=-1)  # type: ignore[arg-type]
