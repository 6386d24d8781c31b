"""One process at a time writes a file that grows.

In: an open file. Out: an error where another process has it. The surprising thing: nobody unlocks. The lock ends with
the process, however that ends, or with the file being closed.
"""

from __future__ import annotations

from pathlib import Path

from pixtell.errors import PixtellError


def lock(handle: int, path: Path, cure: str) -> None:
    """Hold the open file `handle`, or raise `PixtellError` with what to do when another process holds it."""
    try:
        import fcntl
    except ImportError:  # Windows has no such lock that leaves reading free
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PixtellError(f"{path}: another process is at it: {cure}") from None
    except OSError:  # some file systems of clusters know no locks
        return
