"""One place of a batch: clips of several frames, photos at a scale near the target, what stands in."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from tiny_data import jpeg, noise, png

from pixtell.data.row import Stored
from pixtell.data.sample import JITTER, Candidate, Sample, open_candidate, see
from pixtell.data.views import View

FRAMES = 30


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 30 frames, each brighter than the one before."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 64, 48
        for level in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 8 * level, dtype=np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def sample(*paths: Path, frames: int = 1, chance: int = 0, size: int = 16, exact: bool = False) -> Sample:
    candidates = tuple(Candidate(path.stem, Stored(path, path.name)) for path in paths)
    return Sample(candidates, View(size, frames, "squash", 1.0), (chance,), exact)


def levels(frames: tuple[Image.Image, ...]) -> list[float]:
    """Which frame of the clip each is, by its brightness."""
    return [float(np.asarray(frame).mean()) / 8 for frame in frames]


@pytest.mark.parametrize("wanted", [1, 3, 6])
def test_a_clip_gives_one_frame_of_each_part_of_its_time(clip: Path, wanted: int) -> None:
    seen = set()
    for chance in range(12):
        found = levels(see(sample(clip, frames=wanted, chance=chance)).frames)
        part = FRAMES / wanted
        assert all(place * part - 1 < level < (place + 1) * part + 1 for place, level in enumerate(found))
        seen.add(tuple(map(round, found)))
    assert 3 <= len(seen) <= 12 and (wanted > 1 or len(seen) == JITTER), "which frame is chance"


def test_a_folder_of_frames_is_a_clip(tmp_path: Path) -> None:
    for number in range(4):
        Image.new("RGB", (20, 20), (8 * number,) * 3).save(tmp_path / f"{number}.png")
    assert levels(see(sample(tmp_path, frames=4)).frames) == [0, 1, 2, 3]
    few = levels(see(sample(tmp_path, frames=6)).frames)
    assert len(few) == 6 and few == sorted(few), "repeated where there are too few"
    Image.new("RGB", (24, 20)).save(tmp_path / "9.png")
    [problem] = see(sample(tmp_path, frames=5)).broken
    assert problem.code == "frames" and "must be of one size, not 20 x 20 and 24 x 20" in problem.message


def test_jpegs_are_decoded_near_the_target(tmp_path: Path) -> None:
    """At no less than twice the side of the smallest crop, and hardly to be told from whole ones."""
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(noise((1200, 900), 1)))
    quick, exact = sample(path, size=64), sample(path, size=64, exact=True)
    assert open_candidate(quick.candidates[0], exact).frames[0].size == (1200, 900)
    opened = open_candidate(quick.candidates[0], quick).frames[0]
    assert opened.size == (300, 225) and min(opened.size) * quick.view.least_part >= 2 * 64
    one, other = (np.asarray(see(one).frames[0], dtype=float) for one in (quick, exact))
    assert np.abs(one - other).mean() < 1


def test_the_first_that_can_be_seen(tmp_path: Path) -> None:
    cut, text, good = tmp_path / "cut.png", tmp_path / "text.jpg", tmp_path / "good.png"
    good.write_bytes(png(noise((20, 20), 1)))
    cut.write_bytes(good.read_bytes()[:70])
    text.write_text("not a picture")
    seen = see(sample(cut, text, tmp_path / "none.png", good))
    assert [problem.code for problem in seen.broken] == ["truncated", "unsupported", "missing"]
    assert [problem.message.partition(":")[0] for problem in seen.broken] == ["cut", "text", "none.png"]
    assert seen.frames == see(sample(good)).frames
    assert see(sample(cut)).frames == ()


def test_nothing_of_it_needs_torch() -> None:
    import subprocess
    import sys

    code = "import sys, pixtell.data.sample, pixtell.data.shards, pixtell.data.clean; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
