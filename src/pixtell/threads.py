"""How long a thread that has done its part of an operation waits awake for the others.

Under Linux torch's threads are libgomp's. Who is ready first spins, as being woken takes longer than most operations
do; but libgomp counts to 300,000, and since Skylake each of Intel's PAUSEs takes up to 140 cycles, where it took 10
(Intel's optimization manual, "Pause latency"). So a thread spins for 14 ms, longer than the system lets a process run
at a stretch. Where other work wants the cores too, it is awake on the very core that the thread it waits for needs.

The surprising thing: that costs more than all else together. Two `pixtell caption` of 24 photos each at once, on two
cores of an Intel Xeon, took 19.1 s with 300,000 spins (GOMP_SPINCOUNT) and 4.2 s with ours; one alone 2.0 s either way.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from itertools import takewhile
from pathlib import Path

SPINS = 10_000  # half a millisecond; 5,000 make a process that is alone an eighth slower
OF_USERS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")  # libgomp's manual, "Environment Variables"


def wait_briefly(environment: MutableMapping[str, str] = os.environ, cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Have torch, once it is imported, wait awake for half a millisecond at most; returns whether it was told so.

    What a user says about waiting stands. Other processors are left as they are: their PAUSE is another one.
    """
    if "torch" in sys.modules or any(name in environment for name in OF_USERS) or not _pauses_long(cpuinfo):
        return False
    environment["GOMP_SPINCOUNT"] = str(SPINS)
    return True


def _pauses_long(cpuinfo: Path) -> bool:
    """Whether this is an Intel since Skylake, the first of them to flush cache lines without order (CLFLUSHOPT)."""
    try:
        with cpuinfo.open(encoding="utf-8", errors="replace") as lines:
            first = list(takewhile(str.strip, lines))  # a block a core, each of which the kernel makes as it is read
    except OSError:  # no Linux
        return False
    fields = {name.strip(): value.split() for name, _, value in (line.partition(":") for line in first)}
    return fields.get("vendor_id") == ["GenuineIntel"] and "clflushopt" in fields.get("flags", [])
