"""Clips in windows: how long they are, what is seen of each, what a row says of them, and their subtitles."""

from __future__ import annotations

import hashlib
import html
import io
import re
import unicodedata
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import odd_files as odd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixtell.batch import clips
from pixtell.batch.clips import Windows, clip_row, later_windows, parse_length, see_windows, srt, told, vtt, windows
from pixtell.batch.item import File, Held, Item
from pixtell.batch.row import Row, Window
from pixtell.config import PixelConfig
from pixtell.data.opened import Looks
from pixtell.errors import ConfigError, InputError
from pixtell.media import Media, Stretch, open_media
from pixtell.pixels import fit_frames

LOOKS = Looks(frames=2)
PIXELS = PixelConfig(size=32, fit="squash")


# ---- how long a window is


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10.0),
        ("500ms", 0.5),
        ("1m", 60.0),
        ("1m30s", 90.0),
        ("1m 30s", 90.0),
        ("1h", 3600.0),
        ("1h1m1s100ms", 3661.1),
        ("2.5s", 2.5),
        ("0.1s", 0.1),
        ("90", 90.0),
        (" 0.3 ", 0.3),
        ("00:01:30", 90.0),
        ("1:30", 90.0),
        ("1:00:00.5", 3600.5),
        ("10S", 10.0),
        ("24h", 86400.0),
    ],
)
def test_lengths_are_read(text: str, seconds: float) -> None:
    assert parse_length(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "ten", "10 sec", "s", "10s1m", "-5s", "1:60", "1:2:3:4", "1e3", "nan", "1.s", "٣s", "5d", "5sms"]
)
def test_what_is_no_length_is_told_in_one_line(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_length(text)
    assert str(caught.value) == (
        f"--every {text!r} is no length of time: write 10s, 500ms, 1m30s, 90 (seconds) or 00:01:30"
    )


@pytest.mark.parametrize("text", ["0", "99ms", "24h1ms", "9" * 400])
def test_lengths_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"is out of range: a window is 100ms to 24h long$"):
        parse_length(text)


# ---- where windows lie


@given(st.fractions(Fraction(1, 1000), 5000), st.integers(100, 60_000))
def test_windows_partition_a_clip(length: Fraction, milliseconds: int) -> None:
    duration, every = float(length), milliseconds / 1000
    spans = windows(duration, every)
    assert (spans[0][0], spans[-1][1]) == (0.0, duration)
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    assert all(
        span == (place * milliseconds / 1000, (place + 1) * milliseconds / 1000)
        for place, span in enumerate(spans[:-1])
    )
    last = spans[-1][1] - spans[-1][0]
    assert 0 < last <= 1.1 * every + 1e-9
    assert last >= 0.1 * every - 1e-9 or len(spans) == 1


@pytest.mark.parametrize(
    ("duration", "ends"),
    [
        (0.04, [0.04]),
        (10.0, [10.0]),
        (10.99, [10.99]),
        (11.0, [10.0, 11.0]),
        (20.0, [10.0, 20.0]),
        (20.04, [10.0, 20.04]),
        (25.0, [10.0, 20.0, 25.0]),
    ],
)
def test_a_short_tail_joins_the_window_before(duration: float, ends: list[float]) -> None:
    assert [end for _, end in windows(duration, 10.0)] == ends


# ---- what is seen of them


def item_of(data: bytes, tmp_path: Path) -> Item:
    path = tmp_path / "talk.mp4"
    path.write_bytes(data)
    return Item("talk.mp4", File(str(path), "talk.mp4"), "talk.mp4", tmp_path)


def all_windows(item: Item, every: float, looks: Looks = LOOKS) -> tuple[Windows, list[Stretch]]:
    with clips.opened(item) as file:
        found = see_windows(file, item.name, looks, PIXELS, every)
    assert found is not None
    return found, [*found.seen, *(one for group in later_windows(item, found) for one in group)]


