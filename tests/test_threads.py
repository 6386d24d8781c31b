"""How long threads wait awake: on which processors it is told, that users have the last word, and that torch hears."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pixtell import threads
from pixtell.threads import SPINS, wait_briefly

CAT = Path(__file__).resolve().parent.parent / "examples" / "cat.jpg"
CPUINFO = "processor\t: {number}\nvendor_id\t: {vendor}\nmodel name\t: some\nflags\t\t: fpu vme {flags} sse2\n\n"
SKYLAKE = {"vendor": "GenuineIntel", "flags": "clflushopt avx512f"}


def cpuinfo(folder: Path, vendor: str, flags: str) -> Path:
    path = folder / "cpuinfo"
    path.write_text("".join(CPUINFO.format(number=n, vendor=vendor, flags=flags) for n in range(2)))
    return path


@pytest.fixture
def before_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has just begun."""
    monkeypatch.delitem(sys.modules, "torch", raising=False)


@pytest.mark.usefixtures("before_torch")
@pytest.mark.parametrize(
    ("vendor", "flags", "told"),
    [
        ("GenuineIntel", "clflushopt", True),
        ("GenuineIntel", "clflush", False),
        ("AuthenticAMD", "clflushopt", False),
    ],
)
def test_intels_since_skylake_are_told(tmp_path: Path, vendor: str, flags: str, told: bool) -> None:
    environment = {"HOME": "x"}
    assert wait_briefly(environment, cpuinfo(tmp_path, vendor, flags)) is told
    assert environment == {"HOME": "x", **({"GOMP_SPINCOUNT": str(SPINS)} if told else {})}


@pytest.mark.usefixtures("before_torch")
def test_where_nothing_is_known_nothing_is_told(tmp_path: Path) -> None:
    assert not wait_briefly({}, tmp_path / "none")
    (tmp_path / "odd").write_bytes(b"\xff\xfe:\n\n:")
    assert not wait_briefly({}, tmp_path / "odd")


@pytest.mark.usefixtures("before_torch")
@pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"])
def test_users_have_the_last_word(tmp_path: Path, name: str) -> None:
    environment = {name: "active"}
    assert not wait_briefly(environment, cpuinfo(tmp_path, **SKYLAKE)) and environment == {name: "active"}


def test_it_is_too_late_once_torch_is_there(tmp_path: Path) -> None:
    assert "torch" in sys.modules
    environment: dict[str, str] = {}
    assert not wait_briefly(environment, cpuinfo(tmp_path, **SKYLAKE)) and not environment


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="libgomp is torch's under Linux")
def test_the_command_s_threads_are_told_so() -> None:
    """libgomp says itself what it was told, as it is loaded; where nothing is to be told, that is its own number."""
    environment = {name: value for name, value in os.environ.items() if name not in threads.OF_USERS}
    told = str(SPINS) if threads._pauses_long(Path("/proc/cpuinfo")) else "300000"
    words = [sys.executable, "-m", "pixtell", "caption", str(CAT)]
    for own, expected in ({}, told), ({"GOMP_SPINCOUNT": "777"}, "777"):
        environment_own = {**environment, **own, "OMP_DISPLAY_ENV": "verbose"}
        said = subprocess.run(words, capture_output=True, text=True, env=environment_own).stderr
        found = [line.split("'")[1] for line in said.splitlines() if "GOMP_SPINCOUNT" in line]
        assert found == [expected] or (not found and "OPENMP DISPLAY" not in said), "another OpenMP than libgomp"
