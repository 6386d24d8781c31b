"""The inputs that failed, in a file of their own: what and why, a JSON object a line.

In: all finished rows. Out: a file that is there only when something failed. The surprising thing: it is made anew from
the journal by every run, so an input that works the second time has gone from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pixtell.batch.files import append, sweep, telling, write_whole
from pixtell.batch.item import Item
from pixtell.batch.output import Finished, OneFile
from pixtell.batch.row_text import json_of


class Failures(OneFile):
    """An output (see `output.py`) of failed rows only."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._begun = False

    def existing(self, item: Item) -> bool:
        return False

    def start(self, rows: Sequence[Finished]) -> None:
        sweep(self._path)
        self._begun = False
        self._write(rows)
        if not self._begun:
            with telling(self._path):
                self._path.unlink(missing_ok=True)

    def add(self, rows: Sequence[Finished]) -> None:
        self._write(rows)

    def finish(self, rows: Iterable[Finished]) -> None:
        """Nothing waits for the end."""

    def _write(self, rows: Iterable[Finished]) -> None:
        new = [json_of(one.row, "") + b"\n" for one in rows if one.row.status == "error"]
        if new and self._begun:
            append(self._path, b"".join(new))
        elif new:
            write_whole(self._path, new)
            self._begun = True