@pytest.mark.parametrize("options", [{"codec": "libx264"}, {"container": "avi"}], ids=["quick", "slow"])
def test_each_window_shows_its_own_frames(options: dict[str, Any], tmp_path: Path) -> None:
    item = item_of(odd.clip(count=215, gop=30, size=(128, 96), **options), tmp_path)
    found, seen = all_windows(item, 1.0)
    assert (len(found.seen), len(found.later), found.count) == (8, 14, 22)
    assert [(one.start, one.end) for one in seen] == windows(21.5, 1.0)
    expected = [(10 * place + 2, 10 * place + 7) for place in range(21)] + [(211, 213)]
    assert [tuple(odd.read_bars(frame) for frame in one.media.frames) for one in seen] == expected
    assert [tuple(round(10 * time) for time in one.media.times) for one in seen] == expected
    assert {one.media.source for one in seen} == {"talk.mp4"}
    assert {frame.size for one in seen for frame in one.media.frames} == {(32, 32)}
    assert {one.media.fitted for one in seen} == {PIXELS}


def test_later_windows_come_in_groups_from_any_of_them_on(tmp_path: Path) -> None:
    item = item_of(odd.clip(count=200, gop=30), tmp_path)
    found, seen = all_windows(item, 1.0)
    groups = list(later_windows(item, found))
    assert [len(group) for group in groups] == [8, 4]
    [group] = later_windows(item, found, first=8)
    assert [(one.start, one.media.times, [f.tobytes() for f in one.media.frames]) for one in group] == [
        (one.start, one.media.times, [f.tobytes() for f in one.media.frames]) for one in seen[16:]
    ]
    assert list(later_windows(item, found, first=12)) == []


def test_a_clip_of_one_window_is_seen_as_it_is_without(tmp_path: Path) -> None:
    data = odd.clip(count=30)
    for sampling in ("uniform", "window"):
        looks = Looks(frames=6, sampling=sampling, seed=3)
        found, [stretch] = all_windows(item_of(data, tmp_path), 10.0, looks)
        media = open_media(data, frames=6, sampling=sampling, seed=3)
        assert (stretch.start, stretch.end, stretch.media.times) == (0.0, 3.0, media.times)
        assert [f.tobytes() for f in stretch.media.frames] == [f.tobytes() for f in fit_frames(media.frames, PIXELS)]
        assert found.later == ()


def test_decoding_that_told_where_windows_lie_is_kept_while_it_is_needed() -> None:
    for container, count, kept in (("avi", 100, True), ("avi", 20, False), ("mp4", 100, False)):
        file = io.BytesIO(odd.clip(container, count=count))
        found = see_windows(file, "talk", LOOKS, PIXELS, 1.0)
        assert found is not None
        assert (found.timeline is not None) == kept


def test_photos_and_animations_have_no_windows() -> None:
    for data in (odd.saved(odd.quadrants(), "PNG"), odd.animation("GIF", (900, 900, 900)), odd.oriented("JPEG", 6)):
        assert see_windows(io.BytesIO(data), "photo", LOOKS, PIXELS, 1.0) is None


@pytest.mark.parametrize("first_damaged", [0.25, 0.75])
def test_a_clip_that_is_damaged_from_somewhere_on_ends_there(first_damaged: float, tmp_path: Path) -> None:
    """Its packets promise 20 seconds; in the first case it ends among the windows seen first."""
    whole = odd.clip("mov", "mjpeg", pixels="yuvj420p", count=200)
    data = odd.damaged(whole, first_damaged, (whole.index(b"moov") - 4) / len(whole))
    found, seen = all_windows(item_of(data, tmp_path), 1.0)
    assert bool(found.later) == (first_damaged > 0.5)
    assert 20 * first_damaged - 2 < len(seen) < 20 * first_damaged + 2
    *sound, _half_a_frame = [
        (frame, time) for one in seen for frame, time in zip(one.media.frames, one.media.times, strict=True)
    ]
    assert [odd.read_bars(frame) / 10 for frame, _ in sound] == [time for _, time in sound]
    for one in seen:
        assert one.start <= one.media.times[0] <= one.media.times[1] < one.end


