"""What a person or a program is told of a job of captions: how far it is, what became of it, and why it ends.

In: rows as they are finished. Out: lines on stderr, and whether to stop. The surprising thing: what an earlier run had
done is told from what is done now by the journal's entries: those that are still the very ones it was opened with.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from pixtell.cli.output import say, say_json
from pixtell.cli.progress import State, clock

if TYPE_CHECKING:
    from pathlib import Path

    from pixtell.batch.item import Item
    from pixtell.batch.journal import Entry, Journal
    from pixtell.batch.output import Finished
    from pixtell.batch.row import Row
    from pixtell.batch.run import Summary

SHOWN = 5  # lines about pictures that are in no tar


class Watch:
    """An output that writes nothing. `known` counts the rows that an earlier run made, `failed` is the row of the first
    input that failed in this one."""

    name = ""
    left_out = ()

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._found = self._entries()
        self.known = 0
        self.failed: Row | None = None

    def _entries(self) -> dict[str, Entry]:
        return {**self._journal.edited, **self._journal.entries}

    def places(self, item: Item) -> tuple[Path, ...]:
        return ()

    def files(self, count: int) -> tuple[Path, ...]:
        return ()

    def existing(self, item: Item) -> bool:
        return False

    def before(self, item: Item) -> None:
        return None

    def spare(self, rows: Mapping[str, Row | None]) -> None:
        pass

    def expect(self, rows: Mapping[str, Row | None]) -> None:
        pass

    def start(self, rows: Sequence[Finished]) -> None:
        self.known, self.failed = 0, None
        self.add(rows)

    def add(self, rows: Sequence[Finished]) -> None:
        for one in rows:
            found = self._found.get(one.row.name)
            now = self._journal.entries.get(one.row.name) or self._journal.edited.get(one.row.name)
            if found is not None and found is now:
                self.known += 1
            elif one.row.status == "error":
                self.failed = self.failed or one.row

    def finish(self, rows: Iterable[Finished]) -> None:
        pass


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Ctrl-C, a request to end or a terminal that goes lets the part in hand be finished; a second Ctrl-C or request
    ends at once. (When a terminal goes, shell and system may both say so.)"""
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if number == getattr(signal, "SIGHUP", None):
            _forget_terminal()
        elif asked:
            raise KeyboardInterrupt
        asked = True
        say("stopping after the pictures in hand; once more stops at once, and either way nothing finished is lost")

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows lacks the last
    numbers = [number for number in map(signal.Signals.__getitem__, names) if not _ignored(number)]
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignored(number: signal.Signals) -> bool:
    """Whether whoever began us wants this not to reach us, as nohup does."""
    return signal.getsignal(number) == signal.SIG_IGN


def _forget_terminal() -> None:
    """Write to nowhere what would go to a terminal that is no more: it would be an error from now on."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            if os.isatty(stream.fileno()):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def state_of(summary: Summary) -> State:
    """As progress tells it."""
    counts = (("ok", summary.ok), ("skipped", summary.skipped), ("failed", summary.errors))
    latest = (summary.latest.name, summary.latest.text) if summary.latest else None
    return State(summary.finished, summary.inputs, counts, latest)


def tell_summary(summary: Summary, known: int, failures: Path, *, complete: bool, as_json: bool) -> None:
    """The last lines: counts that add up, and where to look. `known` of the inputs were done before."""
    from pixtell.batch.work import NO_TEXT

    textless = summary.codes[NO_TEXT]
    if as_json:
        say_json({"summary": {"complete": complete, **_summary_object(summary, known, textless, failures)}})
        return
    asides = [f"{summary.same:,} the same as another"] if summary.same else []
    asides += [f"{textless:,} without text"] if textless else []
    parts = [f"{summary.ok:,} ok" + (f" ({', '.join(asides)})" if asides else "")]
    if summary.review:
        parts.append(f"{summary.review:,} set aside for review")
    if summary.skipped:
        parts.append(f"{summary.skipped:,} skipped")
    if summary.errors:
        parts.append(f"{summary.errors:,} failed, see {failures}")
    told = [f"{code} {count:,}" for code, count in summary.codes.most_common() if code != NO_TEXT]
    reasons = f" ({', '.join(told)})" if told else ""
    before = f"; {'all' if known == summary.finished else f'{known:,}'} done before" if known else ""
    pace = f"; {clock(summary.seconds)}, {summary.a_second:.1f} a second" if summary.a_second > 0 else ""
    say(f"{summary.finished:,} of {summary.inputs:,} inputs: {', '.join(parts)}{reasons}{before}{pace}")
    tell_left_out(summary)
    if not complete:
        say("the same command goes on from here")


def tell_left_out(summary: Summary) -> None:
    """The pictures that are in no tar, as they could not be had again."""
    for line in summary.left_out[:SHOWN]:
        say(f"in no tar: {line}")
    if len(summary.left_out) > SHOWN:
        say(f"in no tar: {len(summary.left_out) - SHOWN:,} more")


def _summary_object(summary: Summary, known: int, textless: int, failures: Path) -> dict[str, Any]:
    return {
        "inputs": summary.inputs,
        "done": summary.finished,
        "ok": summary.ok,
        "skipped": summary.skipped,
        "failed": summary.errors,
        "done_before": known,
        "same": summary.same,
        "without_text": textless,
        "review": summary.review,
        "codes": dict(summary.codes),
        "left_out": summary.left_out,
        "failures": str(failures) if summary.errors else None,
        "seconds": summary.seconds,
        "a_second": max(0.0, summary.a_second),
    }
