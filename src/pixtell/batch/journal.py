"""The journal: what a job has finished, on the disk before any output says so.

In: finished items, a batch at a time. Out: a file of JSON lines that the same job goes on from, however it ended: first
a head with the job's settings, then a line for each batch with every item's stamp, notes and row.

The surprising thing: a batch is one line, so it is there whole or not at all. Batches that are done again after a kill
then hold the same items as before, and numbers that depend on who shares a pass come out equal to the last digit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixtell.batch.files import append
from pixtell.batch.output import Finished, Note
from pixtell.batch.row import Row
from pixtell.data.lock import lock
from pixtell.errors import ConfigError, InputError, PixtellError

FORM = 1  # of the file; another number is another way of writing it
# Failures that may be gone the next time without a change of the file: what it needs is back, or installed, or mended.
RETRIED = ("missing", "unreadable", "crashed", "timeout", "memory", "missing_extra", "fault")
UNKNOWN = (0, 0)  # a stamp that tells nothing


@dataclass(frozen=True)
class Entry:
    """A finished item as the journal has it: what became of it, and the size and time its file had then."""

    stamp: tuple[int, int]
    row: Row
    notes: tuple[Note, ...] = ()

    def still_holds(self, stamp: tuple[int, int]) -> bool:
        """Whether the item's outcome stands without another look at its bytes. Of an address, a good one does."""
        if self.row.status == "error" and (self.row.code in RETRIED or stamp == UNKNOWN):
            return False
        return stamp == self.stamp


@dataclass
class Journal:
    """An open journal. `entries` are those made with the same settings, by the item's name; `edited` those that a
    person has edited, under whatever settings.

    Opening raises `ConfigError` for a file that is something else, `InputError` for a damaged one, and `PixtellError`
    when it can't be written or another process writes it.
    """

    path: Path
    settings: Mapping[str, Any]
    entries: dict[str, Entry] = field(default_factory=dict, repr=False)
    edited: dict[str, Entry] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+b")
            self._file.seek(0)
        except OSError as error:
            raise PixtellError(f"{self.path}: the journal can't be written ({error.strerror or error})") from None
        try:
            lock(self._file.fileno(), self.path, "wait for that, or name another journal")
            self._resume()
        except BaseException:
            self._file.close()
            raise

    def append(self, finished: Sequence[tuple[Finished, tuple[int, int]]]) -> None:
        """Write finished items with their stamps, and see them onto the disk.

        Raises `PixtellError` when the disk refuses; then the file is as it was.
        """
        lines = []
        for one, stamp in finished:
            notes = {note.output: note.seen for note in one.notes}
            lines.append({"stamp": stamp, **({"notes": notes} if notes else {}), "row": one.row.content()})
            self.entries[one.row.name] = Entry(stamp, one.row, one.notes)
        self._write({"batch": lines})

    def close(self) -> None:
        """Let other processes write the file."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _resume(self) -> None:
        """Read what is there, drop a last line that was not finished, and begin a new head where settings changed."""
        content = self._file.read()
        head = json.dumps({"pixtell journal": FORM}).encode() + b"\n"
        if content[: len(head)] != head[: len(content)]:
            raise ConfigError(f"{self.path}: is there, and is no journal of this version: name another with --journal")
        whole = content.rfind(b"\n") + 1
        append(self.path, b"" if whole else head, keep=whole)
        current = self._read(content[len(head) : whole])
        if current != json.loads(json.dumps(self.settings)):
            self._write({"settings": self.settings})

    def _read(self, content: bytes) -> Any:
        """Take the entries that were made with these settings; returns the settings that the file ends with."""
        wanted = json.loads(json.dumps(self.settings))
        current: Any = None
        for number, line in enumerate(content.split(b"\n")[:-1], 2):
            try:
                found = json.loads(line)
                if "settings" in found:
                    current = found["settings"]
                else:
                    batch = list(map(_entry, found["batch"]))
                    self.edited.update({entry.row.name: entry for entry in batch if entry.row.edited})
                    if current == wanted:
                        self.entries.update({entry.row.name: entry for entry in batch})
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    "broken",
                    f"{self.path}: line {number} is damaged ({type(error).__name__}: {error}): remove the line, and "
                    "its inputs are done again",
                ) from None
        return current

    def _write(self, content: Mapping[str, Any]) -> None:
        append(self.path, json.dumps(content).encode() + b"\n")


def _entry(content: Mapping[str, Any]) -> Entry:
    size, changed = content["stamp"]
    notes = tuple(Note(output, seen) for output, seen in content.get("notes", {}).items())
    return Entry((int(size), int(changed)), Row.of(content["row"]), notes)