def test_errors_name_the_item(tmp_path: Path) -> None:
    for data, code in ((odd.sound(), "no_video"), (b"text", "unsupported"), (odd.half(odd.clip()), "truncated")):
        with pytest.raises(InputError, match=r"^a\?b: ") as caught:
            see_windows(io.BytesIO(data), "a\nb", LOOKS, PIXELS, 1.0)
        assert caught.value.code == code
    item = item_of(odd.clip(count=200), tmp_path)
    found, _ = all_windows(item, 1.0)
    (tmp_path / "talk.mp4").unlink()
    with pytest.raises(InputError, match=r"^talk.mp4: no such file") as caught:
        list(later_windows(item, found))
    assert caught.value.code == "missing"


def test_a_time_that_promises_years_is_refused() -> None:
    data = odd.clip("matroska", "libx264", ticks=(0, 1, 2, 10**9))
    with pytest.raises(InputError) as caught:
        see_windows(io.BytesIO(data), "talk.mkv", LOOKS, PIXELS, 10.0)
    assert caught.value.code == "too_large"
    assert str(caught.value) == (
        "talk.mkv: its 100,000,000 seconds are 10,000,000 windows of 10, above the limit of 100,000: "
        "choose longer ones, or check its times"
    )


def test_a_large_file_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = odd.clip(count=100)
    item = item_of(data, tmp_path)
    with monkeypatch.context() as patch:
        patch.delattr(File, "read")
        patch.setattr(clips, "HELD", len(data) - 1)
        with clips.opened(item) as file:
            file.seek(5)
            assert clips.digest_of(file) == hashlib.sha256(data).hexdigest()
        assert len(all_windows(item, 1.0)[1]) == 10
    assert len(all_windows(Item("pipe", Held("pipe", data), "pipe"), 1.0)[1]) == 10


# ---- what was said of them


def stretch(start: float, end: float) -> Stretch:
    return Stretch(start, end, Media((), "talk.mp4", ()))


def test_a_row_says_what_changes_from_window_to_window() -> None:
    texts = ["a man", "a man", "a dog", "", "a dog", "a man"]
    found = [told(stretch(10 * place, 10 * place + 10), text) for place, text in enumerate(texts)]
    row = clip_row("talk.mp4", found, "ab12")
    assert row == Row("talk.mp4", text="a man; a dog; a man", windows=tuple(found), sha256="ab12")


def test_the_score_of_a_row_is_that_of_its_windows_by_their_lengths() -> None:
    found = [told(stretch(0, 10), "a man", -0.5), told(stretch(10, 12.00049), "a dog", -1.1)]
    assert found[1] == Window(10, 12.0, "a dog", -1.1)
    assert clip_row("talk.mp4", found).mean_logprob == pytest.approx((10 * -0.5 + 2 * -1.1) / 12)


# ---- subtitles


LONG = 100 * 3600
EXAMPLE = Row(
    "talk.mp4",
    windows=(
        Window(0.0, 10.0, "a man & a <b>dog</b>"),
        Window(10.0, 20.0, "a man  & a <b>dog</b>\n"),
        Window(20.0, 30.0, ""),
        Window(30.0, 3661.007, "one --> two\n\nthree"),
        Window(LONG, LONG + 0.5, "é 狗 👩‍👩‍👧"),
    ),
)


def test_srt_to_the_byte() -> None:
    assert (
        srt(EXAMPLE)
        == (
            "1\r\n00:00:00,000 --> 00:00:20,000\r\na man & a <b>dog</b>\r\n\r\n"
            "2\r\n00:00:30,000 --> 01:01:01,007\r\none -> two three\r\n\r\n"
            "3\r\n100:00:00,000 --> 100:00:00,500\r\né 狗 👩‍👩‍👧\r\n"
        ).encode()
    )


