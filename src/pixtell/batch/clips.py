"""Long clips in windows: a caption for every so many seconds, with times, and as subtitles.

In: the file of a clip, and how long a window is. Out: the windows with frames of each at the size that the model looks
at, the first of them at once and the others a few at a time; then, with what was said of them, a row and its SRT and
WebVTT.

The surprising thing: every clip has windows, one that is shorter than a window has one. So all clips of a job get
subtitles, and what stands in the row is the same whether a clip was long or not.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, pairwise
from math import floor
from typing import IO

from pixtell.batch.item import File, Item, printable
from pixtell.batch.row import Row, Window
from pixtell.config import PixelConfig
from pixtell.data.opened import Looks
from pixtell.errors import ConfigError, InputError
from pixtell.look import Span, Timeline
from pixtell.media import Stretch, clip_timeline, open_stretches
from pixtell.pixels import fit_frames

GROUP = 8  # windows seen at a time: 8 of 6 frames of 224 x 224 are 7 MB
LEAST, MOST = Fraction(1, 10), 86_400  # seconds that a window may be long
LEAST_TAIL = Fraction(1, 10)  # of a window: what is left at a clip's end and is shorter belongs to the last one
MOST_WINDOWS = 100_000  # of a clip: at 1 second each, more than a day; a damaged time can promise years
JOINT = "; "  # between what was said of windows, in the text of their clip
HELD = 64 << 20  # bytes: files up to this size are read once, into memory; larger ones are long clips, read in pieces

_PIECE = 1 << 20  # bytes of a file read at a time for its digest
_N = r"(\d+(?:\.\d+)?)"
_UNITS = re.compile(rf"(?:{_N}h)?(?:{_N}m(?!s))?(?:{_N}s)?(?:{_N}ms)?", re.ASCII | re.IGNORECASE)
_CLOCK = re.compile(r"(?:(\d+):)?([0-5]?\d):([0-5]?\d(?:\.\d+)?)", re.ASCII)
_SECONDS = re.compile(_N, re.ASCII)

# What no subtitle can hold: control characters (line ends among them) and lone surrogates.
_UNTOLD = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff]")
_ARROW = re.compile("-{2,}>")  # what parts times; in a text it would end a cue


# ---- how long a window is, and where windows lie


def parse_length(text: str, option: str = "--every") -> float:
    """The seconds that `10s`, `500ms`, `1m30s`, `1h`, `90` or `00:01:30` stand for. Raises `ConfigError`."""
    packed = "".join(text.split())
    seconds = Fraction(0)
    if _SECONDS.fullmatch(packed):
        seconds = Fraction(packed)
    elif clock := _CLOCK.fullmatch(packed):
        seconds = _summed(clock.groups(), (3600, 60, 1))
    elif packed and (units := _UNITS.fullmatch(packed)):
        seconds = _summed(units.groups(), (3600, 60, 1, Fraction(1, 1000)))
    else:
        raise ConfigError(f"{option} {text!r} is no length of time: write 10s, 500ms, 1m30s, 90 (seconds) or 00:01:30")
    if not LEAST <= seconds <= MOST:
        raise ConfigError(f"{option} {text!r} is out of range: a window is 100ms to 24h long")
    return float(seconds)


def _summed(numbers: Sequence[str | None], units: Sequence[int | Fraction]) -> Fraction:
    return sum((Fraction(number or 0) * unit for number, unit in zip(numbers, units, strict=True)), Fraction(0))


def windows(duration: float, every: float) -> list[Span]:
    """Cut a clip into windows of `every` seconds, from its first frame to its end.

    The last one is what is left: shorter, or up to a tenth longer, as what is shorter than a tenth isn't worth a look.
    """
    step = Fraction(str(every))  # by its decimals, so that three times 0.1 is 0.3
    count = max(floor(Fraction(duration) / step - LEAST_TAIL) + 1, 1)
    return list(pairwise([*(float(step * place) for place in range(count)), duration]))


# ---- windows are seen


@dataclass(frozen=True)
class Windows:
    """A clip in windows: those seen first, and where the `later` ones lie, which `later_windows` sees.

    `looks` and `pixels` say how they are seen. `timeline` is kept where it took decoding to find out, and is needed
    again.
    """

    looks: Looks
    pixels: PixelConfig
    seen: tuple[Stretch, ...]
    later: tuple[Span, ...] = ()
    timeline: Timeline | None = None

    @property
    def count(self) -> int:
        """How many windows there are, if all that is promised can be decoded."""
        return len(self.seen) + len(self.later)


@contextmanager
def opened(item: Item) -> Iterator[IO[bytes]]:
    """The file of an item, in memory where it is small or a part of another file. Raises `InputError`."""
    if not isinstance(item.place, File) or item.stamp()[0] <= HELD:
        yield io.BytesIO(item.read())
        return
    try:
        file = open(item.place.path, "rb")  # noqa: SIM115 - closed below, where other errors than opening's can come
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError("unreadable", f"{printable(item.name)}: it can't be opened: {reason}") from None
    with file:
        yield file


def digest_of(file: IO[bytes]) -> str:
    """The SHA-256 of a file from its beginning, in hexadecimal, read in pieces."""
    digest = hashlib.sha256()
    file.seek(0)
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()


def see_windows(file: IO[bytes], name: str, looks: Looks, pixels: PixelConfig, every: float) -> Windows | None:
    """Cut the clip in `file` into windows of `every` seconds and see the first of them, `GROUP` at most.

    None for what is no clip: a photo or an animation. Raises `InputError`, `too_large` for more than `MOST_WINDOWS`,
    and `MissingExtraError`.
    """
    timeline = clip_timeline(file, name=printable(name), max_pixels=looks.max_pixels)
    if timeline is None:
        return None
    count = timeline.duration / every
    if count > MOST_WINDOWS:
        raise InputError(
            "too_large",
            f"{printable(name)}: its {timeline.duration:,.0f} seconds are {count:,.0f} windows of {every:g}, above the "
            f"limit of {MOST_WINDOWS:,}: choose longer ones, or check its times",
        )
    spans = windows(timeline.duration, every)
    if timeline.keys:  # found again while the file is read
        timeline = None
    seen = next(_groups(file, name, spans[:GROUP], Windows(looks, pixels, (), timeline=timeline)))
    # A clip that could not be decoded so far has no later windows.
    later = tuple(spans[GROUP:]) if len(seen) == GROUP else ()
    return Windows(looks, pixels, seen, later, timeline if later else None)


def later_windows(item: Item, clip: Windows, first: int = 0) -> Iterator[tuple[Stretch, ...]]:
    """See the later windows of an item from number `first` on, in order, `GROUP` at a time, in one pass.

    It ends where the clip can't be decoded any further. Raises `InputError` and `MissingExtraError`.
    """
    if clip.later[first:]:
        with opened(item) as file:
            yield from _groups(file, item.name, clip.later[first:], clip)


def _groups(file: IO[bytes], name: str, spans: Sequence[Span], clip: Windows) -> Iterator[tuple[Stretch, ...]]:
    looks = clip.looks
    stretches = open_stretches(
        file,
        spans,
        clip.timeline,
        name=printable(name),
        frames=looks.frames or 1,
        sampling=looks.sampling,
        seed=looks.seed,
        respect_exif=looks.respect_exif,
        max_pixels=looks.max_pixels,
    )
    while group := tuple(_fitted(one, name, clip.pixels) for one in islice(stretches, GROUP)):
        yield group


def _fitted(stretch: Stretch, name: str, pixels: PixelConfig) -> Stretch:
    frames = fit_frames(stretch.media.frames, pixels, printable(name))
    return replace(stretch, media=replace(stretch.media, source=name, frames=tuple(frames), fitted=pixels))


# ---- and told about


def told(stretch: Stretch, text: str, mean_logprob: float | None = None) -> Window:
    """What was said of a window, its times in whole milliseconds, as subtitles have them."""
    return Window(round(stretch.start, 3), round(stretch.end, 3), text, mean_logprob)


def clip_row(name: str, found: Sequence[Window], sha256: str = "") -> Row:
    """The row of a clip of whose windows this was said.

    Its text is theirs, one after another, without what is the same as the one before; its mean log-probability is the
    mean of theirs, by their lengths.
    """
    texts = [window.text for window in found if window.text]
    changes = [text for before, text in pairwise(["", *texts]) if text != before]
    scored = [(one.end - one.start, one.mean_logprob) for one in found if one.mean_logprob is not None]
    whole = sum(length for length, _ in scored)
    mean = sum(length * score for length, score in scored) / whole if whole else None
    return Row(name, text=JOINT.join(changes), windows=tuple(found), mean_logprob=mean, sha256=sha256)


def srt(row: Row) -> bytes | None:
    """The row's windows as SubRip, in UTF-8 with its lines ended as SubRip itself does; None when it has none.

    Windows that follow one another with the same text are one subtitle; those without text are none.
    """
    cues = _cues(row)
    # SubRip has no way to write an arrow that is meant as text.
    blocks = (
        f"{number}\r\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\r\n{_ARROW.sub('->', cue.text)}\r\n"
        for number, cue in enumerate(cues, 1)
    )
    return "\r\n".join(blocks).encode() if cues else None


def vtt(row: Row) -> bytes | None:
    """The row's windows as WebVTT (W3C, "WebVTT: The Web Video Text Tracks Format", section 4); None when it has none.

    They become cues as those of `srt` do.
    """
    cues = _cues(row)
    blocks = (f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{_escaped(cue.text)}\n" for cue in cues)
    return "\n".join(["WEBVTT\n", *blocks]).encode() if cues else None


def _cues(row: Row) -> list[Window]:
    """The windows that say something, each in one line, those that follow one another with the same text as one."""
    cues: list[Window] = []
    for window in row.windows:
        text = " ".join(_UNTOLD.sub(" ", window.text).split())
        if cues and cues[-1].text == text and cues[-1].end == window.start:
            cues[-1] = replace(cues[-1], end=window.end)
        else:
            cues.append(replace(window, text=text))
    return [cue for cue in cues if cue.text]


def _clock(second: float, point: str) -> str:
    """`HH:MM:SS.mmm`; hours above 99 take three digits."""
    minutes, milliseconds = divmod(round(second * 1000), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
