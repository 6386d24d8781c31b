"""JSONL, CSV and TSV: a file with a row a line, that grows while the job runs.

In: finished rows in the order of the inputs. Out: the file; and rows again, from such a file.

The surprising thing: rows of an earlier job stay where they are (but under `overwrite`, or when they failed and are no
input any more), byte for byte and above the new ones. Which rows are this job's is not kept anywhere: they are those
whose names the journal gave. While a job that was done before goes on, its rows that still hold stay too, in their old
order until the end.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

from pixtell.batch.files import append, content_of, make_folder, sweep, telling, write_whole
from pixtell.batch.item import Item, printable
from pixtell.batch.output import Finished, OneFile, OutputOptions, is_object
from pixtell.batch.row import Row
from pixtell.batch.row_text import COLUMNS, cells_of, json_of, row_of_cells, row_of_json
from pixtell.errors import ConfigError

EXISTS = "exists"  # the code of rows that were skipped because the outputs hold their items already
_LINES = 1000  # written at a time where many are missing
T = TypeVar("T")


@dataclass(frozen=True)
class Record:
    """A row as a file holds it, with the bytes of its line or lines."""

    raw: bytes
    row: Row


class Form(Protocol):
    """How rows are lines."""

    @property
    def head(self) -> bytes:
        """What the file begins with."""

    def line(self, row: Row, settings: str) -> bytes:
        """A row with its line end."""

    def records(self, content: bytes) -> Iterator[Record]:
        """The rows of a file. A last one that was not finished by a killed run is passed over. Raises `ValueError`
        for what no run of ours leaves behind."""

    def check_head(self, content: bytes) -> None:
        """Raises `ValueError` where the head of a file is another: below it, rows of ours would mean other things."""


class JsonLines:
    """A JSON object a line, in UTF-8. Bytes of a name that are not UTF-8 are spelt `\\udc80` to `\\udcff`."""

    head = b""

    def line(self, row: Row, settings: str) -> bytes:
        return json_of(row, settings) + b"\n"

    def records(self, content: bytes) -> Iterator[Record]:
        *lines, last = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield self._record(line, number)
        if last.strip():
            try:
                yield self._record(last, len(lines) + 1)
            except ValueError:
                if not _begins(last, b'{"name": "'):
                    raise

    def check_head(self, content: bytes) -> None:
        """There is none: each row names its fields."""

    def _record(self, line: bytes, number: int) -> Record:
        try:
            return Record(line + b"\n", row_of_json(line))
        except ValueError as error:
            raise ValueError(f"line {number} is not a row: {error}") from None


@dataclass(frozen=True)
class Separated:
    """Cells parted by commas or tabs as RFC 4180 has it, lines ended by CR and LF, in UTF-8, under `COLUMNS`."""

    delimiter: str = ","

    @property
    def head(self) -> bytes:
        return self._line(COLUMNS)

    def line(self, row: Row, settings: str) -> bytes:
        return self._line(cells_of(row, settings))

    def records(self, content: bytes) -> Iterator[Record]:
        if self.head.startswith(content):
            return
        names: list[str] = []
        for number, (raw, whole) in enumerate(_parted(content.removeprefix(b"\xef\xbb\xbf")), 1):
            try:
                cells = self._cells(raw)
                if not names:
                    names = cells
                    if "name" not in names:
                        raise ValueError("the first line has no column `name`")
                    continue
                if not whole and not self._finished(names, cells):
                    return
                yield Record(raw if whole else raw.rstrip(b"\r") + b"\r\n", row_of_cells(names, cells))
            except ValueError as error:
                if not whole and names:  # only a kill leaves a quotation mark open
                    return
                raise ValueError(f"record {number} is not a row: {error}") from None

    def check_head(self, content: bytes) -> None:
        raw = next((raw for raw, _ in _parted(content.removeprefix(b"\xef\xbb\xbf"))), self.head)
        if not self.head.startswith(content) and (names := self._cells(raw)) != list(COLUMNS):
            raise ValueError(f"its columns are {', '.join(names)}")

    @staticmethod
    def _finished(names: list[str], cells: list[str]) -> bool:
        """Whether a record without its line end is all there: a cut within its last cell leaves half of an object."""
        last = cells[-1] if names[-1] == "settings" else ""
        return len(cells) == len(names) and (not last or is_object(last))

    def _line(self, cells: Sequence[str]) -> bytes:
        text = io.StringIO()
        csv.writer(text, delimiter=self.delimiter, lineterminator="\r\n").writerow(cells)
        return text.getvalue().encode()

    def _cells(self, record: bytes) -> list[str]:
        """The cells of one record. (Python's reader refuses cells above 128 KiB, unless that is changed for all.)"""
        text = record.decode("utf-8-sig")
        text = text[:-1].removesuffix("\r") if text.endswith("\n") else text.removesuffix("\r")
        cell = re.compile(rf'(?:"([^"]*(?:""[^"]*)*)"|([^"{self.delimiter}]*))({self.delimiter}|\Z)')
        cells, place = [], 0
        while found := cell.match(text, place):
            cells.append(found[2] if found[1] is None else found[1].replace('""', '"'))
            place = found.end()
            if not found[3]:
                return cells
        raise ValueError("its quotation marks don't match")


def _parted(content: bytes) -> Iterator[tuple[bytes, bool]]:
    """The records of separated text, and whether each has its line end: one inside quotation marks is none."""
    *lines, last = content.split(b"\n")
    held: list[bytes] = []
    marks = 0
    for line in lines:
        held.append(line)
        marks += line.count(b'"')
        if marks % 2 == 0:
            yield b"\n".join(held) + b"\n", True
            held = []
    if held or last:
        yield b"\n".join([*held, last]), False


def _begins(content: bytes, start: bytes) -> bool:
    """Whether `content` begins with `start`, or was cut within it."""
    return content.startswith(start) or start.startswith(content)


class RowFile(OneFile):
    """The output that is one growing file."""

    def __init__(self, name: str, form: Form, options: OutputOptions) -> None:
        self.name = name
        self._path = Path(os.path.realpath(name))  # a link stays one: what it points to is written
        self._form = form
        self._options = options
        self._held: frozenset[str] | None = None
        self._expected: Mapping[str, Row | None] = {}
        self._standing: set[str] = set()  # names of rows that are there already, and are to be added

    def existing(self, item: Item) -> bool:
        if self._held is None:
            content = content_of(self._path) or b""
            self._held = frozenset(record.row.name for record in self._records(content) if record.row.status == "ok")
        return item.name in self._held

    def expect(self, rows: Mapping[str, Row | None]) -> None:
        """Those that stand in the file as they are to be stay there, and the others make way."""
        self._expected = rows

    def start(self, rows: Sequence[Finished]) -> None:
        make_folder(self._path.parent)
        sweep(self._path)
        self._standing = set()
        if not self._complete(self._lines(rows)):
            content = content_of(self._path) or b""
            records = self._records(content)
            if self._options.on_existing == "overwrite":
                next(records, None)  # only to see that the file is ours
                pieces = list(self._lines(rows))
            else:
                old = [(record.row, record.raw) for record in records if self._stays(record)]
                new = [(one.row, self._form.line(one.row, self._options.settings)) for one in rows]
                pieces = [self._form.head, *merged(old, new, self._standing)]
            if content != b"".join(pieces) or not content:
                write_whole(self._path, pieces)

    def add(self, rows: Sequence[Finished]) -> None:
        lines = [self._form.line(one.row, self._options.settings) for one in rows if one.row.name not in self._standing]
        append(self._path, b"".join(lines))

    def finish(self, rows: Iterable[Finished]) -> None:
        self._expected = {}
        self.start(list(rows))

    def _stays(self, record: Record) -> bool:
        """Whether a row of an earlier run is, as far as it is known, one that is to be there."""
        name = record.row.name
        if name not in self._expected:
            return True
        row = self._expected[name]
        if row is None or (row.code != EXISTS and self._form.line(row, self._options.settings) != record.raw):
            return False
        self._standing.add(name)
        return True

    def _lines(self, rows: Iterable[Finished]) -> Iterator[bytes]:
        if self._form.head:
            yield self._form.head
        for one in rows:
            yield self._form.line(one.row, self._options.settings)

    def _complete(self, pieces: Iterator[bytes]) -> bool:
        """Add what is missing to a file that holds the beginning of `pieces` and nothing else, as a kill leaves it.
        Returns whether it is such a file."""
        agrees = 0
        with telling(self._path):
            if not self._path.exists():
                return False
        with telling(self._path), self._path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            for piece in pieces:
                found = file.read(len(piece))
                if found != piece:
                    if not piece.startswith(found) or agrees + len(found) != size:
                        return False
                    break
                agrees += len(piece)
            else:
                return agrees == size
        append(self._path, piece, keep=agrees)
        while some := b"".join(islice(pieces, _LINES)):
            append(self._path, some)
        return True

    def _records(self, content: bytes) -> Iterator[Record]:
        try:
            self._form.check_head(content)
            yield from self._form.records(content)
        except ValueError as error:
            raise ConfigError(
                f"{printable(self.name)}: is there and was not written by pixtell caption ({error}): name another file"
            ) from None


def merged(
    old: Iterable[tuple[Row, T]], new: Iterable[tuple[Row, T]], standing: Container[str] = frozenset()
) -> list[T]:
    """Old rows, then new ones: a new one takes an old one's place among the new, unless it only says that the old one
    is there. An old one that failed, and is no input any more, goes, such as that of a folder that was missing; those
    named by `standing` are still inputs."""
    ours = {row.name: (row.code == EXISTS, piece) for row, piece in new}
    kept = [
        (row.name, piece)
        for row, piece in old
        if (ours[row.name][0] and ours[row.name][1] != piece if row.name in ours else _outlasts(row, standing))
    ]
    stay = {name for name, _ in kept}
    return [piece for _, piece in kept] + [piece for name, (_, piece) in ours.items() if name not in stay]


def _outlasts(row: Row, standing: Container[str]) -> bool:
    return row.status != "error" or row.name in standing
