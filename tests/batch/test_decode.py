"""Frames ahead of the model: the same as without processes, in order, and a worker that dies costs one input."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixtell.batch import decode
from pixtell.batch.clips import Windows
from pixtell.batch.decode import Seen, Wish, later_ahead, see, seen_ahead
from pixtell.batch.inputs import InputOptions, list_items
from pixtell.batch.item import Item
from pixtell.config import PRESETS, PixelConfig
from pixtell.data.opened import Looks
from pixtell.errors import InputError
from pixtell.media import Media, open_media
from pixtell.pixels import fit_frames, to_pixels

WISH = Wish(Looks(frames=2), PixelConfig(size=32))
LATER = Windows(WISH.looks, WISH.pixels, (), later=((0.0, 1.0),))


@dataclass(frozen=True)
class Deadly:
    """A place that kills whoever reads it, as a fault in a decoder would."""

    def read(self) -> bytes:
        os.kill(os.getpid(), signal.SIGKILL)
        return b""

    def stamp(self) -> tuple[int, int]:
        return 1, 1


@dataclass(frozen=True)
class Failing:
    """A place whose reading fails as nobody foresaw."""

    error: type[Exception]

    def read(self) -> bytes:
        raise self.error("too deep")

    def stamp(self) -> tuple[int, int]:
        return 1, 1


@dataclass(frozen=True)
class Hanging:
    """A place that never answers, as a disk of a network that is gone."""

    def read(self) -> bytes:
        time.sleep(600)
        return b""

    def stamp(self) -> tuple[int, int]:
        return 1, 1


@pytest.fixture
def items(tmp_path: Path, photos: list[Path], clip: Path) -> list[Item]:
    folder = tmp_path / "folder"
    folder.mkdir()
    for number, path in enumerate([*photos, clip]):
        (folder / f"{number}{path.suffix}").write_bytes(path.read_bytes())
    (folder / "4.jpg").write_bytes(b"\xff\xd8\xff no picture")
    frames = folder / "frames"
    frames.mkdir()
    for number, path in enumerate(photos):
        (frames / f"{number}.png").write_bytes(path.read_bytes())
    one_clip = list_items([str(frames)], InputOptions(folder_is_clip=True)).items
    return [*list_items([str(folder)]).items, *one_clip]


def same(one: Seen, other: Seen) -> bool:
    if isinstance(one.outcome, InputError) or isinstance(other.outcome, InputError):
        return str(one.outcome) == str(other.outcome)
    pairs = zip(one.outcome.frames, other.outcome.frames, strict=True)
    return (one.item, one.sha256, one.stamp) == (other.item, other.sha256, other.stamp) and all(
        a.tobytes() == b.tobytes() for a, b in pairs
    )


def test_what_is_seen_is_what_the_library_sees(items: list[Item], photos: list[Path]) -> None:
    seen = [see(item, WISH) for item in items]
    assert [isinstance(one.outcome, Media) for one in seen] == [True, True, True, True, False, True]
    for one, path in zip(seen, photos, strict=False):
        assert isinstance(one.outcome, Media)
        assert one.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert one.stamp[0] == path.stat().st_size
        library = to_pixels(open_media(path).frames, WISH.pixels)
        assert one.outcome.fitted == WISH.pixels
        assert np.array_equal(to_pixels(one.outcome.frames, WISH.pixels, fitted=True), library)
    assert isinstance(seen[3].outcome, Media) and len(seen[3].outcome.frames) == 2
    assert isinstance(seen[4].outcome, InputError) and seen[4].outcome.code == "broken"
    assert str(seen[4].outcome).startswith(items[4].name)


@pytest.mark.parametrize("workers", [1, 2])
def test_processes_change_nothing(items: list[Item], workers: int) -> None:
    expected = [see(item, WISH) for item in items]
    found = list(seen_ahead(items, WISH, workers, ahead=3))
    assert all(same(one, other) for one, other in zip(found, expected, strict=True))


def test_a_worker_that_dies_costs_one_input(items: list[Item]) -> None:
    deadly = Item("deadly.jpg", Deadly(), "deadly.jpg")
    mixed = [items[0], deadly, items[1], items[2], deadly, items[3]]
    found = list(seen_ahead(mixed, WISH, 2, ahead=4))
    assert [one.item for one in found] == mixed
    codes = [one.outcome.code if isinstance(one.outcome, InputError) else "" for one in found]
    assert codes == ["", "crashed", "", "", "crashed", ""]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (MemoryError, "memory", "a.jpg: there is not enough memory to open it"),
        (RecursionError, "fault", "a.jpg: opening it failed as nobody foresaw (RecursionError: too deep)"),
    ],
)
def test_whatever_is_raised_is_the_outcome_of_one_input(error: type[Exception], code: str, message: str) -> None:
    item = Item("a.jpg", Failing(error), "a.jpg")
    outcome = see(item, WISH).outcome
    assert isinstance(outcome, InputError)
    assert outcome.code == code and str(outcome).startswith(message)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        list(later_ahead(item, LATER))
    assert caught.value.code == code


def test_what_never_answers_costs_one_input(items: list[Item], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "PATIENCE", 5.0)
    monkeypatch.setattr(decode, "PATIENCE_WITH_CLIPS", 5.0)
    hanging = Item("hanging.jpg", Hanging(), "hanging.jpg")
    found = list(seen_ahead([items[0], hanging, items[1]], WISH, 2, ahead=3))
    assert [isinstance(one.outcome, Media) for one in found] == [True, False, True]
    outcome = found[1].outcome
    assert isinstance(outcome, InputError) and outcome.code == "timeout"
    assert str(outcome).startswith("hanging.jpg: not opened within 5 seconds")
    with pytest.raises(InputError, match="not opened within 5 seconds"):
        list(later_ahead(hanging, LATER))


def test_clips_may_take_longer(items: list[Item]) -> None:
    assert {decode.patience(one) for one in items[:3]} == {decode.PATIENCE}
    assert {decode.patience(one) for one in (items[3], items[5])} == {decode.PATIENCE_WITH_CLIPS}


@pytest.mark.parametrize("pixels", {p.authors_pixels for p in PRESETS.values()} | {PixelConfig(40, "squash")}, ids=str)
def test_frames_that_were_fitted_ahead_give_the_same_pixels(pixels: PixelConfig) -> None:
    generator = np.random.default_rng(5)
    for size in [(640, 480), (480, 640), (500, 500), (1000, 200), (90, 333), (224, 224), (701, 300)]:
        frame = Image.fromarray(generator.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
        ahead = to_pixels(fit_frames([frame], pixels), pixels, fitted=True)
        assert np.array_equal(ahead, to_pixels([frame], pixels))


def test_a_scaled_jpeg_is_hard_to_tell(tmp_path: Path) -> None:
    """A smooth picture of 1600 x 1200 pixels for a model that looks at 224: decoded at half its size or whole."""
    y, x = np.mgrid[0:1200, 0:1600]
    waves = [127 + 120 * np.sin(x / 37 + c) * np.cos(y / (23 + 9 * c)) for c in range(3)]
    path = tmp_path / "large.jpg"
    Image.fromarray(np.stack(waves, axis=-1).astype(np.uint8)).save(path, quality=90)
    pixels = PixelConfig(size=224)
    (item,) = list_items([str(path)]).items
    scaled, whole = (see(item, Wish(Looks(), pixels, exact=exact)).outcome for exact in (False, True))
    assert isinstance(scaled, Media) and isinstance(whole, Media)
    difference = np.abs(np.asarray(scaled.frames[0], int) - np.asarray(whole.frames[0], int))
    assert 0 < difference.mean() < 0.5 and difference.max() <= 4
    assert open_media(path, least_side=448).frames[0].size == (800, 600)


PARENT = """
import sys, time
from pixtell.batch.decode import Wish, seen_ahead
from pixtell.batch.inputs import list_items
from pixtell.config import PixelConfig
from pixtell.data.opened import Looks
if __name__ == "__main__":
    seen = seen_ahead(list_items(sys.argv[1:]).items * 50, Wish(Looks(), PixelConfig(size=32)), 2, 4)
    next(seen)
    print("working", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_workers_end_with_a_killed_parent(tmp_path: Path, photos: list[Path]) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, script, *photos], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None and parent.stdout.readline() == "working\n"
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    assert children
    parent.kill()
    parent.wait()
    parent.stdout.close()

    def alive(child: str) -> bool:
        try:
            return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except FileNotFoundError:
            return False

    for _ in range(100):
        if not any(map(alive, children)):
            return
        time.sleep(0.1)
    raise AssertionError("workers outlived their parent by ten seconds")
