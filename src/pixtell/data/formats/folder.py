"""A folder of pictures or clips: with a file of captions, with texts beside each, or in a folder for each class.

In: a folder. Out: rows known by their path in it, without the ending. Which of the three it is, is seen from what lies
there, in this order; where nothing is said of any picture, they are pictures to be described.

The surprising thing: where the folder has a file of captions, that file is the data set, and pictures it doesn't name
are not part of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pixtell.data.formats.caption_lines import read_captions
from pixtell.data.formats.json_lines import read_lines
from pixtell.data.formats.keyed import add_keyed
from pixtell.data.formats.kinds import Source
from pixtell.data.formats.table import RowTable
from pixtell.data.row import Stored
from pixtell.errors import InputError

LISTS = ("metadata.jsonl", "captions.jsonl", "captions.txt", "captions.csv", "metadata.csv")


def read(sources: Sequence[Source], table: RowTable) -> None:
    """Add the rows of folders."""
    for source in sources:
        _read_folder(source.path, table)


def _read_folder(folder: Path, table: RowTable) -> None:
    for name in LISTS:
        if (folder / name).is_file():
            (read_lines if name.endswith(".jsonl") else read_captions)(folder / name, table)
            return
    before = set(table.drafts)
    files = list(_files(folder))
    add_keyed(table, files, lambda file: str(file.path))
    drafts = [draft for name, draft in table.drafts.items() if name not in before]
    if not drafts and not table.problems:
        tars = sorted(file.name for file in files if file.name.endswith(".tar"))
        found = f"{len(tars)} tars: name them, as in {folder / tars[0]}" if tars else f"{len(files)} other files"
        raise InputError("no_pictures", f"{folder}: the folder holds no pictures or clips ({found})")
    if all(draft.is_bare for draft in drafts):
        for draft in drafts:
            draft.label = draft.id.rpartition("/")[0].rpartition("/")[2]


def _files(folder: Path) -> Iterator[Stored]:
    """Every file below a folder by its path there, in the order of names; hidden folders are passed over."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            yield Stored(path, path.relative_to(folder).as_posix())
