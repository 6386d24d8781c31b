"""Memory that stays with the process."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from pixtell.data.memory import KEPT
from pixtell.data.workers import in_order

FAULTS = """
import resource, torch
from pixtell.data.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones(16_000_000)  # 64 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

freely = faults()
assert keep_freed_memory()
print(freely, min(faults() for _ in range(4)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc can be told")
def test_what_was_freed_is_used_again_without_asking_the_system() -> None:
    found = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    freely, kept = map(int, found.stdout.split())
    assert kept < freely / 10, (freely, kept)


def resident(what: str) -> int:
    """Bytes of this process, of a line of proc(5)'s `status`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{what}:")).split()[1]) << 10


def open_of_size(side: int) -> tuple[int, int]:
    """What the process holds when the job begins, and the most that it ever held when it ends."""
    before = resident("VmRSS")
    picture = Image.new("L", (side, side), 7).convert("RGB")
    assert picture.rotate(90).getpixel((0, 0)) == (7, 7, 7)
    return before, resident("VmHWM")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc can be told")
def test_a_process_does_not_keep_what_the_largest_picture_needed() -> None:
    sizes = [500, 3000, 9000, 500, 3000, 500, 9000, 500]
    held = [found for _, found in in_order(open_of_size, sizes, 1, 1, lambda size: (0, 0))]
    assert held[-1][1] > 1.5 * KEPT, "the large ones took more"
    assert max(before for before, _ in held) < KEPT, held
