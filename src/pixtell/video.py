"""A clip becomes a few frames with their times; the only file that touches a video library.

In: an open binary file that holds mp4, mov, mkv, webm or avi. Out: pictures as they are shown (turned as the clip says,
RGBA where the clip has alpha) and the second at which each comes on screen, counted from the first frame.

The surprising thing: nothing a header says about length is believed. Frames are placed by the timestamps of the data.
The quick way reads the packets' timestamps without decoding, chooses, and seeks to what it chose; whenever a frame is
not exactly where its packet promised, the slow way decodes everything, twice, and chooses from what came out. Both
ways give the same frames for a sound clip. The slow way also reads clips that are damaged: the parts that decode count.
Pixels are taken as square, as the hub's processors do.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import median_low
from typing import IO, TYPE_CHECKING, Any, Literal

from PIL import Image

from pixtell.errors import ConfigError, InputError, MissingExtraError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

Sampling = Literal["uniform", "window"]

WINDOW_STEP = 4  # decoded frames between two frames of a window: 6 frames span 24 (transformers, GIT examples)

# Only formats that hold their data themselves: playlists and concatenation scripts could name any file or address.
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"

_CUT_OFF = "the clip is cut off before its end: copy or download it again"

# Display matrix, as (a, b, c, d) of x' = a x + c y, y' = b x + d y with y downwards, to what Pillow has to do.
_TURNS = {
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}


@dataclass(frozen=True)
class Look:
    """What the caller wants to see of a source, checked at birth, and `name`, which every message about it begins with.

    `frames`, `sampling` and `seed` say which frames of a clip (see `pick`); `upright` whether to turn pictures as they
    say they are meant; `max_pixels` limits one picture.
    """

    name: str
    frames: int = 6
    sampling: Sampling = "uniform"
    seed: int = 0
    upright: bool = True
    max_pixels: int = 40_000_000

    def __post_init__(self) -> None:
        problems = []
        for name in ("frames", "max_pixels"):
            if getattr(self, name) < 1:
                problems.append(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.sampling not in ("uniform", "window"):
            problems.append(f"sampling must be uniform or window, got {self.sampling!r}")
        if not 0 <= self.seed < 2**32:
            problems.append(f"seed must be in 0..{2**32 - 1}, got {self.seed}")
        if problems:
            raise ConfigError.listing("media", problems)

    def bad(self, code: str, message: str) -> InputError:
        """The error for this source, to be raised."""
        return InputError(code, f"{self.name}: {message}")

    def check_size(self, width: int, height: int) -> None:
        """Refuse a picture of more than `max_pixels` pixels."""
        if width * height > self.max_pixels:
            raise self.bad(
                "too_large",
                f"{width} x {height} pixels are {width * height / 1e6:.6g} megapixels, above the limit of "
                f"{self.max_pixels / 1e6:g}: make it smaller, or raise max_pixels if you trust it",
            )


def pick(starts: Sequence[int], end: int, look: Look) -> list[int]:
    """Choose which `look.frames` frames of a clip are looked at, by index, in order of time.

    `starts` holds the tick at which each frame comes on screen, ascending; the last one stays until `end`.

    `uniform` cuts the clip into as many parts of equal time and takes the frame on screen in the middle of each. A clip
    with fewer frames than that, or with uneven times, repeats a frame that is on screen in several middles.

    `window` is what the hub's examples do (transformers, docstring of GitForCausalLM): a window of 4 frames for each
    one wanted (24 for 6) at a random place, the wanted ones spread over it. `seed` gives what `numpy.random.seed(seed)`
    gives there. A clip shorter than the window is taken whole (the hub's code fails on it), repeating when very short.
    """
    if look.sampling == "window":
        return _pick_window(len(starts), look)
    span = end - starts[0]
    middles = [starts[0] + Fraction(span * (2 * part + 1), 2 * look.frames) for part in range(look.frames)]
    return [max(bisect_right(starts, middle) - 1, 0) for middle in middles]


def _pick_window(count: int, look: Look) -> list[int]:
    import numpy as np

    length = min(WINDOW_STEP * look.frames, count)
    # The hub draws the end below the number of frames; when the clip is one window long there is nothing to draw.
    end = int(np.random.RandomState(look.seed).randint(length, count)) if count > length else length
    places = np.linspace(end - length, end, num=look.frames)
    return [int(place) for place in np.clip(places, end - length, end - 1).astype(np.int64)]


def sample_clip(file: IO[bytes], look: Look) -> tuple[list[Image.Image], list[float]]:
    """Take `look.frames` pictures out of the clip in `file`, as `pick` says, and the second each comes on screen.

    `file` is a binary file that can seek; it is read from its beginning and left open.

    Raises InputError: `no_video` when there is sound only, `truncated` or `broken` when nothing can be decoded,
    `unsupported` when the codec is not there, `too_large` for a frame above the limit. Raises MissingExtraError without
    PyAV.
    """
    reader = _Reader(file)
    with _opened(reader, look) as (container, stream):
        timeline = _packet_timeline(container, stream)
        if timeline:
            starts, keys = timeline
            picks = pick(starts, _end(starts), look)
            found = _fetch_by_seeking(container, stream, [starts[i] for i in picks], keys, look)
            if found:
                return _answer(picks, starts, [found[starts[i]] for i in picks], stream)
    return _sample_by_decoding(reader, look)


def _sample_by_decoding(reader: _Reader, look: Look) -> tuple[list[Image.Image], list[float]]:
    """The slow way, and the twin that the quick way is tested against: decode all for times, then again for frames."""
    with _opened(reader, look) as (container, stream):
        stamps = []
        for frame in _decoded(container, stream):
            look.check_size(frame.width, frame.height)
            stamps.append(frame.pts)
    if not stamps:
        raise _unreadable(reader, look, "no frame of it can be decoded")
    with _opened(reader, look) as (container, stream):
        starts = _ascending(stamps, stream)
        picks = pick(starts, _end(starts), look)
        pictures = {}
        for index, frame in enumerate(_decoded(container, stream)):
            if index in picks:
                pictures[index] = _picture(frame, look)
            if index == picks[-1]:
                break
        if len(pictures) < len(set(picks)):
            raise _unreadable(reader, look, "it decodes differently each time")
        return _answer(picks, starts, [pictures[i] for i in picks], stream)


def _answer(
    picks: Sequence[int], starts: Sequence[int], pictures: list[Image.Image], stream: VideoStream
) -> tuple[list[Image.Image], list[float]]:
    tick = stream.time_base or Fraction(1)
    return pictures, [float((starts[i] - starts[0]) * tick) for i in picks]


def _end(starts: Sequence[int]) -> int:
    """The tick at which the last frame leaves the screen: after a typical gap, as durations may be wrong or absent."""
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    return starts[-1] + (median_low(gaps) if gaps else 1)


def _picture(frame: VideoFrame, look: Look) -> Image.Image:
    """One decoded frame as it is shown; its size is checked again, as a clip may grow after its header."""
    import av

    look.check_size(frame.width, frame.height)
    alpha = any(component.is_alpha for component in frame.format.components)
    try:
        picture = Image.fromarray(frame.to_ndarray(format="rgba" if alpha else "rgb24"))
    except (av.error.FFmpegError, ValueError) as error:
        raise look.bad("broken", f"a frame of the kind {frame.format.name} can't be turned into RGB") from error
    turn = _turn(frame) if look.upright else None
    return picture if turn is None else picture.transpose(turn)


def _turn(frame: VideoFrame) -> Image.Transpose | None:
    """Which way the clip's display matrix turns its frames; anything but right angles is left alone."""
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return None
    a, b, _, c, d, *_ = (round(number / 65536) for number in struct.unpack("=9i", bytes(matrix)))  # 16.16 fixed point
    return _TURNS.get((a, b, c, d))


class _Reader:
    """All that the video library sees of a file: no name, so that nothing can be opened beside it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.read = file.read
        self.seek = file.seek
        self.tell = file.tell


@contextmanager
def _opened(reader: _Reader, look: Look) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open the container from its start and hold its first real video stream, its size checked before decoding."""
    try:
        import av
        from av.stream import Disposition
    except ImportError as error:
        raise MissingExtraError(f"{look.name}: a clip needs the package av: pip install av") from error
    reader.seek(0)
    try:
        container = av.open(reader, "r", options={"format_whitelist": CONTAINERS}, metadata_errors="ignore")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise _unreadable(reader, look, "the file can't be read as a clip") from error
    with container:
        # The cover picture of a song is a video stream too.
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams and ends_early(reader, needed=b"moov"):
            raise look.bad("truncated", _CUT_OFF)
        if not streams:
            raise look.bad("no_video", "it holds sound or data and no video: give a clip or a photo")
        stream = streams[0]
        if stream.codec_context is None:
            raise look.bad("unsupported", "there is no decoder for its kind of video: convert it to mp4 (h264)")
        look.check_size(stream.width, stream.height)
        yield container, stream


def _unreadable(reader: _Reader, look: Look, what: str) -> InputError:
    if ends_early(reader, needed=b"moov"):
        return look.bad("truncated", _CUT_OFF)
    return look.bad("broken", f"{what}: it is damaged or not what it says it is")


def ends_early(file: _Reader | IO[bytes], needed: bytes = b"") -> bool:
    """Whether a file made of boxes (mp4, mov, AVIF) or a RIFF file (avi, WebP) is shorter than it says itself.

    In a file of boxes, so is one without the box `needed`, which writers put last.
    """
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(8)
    if head.startswith(b"RIFF"):
        return int.from_bytes(head[4:8], "little") + 8 > size
    place = 0
    kinds: list[bytes] = []
    while place + 8 <= size and len(kinds) < 1000:
        file.seek(place)
        header = file.read(16)
        length, kind = struct.unpack(">I4s", header[:8])
        if length == 1 and len(header) == 16:
            length = struct.unpack(">Q", header[8:])[0]
        kinds.append(kind)
        if length == 0:
            length = size - place
        if length < 8:
            return False
        place += length
    if not {b"ftyp", b"moov", b"mdat"} & set(kinds) or len(kinds) == 1000:
        return False
    return place != size or (bool(needed) and needed not in kinds)


def _packet_timeline(container: InputContainer, stream: VideoStream) -> tuple[list[int], list[int]] | None:
    """Read when each frame starts, and each key frame, from the packets; None where packets don't tell.

    They don't in avi, which has no presentation times, and in VP8, where some packets show no frame.
    """
    import av

    if container.format.name == "avi" or stream.codec_context.name == "vp8":
        return None
    starts, keys = [], []
    try:
        for packet in container.demux(stream):
            if packet.size == 0 or packet.is_discard:
                continue
            if packet.pts is None or packet.is_corrupt:
                return None
            starts.append(packet.pts)
            if packet.is_keyframe:
                keys.append(packet.pts)
    except av.error.FFmpegError:
        return None
    starts.sort()
    keys.sort()
    sound = bool(keys) and len(set(starts)) == len(starts) and keys[0] <= starts[0]
    return (starts, keys) if sound else None


def _fetch_by_seeking(
    container: InputContainer, stream: VideoStream, wanted: Sequence[int], keys: Sequence[int], look: Look
) -> dict[int, Image.Image] | None:
    """Decode the frames that start at the ticks `wanted` (ascending); None as soon as anything is not as promised.

    It seeks only to a key frame between the last frame decoded and the next one wanted, so that no part of the clip is
    decoded twice.
    """
    import av

    found: dict[int, Image.Image] = {}
    here: int | None = None
    decoding: Iterator[VideoFrame] = iter(())
    try:
        for target in wanted:
            if target in found:
                continue
            key = keys[bisect_right(keys, target) - 1]
            if here is None or key > here:
                container.seek(key, stream=stream)
                decoding, here = container.decode(stream), None
            for frame in decoding:
                backwards = here is not None and frame.pts is not None and frame.pts <= here
                if frame.pts is None or frame.pts > target or backwards or frame.is_corrupt:
                    return None
                here = frame.pts
                if here == target:
                    found[target] = _picture(frame, look)
                    break
            else:
                return None
    except av.error.FFmpegError:
        return None
    return found


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Every frame that decodes, in order of presentation; packets that don't are passed over, as players do."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            return
        if packet is None:
            return
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            continue


def _ascending(stamps: Sequence[int | None], stream: VideoStream) -> list[int]:
    """When each decoded frame starts; evenly, at the average rate, where timestamps are absent or in disorder."""
    known = [stamp for stamp in stamps if stamp is not None]
    if len(known) == len(stamps) and all(earlier < later for earlier, later in pairwise(known)):
        return known
    rate = stream.average_rate or Fraction(25)
    tick = stream.time_base or Fraction(1)
    return [round(index / (rate * tick)) for index in range(len(stamps))]
