"""Work done ahead in processes of their own, its results in the order of the jobs.

In: a function that can be pickled, and jobs for it. Out: each job with its result, in their order, however many
processes there are; with none, the function is called here.

The surprising thing: a process that dies (memory, a fault in a decoder) costs only the job that killed it. All jobs
that were under way are tried again, one at a time, and the one that kills its process again is told as `crashed`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import TypeVar

from pixtell.data.memory import keep_freed_memory

Job = TypeVar("Job")
Result = TypeVar("Result")

DIED = "the process that opened it died: it is damaged, or needs more memory than there is"


def in_order(
    work: Callable[[Job], Result],
    jobs: Iterable[Job],
    workers: int,
    ahead: int,
    crashed: Callable[[Job], Result],
) -> Generator[tuple[Job, Result], None, None]:
    """Each job with `work(job)`, up to `ahead` of them before they are asked for; `crashed(job)` for what kills it."""
    if workers < 1:
        yield from ((job, work(job)) for job in jobs)
        return
    waiting = iter(jobs)
    pending: deque[tuple[Job, Future[Result]]] = deque()
    pool = _pool(workers)
    try:
        while True:
            try:
                while len(pending) < ahead and (job := next(waiting, None)) is not None:
                    pending.append((job, Future()))  # in its place before the pool can refuse it
                    pending[-1] = (job, pool.submit(work, job))
                if not pending:
                    return
                found = (pending[0][0], pending[0][1].result())
            except BrokenProcessPool:
                pool.shutdown(cancel_futures=True)
                yield from _one_by_one(work, [job for job, _ in pending], crashed)
                pending.clear()
                pool = _pool(workers)
            else:
                pending.popleft()
                yield found
    finally:
        pool.shutdown(cancel_futures=True)


def _one_by_one(
    work: Callable[[Job], Result], jobs: Iterable[Job], crashed: Callable[[Job], Result]
) -> Generator[tuple[Job, Result], None, None]:
    """Jobs in one process, which is replaced whenever a job kills it."""
    pool = _pool(1)
    try:
        for job in jobs:
            try:
                result = pool.submit(work, job).result()
            except BrokenProcessPool:
                result = crashed(job)
                pool = _pool(1)
            yield job, result
    finally:
        pool.shutdown(cancel_futures=True)


def _pool(workers: int) -> ProcessPoolExecutor:
    # Spawned, not forked: the model's threads and a fork don't go together.
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=begin_worker)


def begin_worker() -> None:
    """Live and die with the process that gives the jobs: Ctrl-C is its to handle, and its end is ours."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        os.nice(1)  # a model that waits for its share of a core costs more than a picture that comes later
    keep_freed_memory()
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    """Wait for the end of the process that began this one, however it ends, and end too."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
