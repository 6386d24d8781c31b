"""How far a long run is, on stderr: one live line in a terminal, a plain line now and then elsewhere, or JSON.

In: counts as they grow. Out: lines for whoever waits. The surprising thing: the pace is of the last minutes, since the
first inputs wait for the model, and what an earlier run had done took no time.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pixtell.cli.output import printable, say

TOLD = 10.0  # seconds between two plain lines
LOOKED_BACK = 120.0  # seconds that the pace is taken over


@dataclass(frozen=True)
class State:
    """How far a run is: `counts` are told as they are, `latest` is a result to look at."""

    done: int
    total: int
    counts: tuple[tuple[str, int], ...] = ()
    latest: tuple[str, str] | None = None


@dataclass
class Pace:
    """Inputs a second over the last minutes."""

    seen: deque[tuple[float, int]] = field(default_factory=deque)

    def add(self, done: int, now: float) -> float:
        """Take note of how many are done; returns how many a second, 0 before that can be told."""
        self.seen.append((now, done))
        while len(self.seen) > 2 and now - self.seen[1][0] > LOOKED_BACK:
            self.seen.popleft()
        start, before = self.seen[0]
        return (done - before) / (now - start) if now > start else 0.0


Tell = Callable[[State], None]


@contextmanager
def progress(*, as_json: bool = False, quiet: bool = False) -> Iterator[Tell]:
    """A function to be told how far the run is."""
    if quiet:
        yield lambda state: None
    elif as_json:
        yield _json()
    elif sys.stderr.isatty():
        with _live() as tell:
            yield tell
    else:
        yield _plain()


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss, or m:ss below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def line(state: State, rate: float) -> str:
    """How far the run is, in one line."""
    parts = [f"{state.done:,} of {state.total:,}"]
    if rate:
        parts += [f"{rate:.1f} a second", f"{clock((state.total - state.done) / rate)} left"]
    parts += [f"{count:,} {name}" for name, count in state.counts if count]
    latest = f"; {printable(state.latest[0])}: {printable(state.latest[1])}" if state.latest else ""
    return ", ".join(parts) + latest


def _plain() -> Tell:
    pace, last = Pace(), time.monotonic()

    def tell(state: State) -> None:
        nonlocal last
        now = time.monotonic()
        rate = pace.add(state.done, now)
        if now - last >= TOLD:
            last = now
            say(line(state, rate))

    return tell


def _json() -> Tell:
    pace = Pace()

    def tell(state: State) -> None:
        rate = pace.add(state.done, time.monotonic())
        told: dict[str, Any] = {
            "done": state.done,
            "total": state.total,
            **dict(state.counts),
            "a_second": round(rate, 2),
        }
        if rate:
            told["seconds_left"] = round((state.total - state.done) / rate)
        if state.latest:
            told["latest"] = {"name": state.latest[0], "text": state.latest[1]}
        print(json.dumps({"progress": told}), file=sys.stderr, flush=True)

    return tell


@contextmanager
def _live() -> Iterator[Tell]:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    with Live(console=console, refresh_per_second=8, redirect_stdout=False) as shown:
        pace = Pace()

        def tell(state: State) -> None:
            text = Text(line(state, pace.add(state.done, time.monotonic())))
            text.truncate(console.width, overflow="ellipsis")
            shown.update(text)

        yield tell
