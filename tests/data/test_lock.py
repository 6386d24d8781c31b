"""The lock: one holder at a time, in any process, and none is left behind."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from pixtell.data.lock import lock
from pixtell.errors import PixtellError

pytest.importorskip("fcntl", reason="this system has no such locks")

HOLD = """
import sys, time
from pathlib import Path
from pixtell.data.lock import lock
file = open(sys.argv[1], "ab")
lock(file.fileno(), Path(sys.argv[1]), "wait")
print("held", flush=True)
time.sleep(60)
"""


def test_another_holder_is_told_until_it_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    with path.open("ab") as file, pytest.raises(PixtellError, match=f"{path.name}: another process is at it: wait"):
        lock(file.fileno(), path, "wait")
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with path.open("ab") as file:
        lock(file.fileno(), path, "wait")


def test_a_file_system_without_locks_is_no_reason_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: int, what: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with (tmp_path / "file").open("ab") as file:
        lock(file.fileno(), tmp_path / "file", "wait")
