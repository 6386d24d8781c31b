"""Parquet tables of pictures and texts, as Hugging Face's datasets write them and as anybody may.

In: files with a column of pictures (bytes, pairs of `bytes` and `path`, or paths) and columns of what is said of them.
Out: rows; those about one picture, such as VQA's questions, are joined by its id.

The surprising thing: parquet has no way to read one cell. A picture costs reading its row group's column, which each
process remembers, so rows in order cost one pass and rows in random order a hundred: shard such data before a training
(`pixtell data shard`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from pixtell.data.formats.description import add_texts
from pixtell.data.formats.entry import Entry, Misshapen
from pixtell.data.formats.kinds import Source
from pixtell.data.formats.table import RowTable
from pixtell.data.row import Stored
from pixtell.errors import InputError, MissingExtraError

# What columns are called, in the order of preference; in small letters.
PICTURES = ("image", "video", "media", "jpg", "jpeg", "png", "webp", "mp4", "img", "picture", "photo")
PATHS = ("file_name", "filename", "image_path", "path")
CAPTIONS = ("captions", "caption", "text", "texts", "sentences", "sentence")
ANSWERS = ("answers", "answer", "multiple_choice_answer")
IDS = ("image_id", "video_id", "key", "__key__")
ALIKE = ("question", "question_id", "question_type", "answer_type", "label", "word", "split", "id")

_LOOKED_AT = 8  # rows that tell whether a column of pairs holds bytes
_TEXTS_AT_ONCE = 10_000


@dataclass(frozen=True)
class Cell(Stored):
    """The cell `row` of a column in a row group of the file `path`."""

    column: str = ""
    group: int = 0
    row: int = 0

    @property
    def is_folder(self) -> bool:
        return False

    def read(self) -> bytes:
        """The bytes of the picture or clip. Raises `InputError` where they can't be had, naming it."""
        try:
            found = _remembered.cell(self)
        except FileNotFoundError:
            raise InputError("missing", f"{self.name}: no such file ({self.path})") from None
        except _failures() as error:
            raise InputError("broken", f"{self.name}: can't be read from {self.path} ({_line(error)})") from None
        if not isinstance(found, bytes):
            raise InputError("empty", f"{self.name}: nothing in its column {self.column} ({self.path})")
        return found


def read(sources: Sequence[Source], table: RowTable) -> None:
    """Add the rows of tables. Raises `MissingExtraError` without pyarrow, `InputError` for what is no such table."""
    for source in sources:
        try:
            with source.path.open("rb") as opened:
                _read(source.path, _parquet(source.path.name).ParquetFile(opened), table)
        except _failures() as error:
            raise InputError("broken", f"{source.path}: not a readable parquet file ({_line(error)})") from None


def _read(path: Path, file: Any, table: RowTable) -> None:
    fields = {field.name: str(field.type) for field in file.schema_arrow}
    by_name = {name.lower(): name for name in reversed(fields)}
    picture, leaf = _picture(path, file, fields, by_name)
    texts = {
        meant: column
        for meant, names in {
            "captions": CAPTIONS,
            "answers": ANSWERS,
            "image_id": IDS,
            **{n: (n,) for n in ALIKE},
        }.items()
        if (column := next((by_name[name] for name in names if name in by_name), None)) and column != picture
    }
    columns = [*texts.values(), *([] if leaf else [picture])]
    for number, (group, row, values) in enumerate(_rows(file, columns)):
        where = f"{path}: row {number}"  # rows count from 0, as in pandas and datasets
        entry = Entry({meant: values[column] for meant, column in texts.items()})
        cell = Cell(path, f"{path.stem}/{number}", column=leaf, group=group, row=row)
        try:
            _add(table, where, entry, cell, values.get(picture))
        except Misshapen as error:
            table.problem("broken", where, f" {error}")


def _add(table: RowTable, where: str, entry: Entry, cell: Cell, named: Any) -> None:
    """Add what one row says of the picture in `cell`, or of the one that is `named`."""
    named = named.get("path") if isinstance(named, dict) else named
    if not cell.column and (not isinstance(named, str) or not named):
        raise Misshapen("names no picture")
    asks = entry.has("question")
    draft = table.row((entry.text("image_id") if asks else entry.text("image_id", "id")) or cell.name, where)
    if cell.column:
        draft.media = draft.media or replace(cell, name=draft.id)
    else:
        draft.names, draft.near = (named,), cell.path.parent
    draft.split = draft.split or entry.text("split")
    add_texts(table, draft, where, entry, entry.text("id") if asks else "")


def _picture(path: Path, file: Any, fields: Mapping[str, str], by_name: Mapping[str, str]) -> tuple[str, str]:
    """The column of pictures, and how parquet calls its bytes; nothing for one of paths."""
    for name in (*PICTURES, *PATHS):
        column = by_name.get(name, "")
        kind = fields.get(column, "")
        if kind in ("binary", "large_binary"):
            return column, column
        if kind in ("string", "large_string"):
            return column, ""
        if kind.startswith("struct"):
            return column, f"{column}.bytes" if _has_bytes(file, column) else ""
    raise InputError(
        "no_pictures",
        f"{path}: the table has no column of pictures (looked for {', '.join(PICTURES[:3])} ...; it has "
        f"{', '.join(fields) or 'no columns'})",
    )


def _has_bytes(file: Any, column: str) -> bool:
    batch = next(file.iter_batches(batch_size=_LOOKED_AT, columns=[column]), None)
    cells = batch.column(0).to_pylist() if batch is not None else []
    return any(isinstance(cell, dict) and cell.get("bytes") for cell in cells)


def _rows(file: Any, columns: list[str]) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Each row's group, its place there, and its cells of these columns."""
    for group in range(file.metadata.num_row_groups):
        count = file.metadata.row_group(group).num_rows
        if not columns:
            yield from ((group, row, {}) for row in range(count))
            continue
        row = 0
        for batch in file.iter_batches(_TEXTS_AT_ONCE, row_groups=[group], columns=columns):
            for values in batch.to_pylist():
                yield group, row, values
                row += 1


class _Remembered:
    """The column of the row group that was read last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._what: tuple[Any, ...] = ()
        self._column: Any = None

    def cell(self, place: Cell) -> Any:
        """The value of a cell."""
        stamp = place.path.stat()
        what = (place.path, stamp.st_size, stamp.st_mtime_ns, place.column, place.group)
        with self._lock:
            if what != self._what:
                self._column, self._what = None, ()
                with place.path.open("rb") as opened:
                    file = _parquet(place.name).ParquetFile(opened)
                    column = file.read_row_group(place.group, columns=[place.column]).column(0)
                self._column, self._what = column, what
            found = self._column[place.row].as_py()
        return found.get("bytes") if isinstance(found, dict) else found


_remembered = _Remembered()


def _parquet(name: str) -> Any:
    try:
        return import_module("pyarrow.parquet")
    except ImportError as error:
        raise MissingExtraError(f"{name}: parquet needs the package pyarrow: pip install 'pixtell[parquet]'") from error


def _failures() -> tuple[type[Exception], ...]:
    """What pyarrow raises about a file that is damaged or not what it says."""
    try:
        arrow: type[Exception] = import_module("pyarrow").ArrowException
    except ImportError:
        return (OSError, UnicodeError)
    return (OSError, UnicodeError, IndexError, arrow)


def _line(error: Exception) -> str:
    return (str(getattr(error, "strerror", None) or error) or type(error).__name__).partition("\n")[0][:200]
