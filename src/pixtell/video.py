"""A clip becomes a few frames with their times; the only file that touches a video library.

In: an open binary file that holds mp4, mov, mkv, webm or avi. Out: pictures as they are shown (turned as the clip says,
RGBA where the clip has alpha) and the second at which each comes on screen, counted from the first frame.

The surprising thing: nothing a header says about length is believed. Frames are placed by the timestamps of the data.
The quick way reads the packets' timestamps without decoding, chooses, and seeks to what it chose; whenever a frame is
not exactly where its packet promised, the slow way decodes everything, twice, and chooses from what came out. Both
ways give the same frames for a sound clip. The slow way also reads clips that are damaged: the parts that decode count.
A clip may be looked at stretch by stretch; however many there are, one pass through the file finds them all.
Pixels are taken as square, as the hub's processors do.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from itertools import chain, islice, pairwise
from typing import IO, TYPE_CHECKING, Any

from PIL import Image

from pixtell.errors import InputError, MissingExtraError
from pixtell.look import WHOLE, Look, Span, Timeline

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

Sample = tuple[Span, list[Image.Image], list[float]]  # a stretch, pictures of it, when each comes on screen

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


def sample_clip(file: IO[bytes], look: Look) -> tuple[list[Image.Image], list[float]]:
    """Take `look.frames` pictures out of the clip in `file`, as `pick` says, and the second each comes on screen.

    `file` is a binary file that can seek; it is read from its beginning and left open.

    Raises InputError: `no_video` when there is sound only, `truncated` or `broken` when nothing can be decoded,
    `unsupported` when the codec is not there, `too_large` for a frame above the limit. Raises MissingExtraError without
    PyAV.
    """
    [(_, pictures, times)] = sample_spans(file, look, [WHOLE])
    return pictures, times


def measure_clip(file: IO[bytes], look: Look) -> Timeline:
    """When the frames of the clip in `file` come on screen: by its packets, or by decoding it where they don't tell.

    Raises as `sample_clip` does.
    """
    reader = _Reader(file)
    with _opened(reader, look) as (container, stream):
        timeline = _packet_timeline(container, stream)
    return timeline or _decoded_timeline(reader, look)


def sample_spans(
    file: IO[bytes], look: Look, spans: Sequence[Span], timeline: Timeline | None = None
) -> Iterator[Sample]:
    """Take `look.frames` pictures out of each of `spans`, which follow one another, as soon as each is reached.

    A stretch that the clip ends in ends with it, and those behind the end are left out: the end of what decodes. So a
    clip that is damaged from somewhere on gives fewer than were asked. `timeline`, where it took decoding to find
    out, saves doing that again. The file stays open until the last was taken. Raises as `sample_clip` does.
    """
    reader = _Reader(file)
    if timeline is None or timeline.keys:
        with _opened(reader, look) as (container, stream):
            # Read again even when it is known: only then do all containers know where to seek.
            timeline = _packet_timeline(container, stream)
            if timeline:
                seek = partial(_fetch_by_seeking, container, stream, timeline, look)
                spans = yield from _in_turn(timeline, spans, look, seek)
                timeline = None
    if spans:
        yield from _sample_by_decoding(reader, look, spans, timeline)


def _sample_by_decoding(
    reader: _Reader, look: Look, spans: Sequence[Span], timeline: Timeline | None = None
) -> Iterator[Sample]:
    """The slow way, and the twin that the quick way is tested against: decode all for times, then again for frames."""
    timeline = timeline or _decoded_timeline(reader, look)
    with _opened(reader, look) as (container, stream):
        decode = partial(_fetch_by_decoding, _decoded(container, stream), look)
        missing = yield from _in_turn(timeline, spans, look, decode)
    if missing:
        raise _unreadable(reader, look, "it decodes differently each time")


def _in_turn(
    timeline: Timeline,
    spans: Sequence[Span],
    look: Look,
    fetch: Callable[[Iterable[int]], Iterator[Image.Image]],
) -> Generator[Sample, None, list[Span]]:
    """Samples of `spans`, their pictures by index from `fetch`; returns those that it ended before."""
    spans = [span for span in spans if span[0] < timeline.duration]
    chosen = [timeline.choose(span, look) for span in spans]
    pictures = fetch(chain.from_iterable(chosen))
    for place, (span, picks) in enumerate(zip(spans, chosen, strict=True)):
        found = list(islice(pictures, len(picks)))
        if len(found) < len(picks):
            return spans[place:]
        yield (span[0], min(span[1], timeline.duration)), found, [timeline.seconds(timeline.starts[i]) for i in picks]
    return []


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


def _packet_timeline(container: InputContainer, stream: VideoStream) -> Timeline | None:
    """Read when each frame starts, and each key frame, from the packets; None where packets don't tell.

    They don't in avi, which has no presentation times, and in VP8, where some packets show no frame.
    """
    import av

    if container.format.name == "avi" or stream.codec_context.name == "vp8":
        return None
    starts, keys = array("q"), array("q")
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
    starts, keys = array("q", sorted(starts)), array("q", sorted(keys))
    sound = bool(keys) and len(set(starts)) == len(starts) and keys[0] <= starts[0]
    return Timeline(starts, keys, stream.time_base or Fraction(1)) if sound else None


def _fetch_by_seeking(
    container: InputContainer, stream: VideoStream, timeline: Timeline, look: Look, wanted: Iterable[int]
) -> Iterator[Image.Image]:
    """Decode the frames at the places `wanted` (ascending); ends as soon as anything is not as the timeline promised.

    It seeks only to a key frame between the last frame decoded and the next one wanted, so that no part of the clip is
    decoded twice.
    """
    import av

    picture: Image.Image | None = None
    here: int | None = None
    decoding: Iterator[VideoFrame] = iter(())
    try:
        for target in (timeline.starts[place] for place in wanted):
            if here != target:
                picture = None
                key = timeline.keys[bisect_right(timeline.keys, target) - 1]
                if here is None or key > here:
                    container.seek(key, stream=stream)
                    decoding, here = container.decode(stream), None
            while picture is None:
                frame = next(decoding, None)
                backwards = frame and here is not None and frame.pts is not None and frame.pts <= here
                if frame is None or frame.pts is None or frame.pts > target or backwards or frame.is_corrupt:
                    return
                here = frame.pts
                if here == target:
                    picture = _picture(frame, look)
            yield picture
    except av.error.FFmpegError:
        return


def _fetch_by_decoding(frames: Iterator[VideoFrame], look: Look, wanted: Iterable[int]) -> Iterator[Image.Image]:
    """The frames that come out at the places `wanted` (ascending); ends where they end."""
    here, picture = -1, None
    for target in wanted:
        if picture is None or target > here:
            frame = next(islice(frames, target - here - 1, None), None)
            if frame is None:
                return
            here, picture = target, _picture(frame, look)
        yield picture


def _decoded_timeline(reader: _Reader, look: Look) -> Timeline:
    """Decode everything to learn when each frame starts."""
    with _opened(reader, look) as (container, stream):
        stamps = []
        for frame in _decoded(container, stream):
            look.check_size(frame.width, frame.height)
            stamps.append(frame.pts)
        if stamps:
            return Timeline(_ascending(stamps, stream), (), stream.time_base or Fraction(1))
    raise _unreadable(reader, look, "no frame of it can be decoded")


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


def _ascending(stamps: Sequence[int | None], stream: VideoStream) -> Sequence[int]:
    """When each decoded frame starts; evenly, at the average rate, where timestamps are absent or in disorder."""
    known = [stamp for stamp in stamps if stamp is not None]
    if len(known) == len(stamps) and all(earlier < later for earlier, later in pairwise(known)):
        return array("q", known)
    rate = stream.average_rate or Fraction(25)
    tick = stream.time_base or Fraction(1)
    return array("q", (round(index / (rate * tick)) for index in range(len(stamps))))
