"""Photos and clips that a parquet file holds as bytes, or names.

In: the path of a parquet file, and the column if the user named one. Out: for each row an item whose bytes lie in the
file, or a link. A column may hold bytes, texts, or pairs of both (`bytes`, `path`) as Hugging Face's datasets write.

The surprising thing: parquet has no way to read one cell; a row group's column is read from its beginning. So each
process keeps where it is in the last few row groups, and cells read in order cost one pass over the column. Listing
reads no bytes but those of the first rows.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pixtell.batch.fetch import is_address
from pixtell.batch.found import Found, Link, problem
from pixtell.batch.item import Item, printable, safe_relative, stamp_of
from pixtell.batch.kinds import HEAD, kind_of, looks_like_media
from pixtell.batch.tables import choose_column
from pixtell.errors import InputError, MissingExtraError

_LOOKED_AT = 8  # rows that the column is chosen by
_CELLS_AT_ONCE = 8  # photos of 10 MB are common: few enough for a worker's memory
_TEXTS_AT_ONCE = 10_000
_OPEN = 4  # row groups that a process keeps its place in
_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class ParquetCell:
    """The cell `row` of a column in a row group."""

    path: str
    name: str
    column: str
    group: int
    row: int

    def read(self) -> bytes:
        stamp = self.stamp()
        try:
            content = _cell(self, stamp)
        except _failures() as error:
            raise InputError("broken", f"{self.name}: it can't be read from {self.path} ({_line(error)})") from None
        if content is None:
            raise InputError("empty", f"{self.name}: nothing in its column {self.column}")
        return content

    def stamp(self) -> tuple[int, int]:
        return stamp_of(self.path, self.name)


def list_parquet(path: str, name: str, relative: str, column: str | None) -> Iterator[Found]:
    """What the rows of a parquet file hold or name, in their order.

    `name` is what the user called the file, `relative` its path below what the user named. Raises `InputError` for a
    file that is none, has no rows or not the column, and `MissingExtraError` without pyarrow.
    """
    try:
        with open(path, "rb") as source:
            file = _parquet(name).ParquetFile(source)
            if not file.metadata.num_rows:
                raise InputError("empty", f"{name}: the table holds no rows")
            names = [field.name for field in file.schema_arrow]
            cells = _first_cells(file, [one for one in names if column in (None, one)])
            looks = [[_look(cell) for cell in cells.get(one, ())] for one in names]
            column = choose_column(name, names, looks, column)
            leaf = _leaf_of_bytes(file, column, cells[column])
            if leaf is None:
                yield from _links(file, column, name)
            else:
                yield from _cells(file, path, name, relative, leaf)
    except _failures() as error:
        raise InputError("broken", f"{name}: not a readable parquet file ({_line(error)})") from None


def _first_cells(file: Any, names: list[str]) -> dict[str, list[Any]]:
    """The first cells of columns of these names that may hold bytes or texts."""
    kinds = {one: str(file.schema_arrow.field(one).type) for one in names}
    columns = [one for one in names if any(word in kinds[one] for word in ("binary", "string", "struct"))]
    batch: Any = next(file.iter_batches(batch_size=_LOOKED_AT, columns=columns), None)
    found = batch.schema.names if batch is not None else []
    return {one: batch.column(one).to_pylist() if one in found else [] for one in names}


def _look(cell: Any) -> str:
    if isinstance(cell, dict):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, bytes):
        return "media" if looks_like_media(cell[:HEAD]) else ""
    if not isinstance(cell, str):
        return ""
    return "address" if is_address(cell) else ("media" if kind_of(cell) == "media" else "")


def _leaf_of_bytes(file: Any, column: str, cells: list[Any]) -> str | None:
    """How parquet calls the bytes of a column; None for one of texts."""
    kind = str(file.schema_arrow.field(column).type)
    if kind.startswith("struct"):
        return f"{column}.bytes" if any(isinstance(cell, dict) and cell.get("bytes") for cell in cells) else None
    return column if "binary" in kind else None


def _cells(file: Any, path: str, name: str, relative: str, leaf: str) -> Iterator[Item]:
    number = 0  # rows count from 0, as in pandas and datasets
    for group in range(file.metadata.num_row_groups):
        for row in range(file.metadata.row_group(group).num_rows):
            place = ParquetCell(path, f"{name}/{number}", leaf, group, row)
            yield Item(place.name, place, safe_relative(f"{relative}/{number}"))
            number += 1


def _links(file: Any, column: str, name: str) -> Iterator[Found]:
    """The texts of a column; a row without one is a problem."""
    is_pair = str(file.schema_arrow.field(column).type).startswith("struct")
    number = 0
    for batch in file.iter_batches(batch_size=_TEXTS_AT_ONCE, columns=[f"{column}.path" if is_pair else column]):
        for cell in batch.column(0).to_pylist():
            text = cell.get("path") if isinstance(cell, dict) else cell
            if isinstance(text, str) and text:
                yield Link(text)
            else:
                row = f"{name}/{number}"
                yield problem(row, InputError("empty", f"{row}: no path or address in its column {column}"))
            number += 1


# ---- reading one cell


class _Cursor:
    """A row group's column, read forward."""

    def __init__(self, place: ParquetCell) -> None:
        self._source = open(place.path, "rb")  # noqa: SIM115 - open as long as the cursor, see close
        try:
            file = _parquet(place.name).ParquetFile(self._source, buffer_size=_BUFFER, pre_buffer=False)
            self._batches = file.iter_batches(_CELLS_AT_ONCE, row_groups=[place.group], columns=[place.column])
        except BaseException:
            self.close()
            raise
        self._batch: list[Any] = []
        self.start = 0  # the row that _batch begins with

    def cell(self, row: int) -> bytes | None:
        """The cell of a row that is not before `start`."""
        while row >= self.start + len(self._batch):
            self.start += len(self._batch)
            batch = next(self._batches, None)
            if batch is None:
                raise OSError("its row group has fewer rows than it says")
            self._batch = batch.column(0).to_pylist()
        found = self._batch[row - self.start]
        found = found.get("bytes") if isinstance(found, dict) else found
        return found if isinstance(found, bytes) else None

    def close(self) -> None:
        self._source.close()


_cursors: OrderedDict[tuple[Any, ...], _Cursor] = OrderedDict()
_lock = threading.Lock()


def _cell(place: ParquetCell, stamp: tuple[int, int]) -> bytes | None:
    key = (os.getpid(), place.path, stamp, place.column, place.group)  # a forked process shares no open file
    with _lock:
        cursor = _cursors.pop(key, None)
        if cursor is not None and cursor.start > place.row:
            cursor.close()
            cursor = None
        cursor = cursor or _Cursor(place)
        try:
            found = cursor.cell(place.row)
        except BaseException:
            cursor.close()
            raise
        _cursors[key] = cursor
        if len(_cursors) > _OPEN:
            _cursors.popitem(last=False)[1].close()
        return found


def _parquet(name: str) -> Any:
    try:
        return importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise MissingExtraError(f"{name}: parquet needs the package pyarrow: pip install 'pixtell[parquet]'") from error


def _failures() -> tuple[type[Exception], ...]:
    """What pyarrow raises about a file that is damaged or not what it says."""
    try:
        arrow: type[Exception] = importlib.import_module("pyarrow").ArrowException
    except ImportError:
        return (OSError, UnicodeError)
    return (OSError, UnicodeError, arrow)


def _line(error: Exception) -> str:
    return printable(str(getattr(error, "strerror", None) or error or type(error).__name__).partition("\n")[0])[:200]
