"""The TSV files of GIT's authors (microsoft/GenerativeImage2Text): a key, a tab, and a picture in base64 or JSON texts.

In: files of pictures, files of captions or questions, or both. Out: rows by key, joined. `NAME.lineidx`, where it lies
beside `NAME.tsv`, says where each line begins.

The surprising thing: an index that doesn't fit its file is not used. Any that is older than the file would give
pictures cut in two.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path

from pixtell.data.formats.description import add_texts
from pixtell.data.formats.entry import Entry, Misshapen, parse_json, text_lines
from pixtell.data.formats.kinds import Source
from pixtell.data.formats.table import RowTable
from pixtell.data.row import Stored


def read(sources: Sequence[Source], table: RowTable) -> None:
    """Add the rows of pictures, then what is said of them."""
    pictures = [source.path for source in sources if source.kind == "image tsv"]
    for path in pictures:
        _read_pictures(path, table)
    for source in sources:
        if source.kind == "text tsv":
            _read_texts(source.path, table, bool(pictures))


def _read_pictures(path: Path, table: RowTable) -> None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for number, start, end in _lines(path, content):
            where = f"{path}: line {number}"
            tab = content.find(b"\t", start, end)
            key = content[start:tab].decode("utf-8", "replace").strip() if tab >= 0 else ""
            if not key:
                table.problem("broken", where, " is not a key, a tab and a picture")
            elif draft := table.new(key, where):
                draft.media = Stored(path, key, tab + 1, end - tab - 1, base64=True)


def _lines(path: Path, content: mmap.mmap) -> Iterator[tuple[int, int, int]]:
    """The number of each line that holds something, where it begins, and where it ends but for its end of line."""
    starts = _index(path.with_suffix(".lineidx"), content) or _scan(content)
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(content)], strict=True), 1):
        while end > start and content[end - 1] in b"\r\n":
            end -= 1
        if end > start:
            yield number, start, end


def _scan(content: mmap.mmap) -> list[int]:
    starts = [0]
    while (end := content.find(b"\n", starts[-1])) >= 0 and end + 1 < len(content):
        starts.append(end + 1)
    return starts


def _index(path: Path, content: mmap.mmap) -> list[int]:
    """The lines' beginnings as the index has them; none where it isn't there or doesn't fit."""
    try:
        starts = [int(line) for line in path.read_bytes().split()]
    except (OSError, ValueError):
        return []
    begin = all(0 < start < len(content) and content[start - 1] == ord("\n") for start in starts[1:])
    if starts[:1] != [0] or not begin or starts != sorted(starts):
        return []
    end = content.find(b"\n", starts[-1])
    return starts if end in (-1, len(content) - 1) else []


def _read_texts(path: Path, table: RowTable, joined: bool) -> None:
    """Add what a file says of each key; where pictures were given, a key has to be theirs."""
    for where, line in text_lines(path):
        key, tab, value = line.partition(b"\t")
        name = key.decode("utf-8", "replace").strip()
        try:
            if not tab or not name:
                raise Misshapen("is not a key, a tab and a JSON list")
            content = parse_json(value)
            entries = [Entry(one) for one in (content if isinstance(content, list) else [content])]
            if joined and name not in table.drafts:
                table.problem("missing", where, f": the key {name} is not among the pictures")
                continue
            draft = table.row(name, where)
            if not joined:
                draft.names = (name,)
            for entry in entries:
                add_texts(table, draft, where, entry)
        except Misshapen as error:
            table.problem("broken", where, f" {error}")
