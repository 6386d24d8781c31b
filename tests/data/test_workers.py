"""Jobs in processes: results in order, as many as jobs, whatever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixtell.data.workers import BETWEEN, SHARING, Limit, in_order


def double(job: int) -> int:
    time.sleep(0.01 * (job % 3))  # later jobs are done first
    return 2 * job


def double_or_die(job: int) -> int:
    if job in (3, 4):
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * job


def fail(job: int) -> int:
    raise ValueError(f"job {job}")


def hang(job: int) -> int:
    """The jobs 2 and 5 never end."""
    time.sleep(600 if job in (2, 5) else 0)
    return 2 * job


def large(job: int) -> bytes:
    """A result that no pipe holds at once."""
    return bytes(60_000_000)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux's processes are told to be modest")
@pytest.mark.parametrize("nice", [SHARING, BETWEEN])
def test_processes_leave_the_cores_to_others(nice: int) -> None:
    [(_, found)] = in_order(niceness, [0], 1, 1, abs, nice=nice)
    assert found == min(19, os.nice(0) + nice)


def niceness(job: int) -> int:
    return os.nice(0)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_results_come_in_the_order_of_jobs(workers: int) -> None:
    assert list(in_order(double, range(20), workers, 6, abs)) == [(job, 2 * job) for job in range(20)]


def test_a_job_that_kills_its_process_costs_itself_alone() -> None:
    found = dict(in_order(double_or_die, range(8), 2, 4, lambda job: -job))
    assert found == {job: -job if job in (3, 4) else 2 * job for job in range(8)}


def test_a_job_that_never_ends_costs_itself_alone() -> None:
    """And its own time twice: it is tried again alone, as the machine may have slept."""
    limit = Limit(lambda job: 3.0, lambda job: -job)
    found = list(in_order(hang, range(8), 2, 4, abs, limit))
    assert found == [(job, -job if job in (2, 5) else 2 * job) for job in range(8)]


def test_whoever_leaves_does_not_wait_for_jobs_that_never_end() -> None:
    found = in_order(hang, range(8), 2, 4, abs)
    assert [next(found), next(found)] == [(0, 0), (1, 2)]
    leaving = threading.Thread(target=found.close, daemon=True)
    leaving.start()
    leaving.join(60)
    assert not leaving.is_alive()


def test_a_result_that_is_half_sent_holds_nobody_up() -> None:
    for moment in (0.0, 0.01, 0.02, 0.05):
        found = in_order(large, range(4), 2, 4, large)
        next(found)
        time.sleep(moment)
        leaving = threading.Thread(target=found.close, daemon=True)
        leaving.start()
        leaving.join(60)
        assert not leaving.is_alive()


def test_an_error_of_ours_comes_through() -> None:
    with pytest.raises(ValueError, match="job 0"):
        list(in_order(fail, range(3), 1, 2, abs))


def test_jobs_are_taken_only_so_far_ahead() -> None:
    taken: list[int] = []

    def jobs() -> Iterator[int]:
        for job in range(100):
            taken.append(job)
            yield job

    found = in_order(double, jobs(), 1, 5, abs)
    next(found)
    assert len(taken) <= 6
    found.close()


def test_workers_end_with_the_process_that_began_them(tmp_path: Path) -> None:
    """Also when that is killed, and can tell them nothing."""
    code = (
        "import sys, time\n"
        "from data.test_workers import pid_and_wait\n"
        "from pixtell.data.workers import in_order\n"
        "if __name__ == '__main__':\n"
        "    for _, pid in in_order(pid_and_wait, range(9), 1, 2, abs):\n"
        "        print(pid, flush=True)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    with parent.stdout:
        worker = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
    for _ in range(200):
        if not Path(f"/proc/{worker}").exists():
            return
        time.sleep(0.05)
    pytest.fail(f"process {worker} is still there")


def pid_and_wait(job: int) -> int:
    """The first job is done at once, the next one is under way when its parent dies."""
    time.sleep(60 * job)
    return os.getpid()
