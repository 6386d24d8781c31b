"""Jobs of captions that are killed, anywhere between their first row and their last file, end in the same bytes."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from .caption_folders import FORMS, files, folder_of

SIDECARS = ("txt", "xmp", "srt", "vtt")
PATIENCE = 600  # seconds that a job may take; one that hangs fails

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is not there")


@dataclass(frozen=True)
class Job:
    """A job that writes everything that can be written."""

    photos: Path
    out: Path
    model: tuple[str, ...]

    @property
    def journal(self) -> Path:
        return self.out / "rows.jsonl.journal"

    def begin(self) -> subprocess.Popen[str]:
        outputs = [word for form in FORMS for word in ("-o", str(self.out / form))]
        outputs += [word for kind in SIDECARS for word in ("--sidecar", kind)]
        outputs += ["--out-dir", str(self.out / "texts"), "--html", str(self.out / "page.html"), "--shard-size", "50"]
        words = ["caption", str(self.photos), "-r", *outputs, *self.model, "--batch-size", "4", "--every", "1s"]
        command = [sys.executable, "-m", "pixtell", *words]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)

    def wait_for(self, size: float, process: subprocess.Popen[str]) -> None:
        """Until so many bytes of the journal are there, or the job has ended."""
        end = time.monotonic() + PATIENCE
        while process.poll() is None and (not self.journal.exists() or self.journal.stat().st_size < size):
            if time.monotonic() > end:
                process.kill()
                pytest.fail(f"the job hangs: {process.communicate()[1]}")
            time.sleep(0.005)

    def end(self, process: subprocess.Popen[str]) -> None:
        try:
            _, told = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
        assert process.returncode == 1, told

    def files(self) -> dict[str, bytes]:
        """What it wrote, but for the journal and the thumbnails, whose order tells how often it was begun."""
        return files(self.out, but=(".journal", ".thumbs"))


def killed(job: Job, moments: list[tuple[float, float]]) -> int:
    """Begin the job again for each moment (a size that its journal comes to, and seconds after that), and kill it then;
    returns how many of these jobs had not ended before."""
    hit = 0
    for size, later in moments:
        process = job.begin()
        job.wait_for(size, process)
        time.sleep(later)
        hit += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
    return hit


@pytest.mark.parametrize(
    ("count", "kills"), [(120, 3), pytest.param(600, 20, marks=pytest.mark.slow)], ids=["three", "twenty"]
)
def test_killed_all_over_the_run(tiny: list[str], clip: Path, tmp_path: Path, count: int, kills: int) -> None:
    """After each share of the rows, and a last time when all are known and the files of all rows are written."""
    pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
    folder = folder_of(tmp_path / "photos", count)
    for number in range(0, count, 30):
        other = b"\0\0\0\x08free" * number  # a box of nothing, so that no two clips are the same
        (folder / f"{number:03}b.mp4").write_bytes(clip.read_bytes() + other)
    job = Job(folder, tmp_path / "out", tuple(tiny))
    process = job.begin()
    job.wait_for(1000, process)
    start = time.monotonic()
    job.end(process)
    expected, size = job.files(), job.journal.stat().st_size
    # The seconds of a part; not many, as the machine may be quicker later.
    part = min(0.05, (time.monotonic() - start) / job.journal.read_bytes().count(b"\n"))
    shutil.rmtree(job.out)
    assert {*FORMS[:-1], "rows-000000.tar", "page.html", "texts/000b.srt", "texts/030b.vtt"} <= expected.keys()

    chance = random.Random(kills)
    moments = [((share + 0.5) / (kills - 1) * size, chance.uniform(0, part)) for share in range(kills - 1)]
    assert killed(job, [*moments, (size, 0.0)]) >= 0.8 * kills  # the others were over sooner
    job.end(job.begin())
    found = job.files()
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []
