"""Photos and clips that a table of text holds or names: CSV, TSV and JSONL. (For parquet see `parquet.py`.)

In: the path of a table, and the column if the user named one. Out: for each row an item whose bytes lie in the table,
in base64, or a link: the path or address that it names.

The surprising thing: the column is found by what is in it, not by what it is called: it is the one whose cells, in most
of the first rows, end as names of photos and clips do, or begin as a photo in base64. Where that is true of two columns
or of none, the user has to say. A CSV whose first row already holds such a cell has no header: its columns are 1, 2, 3.
"""

from __future__ import annotations

import base64
import binascii
import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Literal

from pixtell.batch.fetch import is_address
from pixtell.batch.found import Found, Link, problem
from pixtell.batch.item import Item, Part, safe_relative, stamp_of
from pixtell.batch.kinds import HEAD, kind_of, looks_like_media
from pixtell.errors import InputError

LOOKED_AT = 50  # rows that a column is chosen by

_DATA_ADDRESS = re.compile(r"data:[^,]{0,200};base64,")
_SHORTEST = 64  # letters of base64: fewer hold no picture
_DELIMITERS = {"csv": ",;\t", "tsv": "\t"}
_LONGEST_CELL = 2**31 - 1  # csv's own limit, 128 KiB, is less than a photo in base64
_COLUMNS_SHOWN = 12


@dataclass(frozen=True)
class _Record:
    """One row, and the bytes of the file that it was read from."""

    offset: int
    raw: bytes
    cells: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class JsonCell:
    """Base64 in a field of a line of JSON; the line is parsed to have it, as it may be written with escapes."""

    path: str
    name: str
    offset: int
    size: int
    column: str

    def read(self) -> bytes:
        line = Part(self.path, self.name, self.offset, self.size).read()
        try:
            text = json.loads(line)[self.column]
            return base64.b64decode(text[_start_of_base64(text) :], validate=True)
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise InputError("broken", f"{self.name}: no base64 in its field {self.column} ({error})") from None

    def stamp(self) -> tuple[int, int]:
        return stamp_of(self.path, self.name)


def list_table(
    kind: Literal["csv", "tsv", "jsonl"], path: str, name: str, relative: str, column: str | None
) -> Iterator[Found]:
    """What the rows of a table hold or name, in their order; a row without it is a problem of its own.

    `name` is what the user called the table, `relative` its path below what the user named. Raises `InputError` for a
    table without rows or without the column, and at the end for one that breaks off.
    """
    try:
        rows = enumerate(_json_records(path, name) if kind == "jsonl" else _csv_records(path, kind))
        first = list(islice(rows, LOOKED_AT))
        records = [row for _, row in first if isinstance(row, _Record)]
        if records:
            names = list(dict.fromkeys(column for record in records for column in record.cells))
            looks = [[_look(record.cells.get(one)) for record in records] for one in names]
            column = choose_column(name, names, looks, column)
        elif not first:
            raise InputError("empty", f"{name}: the table holds no rows")
        for number, row in chain(first, rows):
            # Rows count from 0, as in pandas and datasets.
            yield from _found(row, path, f"{name}/{number}", f"{relative}/{number}", column or "")
    except (OSError, UnicodeError, csv.Error) as error:
        line = f"{name}: not a readable table ({getattr(error, 'strerror', None) or error})"
        raise InputError("broken", line) from None


def choose_column(name: str, columns: Sequence[str], looks: Sequence[Sequence[str]], wanted: str | None) -> str:
    """The column to read: `wanted`, or the only one that holds media; `looks` are what its first cells look like,
    "media", "address" or "". Addresses count where nothing else does. Raises `InputError`."""
    shown = ", ".join(columns[:_COLUMNS_SHOWN]) + (", ..." if len(columns) > _COLUMNS_SHOWN else "")
    if wanted is not None:
        if wanted not in columns:
            raise InputError("column", f"{name}: no column {wanted}; its columns are {shown}")
        return wanted
    for look in ("media", "address"):
        found = [one for one, cells in zip(columns, looks, strict=True) if Counter(cells)[look] * 2 > len(cells)]
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(
                "column",
                f"{name}: {len(found)} columns hold photos or clips ({', '.join(found)}): say which, as in "
                f"--column {found[0]}",
            )
    raise InputError("column", f"{name}: no column holds photos, clips or their paths ({shown}): say which by --column")


def _look(cell: Any) -> str:
    if not isinstance(cell, str):
        return ""
    if is_address(cell):
        return "address"
    return "media" if _start_of_base64(cell) >= 0 or kind_of(cell) == "media" else ""


def _start_of_base64(text: str) -> int:
    """Where the base64 of a photo or clip begins in a cell; -1 where there is none."""
    if (found := _DATA_ADDRESS.match(text)) is not None:
        return found.end()
    if len(text) < _SHORTEST:
        return -1
    try:
        head = base64.b64decode(text[: HEAD // 3 * 4], validate=True)
    except (binascii.Error, ValueError):
        return -1
    return 0 if looks_like_media(head) else -1


def _found(row: _Record | InputError, path: str, name: str, relative: str, column: str) -> Iterator[Found]:
    if isinstance(row, InputError):
        yield problem(name, InputError(row.code, f"{name}: {row}"))
        return
    cell = row.cells.get(column)
    if cell is None or cell == "":
        yield problem(name, InputError("empty", f"{name}: nothing in its column {column}"))
    elif not isinstance(cell, str):
        line = f"{name}: neither a path nor base64 in its column {column}, but {json.dumps(cell)[:40]}"
        yield problem(name, InputError("unsupported", line))
    elif (start := _start_of_base64(cell)) < 0:
        yield Link(cell)
    elif row.raw.lstrip().startswith(b"{"):
        yield Item(name, JsonCell(path, name, row.offset, len(row.raw), column), safe_relative(relative))
    else:
        letters = cell[start:].encode("ascii", "surrogateescape")
        place = Part(path, name, row.offset + row.raw.find(letters), len(letters), base64=True)
        yield Item(name, place, safe_relative(relative))


def _json_records(path: str, name: str) -> Iterator[_Record | InputError]:
    """The lines that hold objects; an error for one that doesn't. Empty lines count for nothing."""
    offset = 0
    with open(path, "rb") as file:
        for number, raw in enumerate(file, 1):
            start, offset = offset, offset + len(raw)
            line = raw.removeprefix(b"\xef\xbb\xbf").strip()
            if not line:
                continue
            start += raw.index(line)
            try:
                cells = json.loads(line.decode("utf-8", "surrogateescape"))
            except (ValueError, RecursionError) as error:
                yield InputError("broken", f"line {number} is not JSON ({error})")
                continue
            if isinstance(cells, dict):
                yield _Record(start, line, cells)
            else:
                yield InputError("broken", f"line {number} is not a JSON object with fields")


class _Lines:
    """The lines of a file for `csv.reader`, and the bytes that it has taken since `start`."""

    def __init__(self, file: Iterator[bytes]) -> None:
        self._file = file
        self.start = 0
        self.raw = b""

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self.raw += line
            yield line.decode("utf-8", "surrogateescape").removeprefix("\ufeff")

    def advance(self) -> None:
        self.start += len(self.raw)
        self.raw = b""


def _csv_records(path: str, kind: Literal["csv", "tsv"]) -> Iterator[_Record]:
    """The rows of a CSV or TSV. Rows without cells count for nothing."""
    limit = csv.field_size_limit(_LONGEST_CELL)
    try:
        with open(path, "rb") as file:
            first = file.readline().decode("utf-8", "surrogateescape")
            delimiter = max(_DELIMITERS[kind], key=first.count)
            file.seek(0)
            lines = _Lines(iter(file))
            header: list[str] = []
            for row in csv.reader(iter(lines), delimiter=delimiter):
                if row and not header and not any(_look(cell) for cell in row):
                    header = row
                elif row:
                    header = header or [str(number) for number in range(1, len(row) + 1)]
                    yield _Record(lines.start, lines.raw, dict(zip(header, row, strict=False)))
                lines.advance()
    finally:
        csv.field_size_limit(limit)
