"""Rows go to disk as they are: JSON lines that name their pictures, or tars that hold them.

In: rows, and `OUT.jsonl` or `OUT-%06d.tar`. Out: files that `open_dataset` reads back; each is whole or not there.

The surprising thing: only pictures that are files of their own can be named in JSON lines. Those within tars, tables
and TSV files have to be copied, into tars.
"""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from pixtell.data.formats.pictures import MEDIA_ENDINGS, split_ending
from pixtell.data.row import Row, Stored
from pixtell.data.tar_rows import NUMBER, add_row, described, ending_of, keys_of, tar_path
from pixtell.data.whole_file import whole_file
from pixtell.errors import ConfigError, InputError

ROWS = 1000  # in a tar


def claim(target: str, rows: Sequence[Row], overwrite: bool) -> None:
    """See that rows can be written to `target`, and that nothing is lost. Raises `ConfigError`."""
    if target.endswith(".jsonl"):
        there = [Path(target)] if Path(target).exists() else []
        within = next((row.media for row in rows if row.media and not _is_file(row.media)), None)
        if within is not None:
            raise ConfigError(
                f"{target}: JSON lines can't name {within.name} within {within.path}: write tars, as in -o "
                f"{target.removesuffix('.jsonl')}-%06d.tar"
            )
    elif target.endswith(".tar"):
        folder = tar_path(target, 0).parent
        before, after = NUMBER.split(Path(target).name)
        names = (path for path in folder.glob("*.tar") if path.name.startswith(before) and path.name.endswith(after))
        there = [path for path in names if path.name[len(before) : len(path.name) - len(after)].isdigit()]
    else:
        raise ConfigError(f"{target}: rows are written to NAME.jsonl or to NAME-%06d.tar")
    if there and not overwrite:
        raise ConfigError(f"{min(there)}: is there already: name another, or add --overwrite")
    if target.endswith(".tar"):  # another run's last tars would be taken for this one's
        read = {row.media.path.resolve() for row in rows if row.media}
        if own := [path for path in there if path.resolve() in read]:
            raise ConfigError(f"{min(own)}: is itself read from: name another")
        for path in there:
            path.unlink()


def write_rows(rows: Iterable[Row], target: str) -> int:
    """Write all rows; returns the number of files. Raises `PixtellError` when the disk refuses."""
    if target.endswith(".tar"):
        return _write_tars(iter(rows), target)
    path = Path(target)
    with whole_file(path) as file:
        for row in rows:
            assert row.media is not None
            line = {"id": row.id, "image": _named(row.media.path, path.parent), **described(row)}
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
    return 1


def _write_tars(rows: Iterator[Row], target: str) -> int:
    number = 0
    while (first := next(rows, None)) is not None:
        part = list(chain([first], islice(rows, ROWS - 1)))
        with whole_file(tar_path(target, number)) as file, tarfile.open(fileobj=file, mode="w") as tar:
            for key, row in zip(keys_of(part), part, strict=True):
                assert row.media is not None
                if row.media.is_folder:
                    raise InputError("unsupported", f"{row.id}: a folder of frames doesn't go into a tar")
                content = row.media.read()
                add_row(tar, key, row, content, ending_of(content) or _ending(row.media.name))
        number += 1
    return number


def _ending(name: str) -> str:
    ending = split_ending(name)[1]
    return ending if ending in MEDIA_ENDINGS else ".jpg"


def _is_file(media: Stored) -> bool:
    return type(media) is Stored and media.size is None and not media.base64


def _named(path: Path, folder: Path) -> str:
    """A path relative to the file that names it where it lies below, else whole."""
    whole, base = os.path.abspath(path), os.path.abspath(folder)
    return os.path.relpath(whole, base) if os.path.commonpath([whole, base]) == base else whole
