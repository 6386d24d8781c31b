"""Memory that stays with the process."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from pixtell.data.workers import in_order
from pixtell.memory import KEPT

ONLY_GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc can be told")
FAULTS = """
import resource, torch

def faults(megabytes):
    "How many pages the system gives for four blocks, at best."
    found = []
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        blocks = [torch.ones(megabytes * 250_000) for _ in range(4)]
        del blocks
        found.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return min(found)
"""


def told(code: str, **environment: str) -> list[int]:
    """What a process prints that knows `faults`."""
    command = [sys.executable, "-c", FAULTS + code]
    found = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    assert found.returncode == 0, found.stderr
    return [int(number) for number in found.stdout.split()]


@ONLY_GLIBC
def test_what_was_freed_is_used_again_without_asking_the_system() -> None:
    code = """
from pixtell.memory import keep_freed_memory
before = faults(64)
assert keep_freed_memory()
print(before, faults(64))
assert keep_freed_memory(1 << 20, 1 << 20)
print(faults(64))
"""
    freely, kept, asked_for_less = told(code)
    assert kept < freely / 10
    assert asked_for_less < freely / 10, "what was asked for is not taken back"


@ONLY_GLIBC
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_on_a_cpu_uses_its_memory_again(dtype: str) -> None:
    """But blocks that are larger than those of its passes go back. At first all go back, whatever glibc makes of it."""
    code = f"""
import ctypes, pixtell
assert ctypes.CDLL(None).mallopt(-3, 128 << 10) == 1  # M_MMAP_THRESHOLD, which from then on stays
before = faults(30)
pixtell.load("pixtell-mini", device="cpu", dtype="{dtype}")
print(before, faults(30), faults(64))
"""
    freely, kept, large = told(code)
    assert kept < freely / 10 and large > freely


@ONLY_GLIBC
@pytest.mark.parametrize(
    ("name", "value"), [("MALLOC_TRIM_THRESHOLD_", "131072"), ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=131072")]
)
def test_what_a_user_said_of_malloc_stands(name: str, value: str) -> None:
    code = """
from pixtell.memory import keep_freed_memory
before = faults(30)
assert not keep_freed_memory()
print(before, faults(30))
"""
    before, after = told(code, **{name: value})
    assert after > before / 2


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


@ONLY_GLIBC
def test_a_process_does_not_keep_what_the_largest_picture_needed() -> None:
    sizes = [500, 3000, 9000, 500, 3000, 500, 9000, 500]
    held = [found for _, found in in_order(open_of_size, sizes, 1, 1, lambda size: (0, 0))]
    assert held[-1][1] > 1.5 * KEPT, "the large ones took more"
    assert max(before for before, _ in held) < KEPT, held
