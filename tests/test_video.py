"""Which frames of a clip are looked at, and that the quick way to them gives what the slow way gives."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import ceil
from typing import Any

import av
import odd_files as odd
import pytest
from PIL import Image

from pixtell import video
from pixtell.errors import InputError, MissingExtraError
from pixtell.look import WHOLE, Look, Timeline
from pixtell.video import sample_clip


def by_decoding(data: bytes, look: Look) -> tuple[list[Image.Image], list[float]]:
    [(_, pictures, times)] = video._sample_by_decoding(video._Reader(io.BytesIO(data)), look, [WHOLE])
    return pictures, times


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


def stretches(duration: float, length: float) -> list[tuple[float, float]]:
    """A clip from its beginning to its end, in parts."""
    bounds = [place * length for place in range(ceil(duration / length))]
    return [*zip(bounds, [*bounds[1:], duration], strict=True)]


def seen(data: bytes, spans: Sequence[tuple[float, float]], look: Look) -> list[tuple[Any, list[bytes], list[float]]]:
    samples = video.sample_spans(io.BytesIO(data), look, spans)
    return [(span, [picture.tobytes() for picture in pictures], times) for span, pictures, times in samples]


def everything(data: bytes) -> tuple[Timeline, list[bytes]]:
    """Every frame of a clip, decoded from the first to the last: what stretches must be chosen from."""
    look = Look("clip")
    with video._opened(video._Reader(io.BytesIO(data)), look) as (container, stream):
        frames = list(video._decoded(container, stream))
        timeline = Timeline([frame.pts or 0 for frame in frames], (), stream.time_base or Fraction(1))
        return timeline, [video._picture(frame, look).tobytes() for frame in frames]


SLOW = [("avi", "mpeg4", {}), ("webm", "libvpx", {})]


@pytest.mark.parametrize("sampling", ["uniform", "window"])
@pytest.mark.parametrize("gop", [7, 200])
@pytest.mark.parametrize(("container", "codec", "options"), SEEKABLE)
def test_stretches_are_chosen_from_a_full_decode(
    container: str, codec: str, options: dict[str, Any], gop: int, sampling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = odd.clip(container, codec, count=110, gop=gop, start=33, **options)
    timeline, pictures = everything(data)
    if not options.get("fragmented"):
        monkeypatch.delattr(video, "_sample_by_decoding")
    look = Look("clip", frames=3, sampling=sampling, seed=4)
    for spans in (stretches(timeline.duration, 1.7), [(2.05, 2.06), (7.0, 9.25)]):
        expected = []
        for span in spans:
            picks = timeline.choose(span, look)
            expected.append((span, [pictures[i] for i in picks], [i / 10 for i in picks]))
        found = seen(data, spans, look)
        assert found == [(span, shown, pytest.approx(times)) for span, shown, times in expected]


# Not avi: it has frames at an even rate only.
@pytest.mark.parametrize(("container", "codec", "options"), [*SEEKABLE, ("webm", "libvpx", {})])
def test_stretches_of_a_clip_with_uneven_times(container: str, codec: str, options: dict[str, Any]) -> None:
    ticks = (5, 6, 7, 8, 9, 10, 11, 40, 41, 42, 43, 80, 120, 121, 122, 123)  # the first at half a second
    data = odd.clip(container, codec, ticks=ticks, **options)
    samples = list(video.sample_spans(io.BytesIO(data), Look("clip", frames=2), stretches(11.9, 2.0)))
    times = [times for _, _, times in samples]
    # Middles at half a second and one and a half in each: the frame that was the last to come by then.
    assert times == [[0.5, 0.6], [0.6, 3.5], [3.8, 3.8], [3.8, 7.5], [7.5, 7.5], [7.5, 7.5]]
    assert [[round(time * 10) + 5 for time in one] for one in times] == [
        [ticks[odd.read_bars(picture)] for picture in pictures] for _, pictures, _ in samples
    ]


@pytest.mark.parametrize("gop", [12, 600])
def test_stretches_decode_nothing_twice(gop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = odd.clip(codec="libx264", count=600, gop=gop)
    numbers: list[int | None] = []
    fetch = video._fetch_by_seeking

    class Counting:
        """A container that notes the frames that come out of it."""

        def __init__(self, container: Any) -> None:
            self.container = container
            self.seek = container.seek

        def decode(self, stream: Any) -> Any:
            for frame in self.container.decode(stream):
                numbers.append(frame.pts)
                yield frame

    monkeypatch.setattr(video, "_fetch_by_seeking", lambda container, *rest: fetch(Counting(container), *rest))
    spans = stretches(60.0, 4.0)
    samples = list(video.sample_spans(io.BytesIO(data), Look("clip", frames=2), spans))
    assert [[odd.read_bars(picture) for picture in pictures] for _, pictures, _ in samples] == [
        [40 * place + 10, 40 * place + 30] for place in range(15)
    ]
    assert len(numbers) == len(set(numbers)) <= (30 * 12 if gop == 12 else 600)


@pytest.mark.parametrize("known", [False, True])
def test_the_slow_way_decodes_twice_however_many_stretches_there_are(
    known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = odd.clip("avi", count=60)
    timeline = video.measure_clip(io.BytesIO(data), Look("clip")) if known else None
    decoded = 0
    decode = video._decoded

    def counting(*opened: Any) -> Any:
        nonlocal decoded
        for frame in decode(*opened):
            decoded += 1
            yield frame

    monkeypatch.setattr(video, "_decoded", counting)
    spans = stretches(6.0, 0.4)
    samples = list(video.sample_spans(io.BytesIO(data), Look("clip", frames=2), spans, timeline))
    assert [[odd.read_bars(picture) for picture in pictures] for _, pictures, _ in samples] == [
        [4 * place + 1, 4 * place + 3] for place in range(15)
    ]
    assert 119 - 60 * known <= decoded <= 120 - 60 * known


def test_stretches_come_as_they_are_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    picture = video._picture
    monkeypatch.setattr(video, "_picture", lambda frame, look: made.append(frame.pts) or picture(frame, look))
    for data in (odd.clip("avi", count=120), odd.clip(codec="libx264", count=120)):
        made.clear()
        samples = video.sample_spans(io.BytesIO(data), Look("clip", frames=2), stretches(12.0, 2.0))
        for reached in (2, 4, 6):
            next(samples)
            assert len(made) == reached


@pytest.mark.parametrize(("container", "codec", "options"), [*SEEKABLE[:1], *SEEKABLE[5:6], *SLOW])
def test_what_lies_behind_the_end_is_left_out(container: str, codec: str, options: dict[str, Any]) -> None:
    data = odd.clip(container, codec, count=20, **options)
    [(span, pictures, times)] = video.sample_spans(
        io.BytesIO(data), Look("clip", frames=2), [(1.0, 9.0), (9.0, 10.0), (10.0, 11.0)]
    )
    assert (span, times) == ((1.0, 2.0), [1.2, 1.7])
    assert [odd.read_bars(picture) for picture in pictures] == [12, 17]


def test_a_clip_whose_end_is_damaged_ends_with_what_decodes() -> None:
    """The packets promise 11 seconds, and from the 7th on nothing decodes."""
    whole = odd.clip("mov", "mjpeg", pixels="yuvj420p", count=110)
    data = odd.damaged(whole, 0.6, (whole.index(b"moov") - 4) / len(whole))
    assert video.measure_clip(io.BytesIO(data), Look("clip")).duration == 11.0
    samples = list(video.sample_spans(io.BytesIO(data), Look("clip", frames=2), stretches(11.0, 2.0)))
    [*before, (span, pictures, times)] = samples
    assert [span for span, _, _ in before] == stretches(11.0, 2.0)[:3]
    assert [[odd.read_bars(p) for p in shown] for _, shown, _ in before] == [[5, 15], [25, 35], [45, 55]]
    assert span[0] == 6.0
    assert 6.1 < span[1] < 8.0
    assert [odd.read_bars(picture) / 10 for picture in pictures] == times
    assert times[-1] < span[1]


def test_a_clip_of_one_frame_and_one_without_any() -> None:
    data = odd.clip(count=1)
    assert video.measure_clip(io.BytesIO(data), Look("clip")).duration < 0.2
    [(_, pictures, times)] = video.sample_spans(io.BytesIO(data), Look("clip", frames=3), [(0.0, 10.0)])
    assert ([odd.read_bars(picture) for picture in pictures], times) == ([0, 0, 0], [0.0, 0.0, 0.0])
    for reading in (video.measure_clip, lambda *given: list(video.sample_spans(*given, [(0.0, 1.0)]))):
        with pytest.raises(InputError) as caught:
            reading(io.BytesIO(odd.sound()), Look("clip"))
        assert caught.value.code == "no_video"


def test_a_frame_missing_after_a_seek_falls_back_to_decoding() -> None:
    data = odd.clip(codec="libx264", count=60)
    with video._opened(video._Reader(io.BytesIO(data)), Look("clip")) as (opened, stream):
        timeline = video._packet_timeline(opened, stream)
        assert timeline is not None
        for place, found in ((30, 0), (59, 0), (29, 1)):
            starts = timeline.starts[:]
            if not found:
                starts[place] += 1
            wrong = replace(timeline, starts=starts)
            pictures = list(video._fetch_by_seeking(opened, stream, wrong, Look("clip"), [place]))
            assert [odd.read_bars(picture) for picture in pictures] == [place] * found


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
