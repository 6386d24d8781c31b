"""Every way in: paths, standard input, bytes, file objects, PIL images, arrays, lists and folders."""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import odd_files as odd
import pytest
from PIL import Image

from pixtell.errors import ConfigError, InputError
from pixtell.media import Media, clip_timeline, open_media, open_stretches

JPEG = odd.oriented("JPEG", 6, quality=95)
PNG = odd.saved(odd.quadrants(), "PNG")


def refused(source: Any, **options: Any) -> tuple[str, str]:
    with pytest.raises(InputError) as caught:
        open_media(source, **options)
    assert "\n" not in str(caught.value)
    return caught.value.code, str(caught.value)


def letters(media: Media) -> list[str]:
    return [odd.read_quadrants(frame) for frame in media.frames]


class Pipe(io.RawIOBase):
    """A binary stream that can't seek."""

    def __init__(self, data: bytes) -> None:
        self.inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self.inner.readinto(buffer)


@pytest.mark.parametrize("data", [JPEG, odd.clip(count=2, draw=odd.draw_quadrants)], ids=["photo", "clip"])
def test_one_content_looks_the_same_by_every_way_in(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ein Foto, übrigens.png"
    path.write_bytes(data)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    ways: list[tuple[Any, str]] = [
        (path, str(path)),
        (str(path), str(path)),
        (data, "<bytes>"),
        (bytearray(data), "<bytes>"),
        (memoryview(data), "<bytes>"),
        (io.BytesIO(data), "<file>"),
        (Pipe(data), "<file>"),
        ("-", "-"),
    ]
    expected = open_media(data)
    for source, name in ways:
        media = open_media(source)
        assert media.source == name
        assert media.times == expected.times
        assert [frame.tobytes() for frame in media.frames] == [frame.tobytes() for frame in expected.frames]


def test_a_photo_gives_one_frame_whatever_is_asked() -> None:
    for frames in (1, 6, 100):
        media = open_media(JPEG, frames=frames)
        assert (letters(media), media.times) == (["RGBW"], (0.0,))


def test_a_file_object_is_read_from_its_start_and_left_where_it_was() -> None:
    for data in (JPEG, PNG, odd.clip(), odd.saved(odd.quadrants(), "TIFF"), b"text"):
        file = io.BytesIO(data)
        file.seek(3)
        if data == b"text":
            assert refused(file)[0] == "unsupported"
        else:
            open_media(file)
        assert file.tell() == 3


def test_a_text_file_object_is_refused() -> None:
    assert refused(io.StringIO("a photo")) == ("unsupported", "<file>: the file gives text: open it in binary mode")


def test_an_object_that_only_reads_everything() -> None:
    class Upload:
        """Has `read` and nothing else, as some web frameworks give."""

        def __init__(self, data: Any) -> None:
            self.data = data

        def read(self) -> Any:
            return self.data

    assert letters(open_media(Upload(PNG))) == ["RGBW"]
    assert refused(Upload("text"))[1] == "<file>: the file gives str, not bytes"


def test_a_path_that_a_terminal_cannot_show_is_named_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "two\nlines\x1b[31m.jpg"
    path.write_bytes(b"no picture")
    assert refused(path)[1].startswith(f"{tmp_path}/two?lines?[31m.jpg: it holds text")
    path.write_bytes(PNG)
    assert open_media(path).source == str(path)


def test_a_terminal_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", terminal)
    code, message = refused("-")
    assert (code, message[:3]) == ("empty", "-: ")


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("nothing.jpg", "missing", "no such file"),
        ("photo.jpg/inside.jpg", "missing", "no such file"),
        ("https://example.org/photo.jpg", "missing", "not fetched"),
        ("", "missing", "no such file"),
        ("a" * 5000, "unreadable", "can't be opened"),
        ("a\0b", "unreadable", "can't be opened"),
    ],
)
def test_paths_that_lead_nowhere(name: str, code: str, words: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").write_bytes(JPEG)
    found, message = refused(name)
    assert found == code
    assert words in message


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(path: str, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", deny)
    assert refused("photo.jpg") == ("unreadable", "photo.jpg: it can't be opened: Permission denied")


def test_a_pil_image_is_turned_but_never_changed(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(JPEG)
    with Image.open(path) as image:
        before = (image.mode, image.size, image.tobytes(), dict(image.info), dict(image.getexif()))
        media = open_media(image)
        assert (media.source, letters(media)) == (str(path), ["RGBW"])
        assert letters(open_media(image, respect_exif=False)) == ["GWRB"]
        assert (image.mode, image.size, image.tobytes(), dict(image.info), dict(image.getexif())) == before


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK", "1", "I;16", "F"])
def test_a_pil_image_in_any_mode_is_never_changed_by_way_of_its_frame(mode: str) -> None:
    image = Image.new(mode, (4, 4))
    before = image.tobytes()
    media = open_media(image)
    assert media.source == "<image>"
    media.frames[0].paste((9, 9, 9), (0, 0, 4, 4))
    assert (image.mode, image.tobytes()) == (mode, before)


def test_a_pil_image_that_is_cut_off() -> None:
    code, message = refused(Image.open(io.BytesIO(odd.saved(odd.quadrants(size=(400, 300)), "JPEG")[:-800])))
    assert (code, message[:9]) == ("truncated", "<image>: ")


@pytest.mark.parametrize(
    ("shape", "frames", "size"),
    [
        ((32, 48), 1, (48, 32)),
        ((32, 48, 1), 1, (48, 32)),
        ((32, 48, 3), 1, (48, 32)),
        ((32, 48, 4), 1, (48, 32)),
        ((9, 32, 48, 3), 9, (48, 32)),
        ((2, 32, 48, 1), 2, (48, 32)),
        ((1, 1, 3), 1, (1, 1)),
    ],
)
def test_arrays(shape: tuple[int, ...], frames: int, size: tuple[int, int]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    array[..., 3:] = 255
    before = array.copy()
    media = open_media(array)
    assert (media.source, len(media.frames), {frame.size for frame in media.frames}) == ("<array>", frames, {size})
    assert media.times == tuple(float(second) for second in range(frames))
    seen = np.stack([np.asarray(frame) for frame in media.frames])
    wanted = array.reshape(frames, size[1], size[0], -1)[..., :3]
    assert np.array_equal(seen, np.broadcast_to(wanted, seen.shape))
    media.frames[0].paste((1, 2, 3), (0, 0, *size))
    assert np.array_equal(array, before)


def test_array_views_are_read_as_they_look() -> None:
    array = np.asarray(odd.quadrants())
    assert letters(open_media(array[:, ::-1])) == ["GRWB"]
    assert letters(open_media(array.transpose(1, 0, 2))) == ["RBGW"]


@pytest.mark.parametrize(
    ("array", "code", "words"),
    [
        (np.zeros((8, 8, 3), np.float32), "unsupported", "float32"),
        (np.zeros((8, 8), np.uint16), "unsupported", "uint16"),
        (np.zeros((3, 8, 9), np.uint8), "unsupported", "3 x 8 x 9"),
        (np.zeros((8,), np.uint8), "unsupported", "its shape is 8:"),
        (np.zeros((1, 2, 8, 8, 3), np.uint8), "unsupported", "1 x 2 x 8 x 8 x 3"),
        (np.zeros((0, 8, 8, 3), np.uint8), "empty", "0 x 8 x 8 x 3"),
        (np.zeros((8, 0), np.uint8), "empty", "8 x 0"),
        (np.zeros((100, 101), np.uint8), "too_large", "101 x 100"),
    ],
)
def test_arrays_that_are_refused(array: Any, code: str, words: str) -> None:
    found, message = refused(array, max_pixels=10_000)
    assert found == code
    assert message.startswith("<array>: ")
    assert words in message


def test_a_list_is_the_frames_its_maker_chose(tmp_path: Path) -> None:
    path = tmp_path / "frame.webp"
    path.write_bytes(odd.saved(odd.quadrants("BBBB", (10, 6)), "WEBP", lossless=True))
    media = open_media([JPEG, path, odd.quadrants("KDLW"), np.asarray(odd.quadrants("GGGG"))] * 3, frames=6)
    assert media.source == "<12 frames>"
    assert letters(media) == ["RGBW", "BBBB", "KDLW", "GGGG"] * 3
    assert media.times == tuple(map(float, range(12)))
    assert media.frames[1].size == (10, 6)
    assert letters(open_media([JPEG], respect_exif=False)) == ["GWRB"]


@pytest.mark.parametrize(
    ("items", "code", "start"),
    [
        ([], "empty", "<0 frames>: "),
        ([b""], "empty", "<1 frame>: frame 1: <bytes>: "),
        ([PNG, b"text"], "unsupported", "<2 frames>: frame 2: <bytes>: "),
        ([PNG, "gone.jpg"], "missing", "gone.jpg: "),
        ([PNG, [PNG]], "frames", "<2 frames>: frame 2 is itself a list"),
        ([odd.clip(), PNG], "frames", "<bytes>: a clip can't be frame 1 of 2"),
        ([PNG, 3], "unsupported", "<2 frames>: frame 2: <int>: "),
    ],
)
def test_lists_that_are_refused(items: list[Any], code: str, start: str) -> None:
    found, message = refused(items)
    assert found == code
    assert message.startswith(start)


def test_a_folder_is_a_clip_in_natural_order(tmp_path: Path) -> None:
    for number in range(12):
        Image.fromarray(odd.bars(number)).save(tmp_path / f"Frame{number}.png")
    (tmp_path / ".hidden.png").write_bytes(PNG)
    (tmp_path / "Frame5.txt").write_text("not a picture, in spite of its neighbours")
    (tmp_path / "Frame6.jpg").write_bytes(b"")
    (tmp_path / "Frame7.mp4").write_bytes(odd.clip())
    (tmp_path / "Frame8 folder").mkdir()
    media = open_media(tmp_path)
    assert media.source == str(tmp_path)
    assert [odd.read_bars(frame) for frame in media.frames] == [1, 3, 5, 7, 9, 11]
    assert media.times == (1.0, 3.0, 5.0, 7.0, 9.0, 11.0)
    whole = open_media(str(tmp_path), frames=12)
    assert [odd.read_bars(frame) for frame in whole.frames] == list(range(12))
    assert open_media(tmp_path, frames=50).times == whole.times
    window = open_media(tmp_path, frames=2, sampling="window", seed=1)
    assert [odd.read_bars(frame) for frame in window.frames] == [int(time) for time in window.times]


def test_a_folder_whose_picture_is_broken_says_which(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / "b.png").write_bytes(PNG[:-40])
    code, message = refused(tmp_path)
    assert code == "truncated"
    assert message.startswith(f"{tmp_path}{os.sep}b.png: ")


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    assert refused(tmp_path) == ("no_pictures", f"{tmp_path}: the folder holds no pictures (no files at all)")
    (tmp_path / "notes.txt").write_text("none here")
    assert refused(tmp_path) == ("no_pictures", f"{tmp_path}: the folder holds no pictures (1 other files)")


@pytest.mark.parametrize("source", [None, 3, 2.5, {"a": 1}, object()])
def test_what_is_no_source_at_all(source: Any) -> None:
    code, message = refused(source)
    assert code == "unsupported"
    assert message.startswith(f"<{type(source).__name__}>: ")


def test_options_out_of_range_are_errors_for_a_photo_too() -> None:
    with pytest.raises(ConfigError, match=r"(?s)2 problems.*frames must be at least 1, got 0.*sampling.*'first'"):
        open_media(JPEG, frames=0, sampling="first")  # type: ignore[arg-type]


def test_the_limit_is_told_with_the_size_and_the_cure() -> None:
    code, message = refused(PNG, max_pixels=1000)
    assert code == "too_large"
    assert message == (
        "<bytes>: 48 x 32 pixels are 0.001536 megapixels, above the limit of 0.001: "
        "make it smaller, or raise max_pixels if you trust it"
    )
    assert letters(open_media(PNG, max_pixels=48 * 32)) == ["RGBW"]


def test_many_threads_read_at_once() -> None:
    """Photos and clips side by side, as a server's decoding threads do it."""
    found: list[list[str]] = []

    def work() -> None:
        for data in (JPEG, odd.oriented("TIFF", 8), odd.clip(count=2, draw=odd.draw_quadrants)):
            found.append(sorted(set(letters(open_media(data)))))

    odd.clip(count=2, draw=odd.draw_quadrants)
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [["RGBW"]] * 24


def test_a_clip_tells_how_long_it_is_whatever_its_header_says() -> None:
    data = odd.clip(count=30, start=7)
    timeline = clip_timeline(io.BytesIO(odd.patched(data, b"mvhd", 16, 1_000_000)))
    assert timeline is not None
    assert (timeline.duration, len(timeline.starts)) == (3.0, 30)
    for photo in (JPEG, PNG, odd.animation("GIF", (100, 200)), odd.animation("WEBP", (100, 200))):
        assert clip_timeline(io.BytesIO(photo)) is None


@pytest.mark.parametrize(
    ("data", "code"), [(b"", "empty"), (b"text", "unsupported"), (odd.sound(), "no_video"), (odd.half(odd.clip()), "")]
)
def test_what_has_no_timeline_says_why_in_its_name(data: bytes, code: str) -> None:
    with pytest.raises(InputError, match=r"^talk\?\.mp4: ") as caught:
        clip_timeline(io.BytesIO(data), name="talk\n.mp4")
    assert caught.value.code == (code or "truncated")


@pytest.mark.parametrize("options", [{"codec": "libx264"}, {"container": "avi"}], ids=["quick", "slow"])
def test_a_clip_is_seen_in_stretches(options: dict[str, Any]) -> None:
    file = io.BytesIO(odd.clip(count=50, **options))
    file.seek(9)
    spans = [(0.0, 2.0), (2.0, 4.0), (4.0, 9.0)]
    timeline = clip_timeline(file)
    for known in (timeline, None):
        found = list(open_stretches(file, spans, known, name="talk\n.mp4", frames=2))
        assert [(one.start, one.end, one.media.times) for one in found] == [
            (0.0, 2.0, (0.5, 1.5)),
            (2.0, 4.0, (2.5, 3.5)),
            (4.0, 5.0, (4.2, 4.7)),
        ]
        shown = [[odd.read_bars(frame) for frame in one.media.frames] for one in found]
        assert shown == [[5, 15], [25, 35], [42, 47]]
        assert {one.media.source for one in found} == {"talk\n.mp4"}
        assert {frame.mode for one in found for frame in one.media.frames} == {"RGB"}


def test_a_stretch_that_is_the_whole_clip_is_seen_as_the_clip_is() -> None:
    data = odd.clip(count=50, turn=(90, False))
    for options in ({}, {"respect_exif": False}, {"sampling": "window", "seed": 5}):
        [stretch] = open_stretches(io.BytesIO(data), [(0.0, 60.0)], frames=4, **options)
        media = open_media(data, frames=4, **options)
        assert (stretch.start, stretch.end, stretch.media.times) == (0.0, 5.0, media.times)
        assert [f.tobytes() for f in stretch.media.frames] == [f.tobytes() for f in media.frames]


EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.parametrize("path", sorted([*EXAMPLES.glob("*.jpg"), *EXAMPLES.glob("*.mp4")]), ids=lambda path: path.name)
def test_the_samples_are_small_readable_and_their_licence_is_named(path: Path) -> None:
    media = open_media(path)
    assert len(media.frames) == (6 if path.suffix == ".mp4" else 1)
    assert path.stat().st_size <= (300_000 if path.suffix == ".mp4" else 60_000)
    assert f"| `{path.name}` |" in (EXAMPLES / "LICENSES.md").read_text()
