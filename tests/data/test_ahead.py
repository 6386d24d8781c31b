"""Things made ahead: the same ones, so many of them, errors in their place, nothing left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator

import pytest

from pixtell.data.ahead import made_ahead


def numbers(made: list[int], end: int = 100, error: int = -1) -> Generator[int, None, None]:
    try:
        for number in range(end):
            if number == error:
                raise ValueError("five")
            made.append(number)
            yield number
    finally:
        made.append(-1)


def test_the_same_things_in_order() -> None:
    assert [thing for thing, _ in made_ahead(numbers([], 7), 2)] == list(range(7))
    assert list(made_ahead(numbers([], 0), 2)) == []


@pytest.mark.parametrize("ahead", [1, 3])
def test_so_many_lie_ready(ahead: int) -> None:
    made: list[int] = []
    things = made_ahead(numbers(made), ahead)
    next(things)
    time.sleep(0.1)
    assert len(made) == ahead + 1
    things.close()  # type: ignore[attr-defined]
    assert made[-1] == -1, "what made them is closed"
    assert not [thread for thread in threading.enumerate() if thread.name == "pixtell-data"]


def test_an_error_comes_where_the_thing_would_have() -> None:
    seen = []
    with pytest.raises(ValueError, match="five"):
        for thing, _ in made_ahead(numbers([], error=5), 3):
            seen.append(thing)
    assert seen == [0, 1, 2, 3, 4]


def test_waiting_is_measured() -> None:
    def slowly() -> Generator[int, None, None]:
        for number in range(3):
            time.sleep(0.05)
            yield number

    assert all(waited > 0.03 for _, waited in made_ahead(slowly(), 2)), "who only asks waits all the time"
    busy = []
    for _, waited in made_ahead(slowly(), 2):
        busy.append(waited)
        time.sleep(0.1)
    assert max(busy[1:]) < 0.03, "who is busy longer than it takes waits for the first alone"
