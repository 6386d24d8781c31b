"""Captions as Flickr8k and Flickr30k have them: `photo.jpg#0 <tab> a caption` a line, or a CSV file `image,caption`.

In: a text file. Out: rows by the picture's name without its ending, all captions of a picture together.

The surprising thing: a caption in a CSV file may hold commas and line ends within quotes, so a line of the file is not
always a line of the table.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pixtell.data.formats.entry import text_lines
from pixtell.data.formats.kinds import Source, csv_columns
from pixtell.data.formats.pictures import media_key
from pixtell.data.formats.table import RowTable
from pixtell.errors import InputError

_NUMBER = re.compile(r"#\d+$")  # which of a picture's captions it is


def read(sources: Sequence[Source], table: RowTable) -> None:
    """Add the rows of files of captions."""
    for source in sources:
        read_captions(source.path, table)


def read_captions(path: Path, table: RowTable) -> None:
    """Add the rows of one file of captions."""
    for where, name, caption in _pairs(path, table):
        draft = table.row(media_key(name), where)
        if draft.names and draft.names != (name,):
            table.problem("duplicate", where, f": the id {draft.id} is that of {draft.names[0]} too")
            continue
        draft.names, draft.near = (name,), path.parent
        table.caption(draft, where, caption)


def _pairs(path: Path, table: RowTable) -> Iterator[tuple[str, str, str]]:
    lines = text_lines(path)
    first = next(lines, ("", b""))[1].decode("utf-8", "replace")
    if columns := csv_columns(first):
        yield from _csv_pairs(path, table, columns)
        return
    for where, line in text_lines(path):
        try:
            name, tab, caption = line.decode("utf-8").partition("\t")
        except UnicodeDecodeError as error:
            table.problem("broken", where, f" is not UTF-8 text (byte {error.start})")
            continue
        name = _NUMBER.sub("", name.strip())
        if tab and name:
            yield where, name, caption.strip()
        else:
            table.problem("broken", where, " is not a picture's name, a tab and a caption")


def _csv_pairs(path: Path, table: RowTable, columns: tuple[int, int]) -> Iterator[tuple[str, str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            next(rows)
            for row in rows:
                where = f"{path}: line {rows.line_num}"
                if len(row) > max(columns) and row[columns[0]].strip():
                    yield where, row[columns[0]].strip(), row[columns[1]].strip()
                elif row:
                    table.problem("broken", where, f" has {len(row)} columns and no picture with a caption")
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError("broken", f"{path}: is no CSV file in UTF-8 ({error})") from None
