"""Things made in a thread while the ones before are used.

In: an iterator. Out: the same things in the same order, each with the seconds that whoever asked had to wait for it.

The surprising thing: the waiting is the measure of a loader. What is made ahead costs a training nothing; only what it
waits for does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from queue import SimpleQueue
from typing import TypeVar

Thing = TypeVar("Thing")


def made_ahead(things: Generator[Thing, None, None], ahead: int) -> Iterator[tuple[Thing, float]]:
    """Each of `things` with the seconds waited for it; up to `ahead` of them lie ready.

    An error comes where the thing would have come. When the result is closed early, `things` is closed too.
    """
    ready: SimpleQueue[Thing | _End] = SimpleQueue()
    room = threading.Semaphore(ahead)
    left = threading.Event()

    def make() -> None:
        error: BaseException | None = None
        try:
            room.acquire()
            for thing in things:
                ready.put(thing)
                room.acquire()
                if left.is_set():
                    break
        except BaseException as raised:
            error = raised
        finally:
            things.close()
            ready.put(_End(error))

    thread = threading.Thread(target=make, name="pixtell-data", daemon=True)
    thread.start()
    try:
        while True:
            asked = time.perf_counter()
            thing = ready.get()
            if isinstance(thing, _End):
                if thing.error is not None:
                    raise thing.error
                return
            waited = time.perf_counter() - asked
            room.release()
            yield thing, waited
    finally:
        left.set()
        room.release()
        thread.join()


class _End:
    """After the last thing, with the error that ended them, if one did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error
