"""Memory that is freed stays with the process, for the next step or picture.

glibc asks the system for every large block anew and gives it back at once, and the system clears each page of it: on a
CPU a quarter of a training step of the bundled model went there (2.1 against 1.6 s), and a tenth of opening a photo of
12 megapixels. What comes next needs what was freed just now, so nothing is lost by keeping it. Only where what comes is
of very different sizes, the largest of all would be kept for ever: `give_back_memory` is called between.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

# malloc.h: up to how much that is free at its end stays with the heap, and from how much on a block is no part of it.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MOST = 2**31 - 1  # mallopt takes an int
MOST_OF_OLD = 32 << 20  # all that older glibcs take for M_MMAP_THRESHOLD
KEPT = 256 << 20  # bytes: what Pillow and NumPy take (below 100 MB), and photos of up to 24 megapixels (150 MB)


def keep_freed_memory() -> bool:
    """Have the process keep what it frees; returns whether this C library can be told so (glibc's can)."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    trims = mallopt(M_TRIM_THRESHOLD, MOST) == 1
    return trims and any(mallopt(M_MMAP_THRESHOLD, least) == 1 for least in (MOST, MOST_OF_OLD))


def give_back_memory(most: int = KEPT) -> None:
    """Give freed memory back to the system where the process holds more than `most` bytes; where that can't be told,
    nothing happens."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])  # proc(5): resident
    except OSError:
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None and pages * os.sysconf("SC_PAGESIZE") > most:
        trim(0)
