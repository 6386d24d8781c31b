"""Captions of MSVD: Microsoft's CSV file of all of them, or `AllVideoDescriptions.txt`, a clip and a caption a line.

In: either file. Out: rows by the clip's name, `mv89psg6zh4_33_46`: a YouTube id, and the seconds where it begins and
ends there. The surprising thing: the CSV file has captions in dozens of languages; only English ones are taken.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from pixtell.data.formats.entry import text_lines
from pixtell.data.formats.kinds import MSVD_COLUMNS, Source
from pixtell.data.formats.table import RowTable
from pixtell.errors import InputError

_LINE = re.compile(r"(\S+_\d+_\d+)\s+(\S.*)")


def read(sources: Sequence[Source], table: RowTable) -> None:
    """Add the rows of either kind of file."""
    for source in sources:
        (_read_csv if source.kind == "msvd csv" else _read_lines)(source.path, table)


def _read_lines(path: Path, table: RowTable) -> None:
    for where, line in text_lines(path):
        text = line.decode("utf-8", "replace").strip()
        if text.startswith("#") or not text:
            continue
        if found := _LINE.fullmatch(text):
            _add(table, where, found[1], found[2])
        else:
            table.problem("broken", where, " is not a clip's name and a caption")


def _read_csv(path: Path, table: RowTable) -> None:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            names = [name.strip().lower() for name in next(rows)]
            columns = [names.index(name) for name in MSVD_COLUMNS]
            for row in rows:
                where = f"{path}: line {rows.line_num}"
                if len(row) <= max(columns):
                    if row:
                        table.problem("broken", where, f" has {len(row)} columns and no caption")
                    continue
                video, start, end, language, caption = (row[column].strip() for column in columns)
                if language.lower() == "english":
                    _add(table, where, f"{video}_{start}_{end}", caption)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError("broken", f"{path}: is no CSV file in UTF-8 ({error})") from None


def _add(table: RowTable, where: str, name: str, caption: str) -> None:
    draft = table.row(name, where)
    draft.names = (name,)
    table.caption(draft, where, caption)
