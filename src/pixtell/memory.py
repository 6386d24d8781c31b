"""Memory that is freed stays with the process, for the next picture, pass or step.

glibc gives free memory back to the system as soon as there is much of it, and the system clears each page anew when it
is asked for again. What a model needs comes and goes with every layer, so a good share of a CPU's time can go there:
of a training step of the bundled model a quarter (2.1 against 1.6 s), of opening a photo of 12 megapixels a tenth.

The surprising thing: how much is luck. glibc sets its own limits by the sizes that it happens to see, and the same
int8 git-base, on the same pictures, took 50 ms a picture or 90, and might change between two passes. What comes next
needs what was freed just now, so nothing is lost by keeping it. Only where what comes is of very different sizes, the
largest of all would be kept for ever: `give_back_memory` is called between.
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
# A model's passes: blocks of what glibc may set itself, and of free ones at the heap's end what a pass takes.
BLOCK_OF_A_PASS, SPARE_OF_A_PASS = 32 << 20, 256 << 20
OF_USERS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")  # mallopt(3)

_kept = (0, 0)


def keep_freed_memory(block: int = MOST, spare: int = MOST) -> bool:
    """Have the process keep freed blocks of up to `block` bytes, and `spare` bytes of them where nothing lies behind.

    Returns whether this C library can be told so (glibc's can). What the environment says about malloc stands, and what
    was asked for before is not taken back.
    """
    global _kept
    if not sys.platform.startswith("linux"):
        return False
    if any(map(os.environ.get, OF_USERS)) or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    block, spare = max(block, _kept[0]), max(spare, _kept[1])
    trims = mallopt(M_TRIM_THRESHOLD, spare) == 1
    told = trims and any(mallopt(M_MMAP_THRESHOLD, least) == 1 for least in (block, MOST_OF_OLD))
    if told:
        _kept = block, spare
    return told


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