def test_vtt_to_the_byte() -> None:
    assert (
        vtt(EXAMPLE)
        == (
            "WEBVTT\n\n00:00:00.000 --> 00:00:20.000\na man &amp; a &lt;b&gt;dog&lt;/b&gt;\n\n"
            "00:00:30.000 --> 01:01:01.007\none --&gt; two three\n\n"
            "100:00:00.000 --> 100:00:00.500\né 狗 👩‍👩‍👧\n"
        ).encode()
    )


def test_a_pause_parts_subtitles_of_the_same_text() -> None:
    found = (Window(0.0, 1.0, "a man"), Window(2.0, 3.0, "a man"))
    assert [cue[:2] for cue in parsed_vtt(vtt(Row("talk.mp4", windows=found)) or b"")] == [(0, 1000), (2000, 3000)]


def test_a_row_without_words_in_windows_has_no_subtitles() -> None:
    for row in (Row("photo.jpg", text="a man"), Row("talk.mp4", windows=(Window(0.0, 10.0, " "),))):
        assert srt(row) is None
        assert vtt(row) is None


Cue = tuple[int, int, str]  # start and end in milliseconds, text


def milliseconds(clock: str, point: str) -> int:
    hours, minutes, seconds, thousandths = re.split("[:,.]", clock)
    assert clock == f"{int(hours):02}:{minutes}:{seconds}{point}{thousandths}"
    assert [len(minutes), len(seconds), len(thousandths)] == [2, 2, 3]
    assert int(minutes) < 60 > int(seconds)
    return (int(hours) * 3600 + int(minutes) * 60 + int(seconds)) * 1000 + int(thousandths)


def parsed_srt(content: bytes) -> list[Cue]:
    """As players read it: blocks parted by blank lines, of a number, times, and lines of text."""
    cues: list[Cue] = []
    if not content:
        return cues
    for number, block in enumerate(content.decode().removesuffix("\r\n").split("\r\n\r\n"), 1):
        first, times, text = block.split("\r\n")
        assert first == str(number)
        start, end = times.split(" --> ")
        cues.append((milliseconds(start, ","), milliseconds(end, ","), text))
    return cues


def parsed_vtt(content: bytes) -> list[Cue]:
    """As browsers read it: a header, then blocks whose line with an arrow holds the times; tags and escapes in text."""
    header, *blocks = content.decode().removesuffix("\n").split("\n\n")
    assert header == "WEBVTT"
    cues = []
    for block in blocks:
        times, text = block.split("\n")
        assert "-->" not in text and "<" not in text and ">" not in text
        assert re.fullmatch(r"([^&]|&(amp|lt|gt);)*", text)
        start, end = times.split(" --> ")
        cues.append((milliseconds(start, "."), milliseconds(end, "."), html.unescape(text)))
    return cues


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(100, 10**7), st.text() | st.sampled_from(["a", "b", "-->", "\ud800", "&lt;"]))))
def test_subtitles_can_be_read_whatever_the_text(parts: list[tuple[int, str]]) -> None:
    found: list[Window] = []
    expected: list[Cue] = []
    start = 0
    for length, text in parts:
        end = start + length
        found.append(Window(start / 1000, end / 1000, text))
        kept = "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)
        words = " ".join(kept.split())
        if expected and expected[-1][2] == words:
            start = expected.pop()[0]
        expected.append((start, end, words))
        start = end
    expected = [cue for cue in expected if cue[2]]
    row = Row("talk.mp4", windows=tuple(found))
    subtitles, captions = srt(row) or b"", vtt(row) or b"WEBVTT\n"
    assert parsed_vtt(captions) == expected
    assert parsed_srt(subtitles) == [(*times, re.sub("-+->", "->", text)) for *times, text in expected]
