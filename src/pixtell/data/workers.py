"""Work done ahead in processes of their own, its results in the order of the jobs.

In: a function that can be pickled, and jobs for it. Out: each job with its result, in their order, however many
processes there are; with none, the function is called here.

The surprising thing: a process that dies (memory, a fault in a decoder) costs only the job that killed it. All jobs
that were under way are tried again, one at a time, and the one that kills its process again is told as `crashed`. So is
a job, as `late`, that doesn't come to an end: only the second time, as a machine that slept is late with everything.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from typing import Generic, TypeVar

from pixtell.memory import give_back_memory, keep_freed_memory

Job = TypeVar("Job")
Result = TypeVar("Result")

SHARING = 1  # niceness: a model that waits for its share of a core costs more than a picture that comes later
# Where the model is on the same cores, its threads wait for one another, so that a moment taken from one is lost to all
# of them: better do such jobs while it pauses. (19 would gain another hundredth, and be starved by any neighbour.)
BETWEEN = 10

DIED = "the process that opened it died: it is damaged, or needs more memory than there is"


@dataclass(frozen=True)
class Limit(Generic[Job, Result]):
    """How many seconds a job may keep everyone waiting, and what is told of one that takes longer."""

    seconds: Callable[[Job], float]
    late: Callable[[Job], Result]


class _Late(Exception):
    """A job is not done in time."""


def in_order(
    work: Callable[[Job], Result],
    jobs: Iterable[Job],
    workers: int,
    ahead: int,
    crashed: Callable[[Job], Result],
    limit: Limit[Job, Result] | None = None,
    nice: int = SHARING,
) -> Generator[tuple[Job, Result], None, None]:
    """Each job with `work(job)`, up to `ahead` of them before they are asked for; `crashed(job)` for what kills it.

    `nice` is how readily its processes leave the cores to others (Linux). Without processes nothing has a `limit`.
    Whoever leaves early doesn't wait for what is under way: it is ended.
    """
    if workers < 1:
        yield from ((job, work(job)) for job in jobs)
        return
    waiting = iter(jobs)
    pending: deque[tuple[Job, Future[Result]]] = deque()
    pool = _pool(workers, nice)
    try:
        while True:
            try:
                while len(pending) < ahead and (job := next(waiting, None)) is not None:
                    pending.append((job, Future()))  # in its place before the pool can refuse it
                    pending[-1] = (job, pool.submit(_modestly, work, job))
                if not pending:
                    return
                found = (pending[0][0], _result(*pending[0], limit))
            except (BrokenProcessPool, _Late):
                _end(pool)
                yield from _one_by_one(work, [job for job, _ in pending], crashed, limit, nice)
                pending.clear()
                pool = _pool(workers, nice)
            else:
                pending.popleft()
                yield found
    finally:
        _end(pool)


def _one_by_one(
    work: Callable[[Job], Result],
    jobs: Iterable[Job],
    crashed: Callable[[Job], Result],
    limit: Limit[Job, Result] | None,
    nice: int,
) -> Generator[tuple[Job, Result], None, None]:
    """Jobs in one process, which is replaced whenever a job kills it or is late."""
    pool = _pool(1, nice)
    try:
        for job in jobs:
            try:
                pool.submit(_ready, work).result()  # no job's time goes by for that
                result = _result(job, pool.submit(_modestly, work, job), limit)
            except (BrokenProcessPool, _Late) as error:
                result = limit.late(job) if limit and isinstance(error, _Late) else crashed(job)
                _end(pool)
                pool = _pool(1, nice)
            yield job, result
    finally:
        _end(pool)


def _modestly(work: Callable[[Job], Result], job: Job) -> Result:
    """What a process does: the job, and then no more memory is kept than most jobs need."""
    result = work(job)
    give_back_memory()
    return result


def _result(job: Job, future: Future[Result], limit: Limit[Job, Result] | None) -> Result:
    if limit is not None and not wait([future], limit.seconds(job)).done:
        raise _Late
    return future.result()


def _ready(work: object) -> None:
    """Nothing; but whoever was sent `work` has imported all that it needs."""


def _end(pool: ProcessPoolExecutor) -> None:
    """End the processes at once: nobody waits for what they may be at, and it may never come to an end by itself."""
    processes, results = list((pool._processes or {}).values()), pool._result_queue
    for process in processes:  # (`kill_workers` does the same, from Python 3.14 on)
        process.kill()
    for process in processes:
        process.join()
    if results is not None:
        # One may have been killed halfway through a result, and the pool, which reads it, itself holds a way to write.
        results._writer.close()  # type: ignore[attr-defined]
    pool.shutdown(cancel_futures=True)


def _pool(workers: int, nice: int) -> ProcessPoolExecutor:
    # Spawned, not forked: the model's threads and a fork don't go together.
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=begin_worker, initargs=(nice,))


def begin_worker(nice: int = SHARING) -> None:
    """Live and die with the process that gives the jobs: Ctrl-C is its to handle, and its end is ours."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        os.nice(nice)
    keep_freed_memory()
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    """Wait for the end of the process that began this one, however it ends, and end too."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
