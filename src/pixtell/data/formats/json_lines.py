"""JSON lines: an object a line with a picture's path or a row's id, and what is said of it; or a JSON list of such.

In: files of ours or of anybody. Out: rows, the lines about one picture joined. Paths are relative to the file.

The surprising thing: whose `id` it is. In a line with a path and a question it is the question's, since such lines
repeat the picture; else it is the row's. Without one a row is known by its path without the ending.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pixtell.data.formats.description import add_texts
from pixtell.data.formats.entry import Entry, Misshapen, Placed, numbered, parse_json, text_lines
from pixtell.data.formats.kinds import Source
from pixtell.data.formats.pictures import media_key
from pixtell.data.formats.table import Draft, RowTable

PATHS = ("image", "video", "media", "file_name", "path")  # `file_name` is what Hugging Face's image folders say


def read(sources: Sequence[Source], table: RowTable) -> None:
    """Add the rows of files of lines, or of lists."""
    for source in sources:
        if source.content is None:
            read_lines(source.path, table)
        else:
            _add(source.path, numbered(source.path, "entry", source.content), table)


def read_lines(path: Path, table: RowTable) -> None:
    """Add the rows of one file of lines."""
    _add(path, _values(path, table), table)


def _values(path: Path, table: RowTable) -> Iterator[Placed]:
    for where, line in text_lines(path):
        try:
            value: Any = parse_json(line)
        except Misshapen as error:
            table.problem("broken", where, f" {error}")
        else:
            yield where, value


def _add(path: Path, values: Iterable[Placed], table: RowTable) -> None:
    by_picture: dict[str, Draft] = {}

    def add(where: str, entry: Entry) -> None:
        name = posixpath.normpath(entry.text(*PATHS)) if entry.has(*PATHS) else ""
        asks = bool(name) and entry.has("question")
        draft = by_picture.get(name)
        if draft is None:
            row_id = entry.text("image_id", "key") if asks else entry.text("id", "image_id", "key")
            if not row_id and not name:
                raise Misshapen("has neither the path of a picture nor an id")
            draft = table.row(row_id or media_key(name), where)
            if name and draft.near and (draft.names, draft.near) != ((name,), path.parent):
                table.problem("duplicate", where, f": the id {draft.id} is that of {draft.names[0]} too")
                return
        if name:
            by_picture[name] = draft
            draft.names, draft.near = (name,), path.parent
        else:
            draft.names = draft.names or (draft.id,)  # looked for in the folder of media only
        draft.split = draft.split or entry.text("split")
        add_texts(table, draft, where, entry, entry.text("id") if asks else "")
        if entry.has("file_name"):  # there a caption is called `text`
            for caption in entry.texts("text"):
                table.caption(draft, where, caption)

    table.each(values, add)
