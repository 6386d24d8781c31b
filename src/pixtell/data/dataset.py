"""The door to data sets: files in, rows out, whatever the format.

In: paths or patterns of tars, parquet, JSON, JSON lines, TSV files or folders, those of one data set together. Out: its
rows, and what could not be used of it, each with its place. Texts are read, pictures are only located.

The surprising thing: what a file is, is found out from its content, and only files of one format are one data set.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pixtell.data.formats import (
    caption_lines,
    coco,
    folder,
    image_tsv,
    json_lines,
    msvd,
    parquet,
    tars,
    textvqa,
    video_captions,
    video_qa,
    vqa,
)
from pixtell.data.formats.kinds import Kind, Source, recognise
from pixtell.data.formats.patterns import expand
from pixtell.data.formats.pictures import Pictures
from pixtell.data.formats.table import RowTable
from pixtell.data.row import Problem, Row
from pixtell.errors import ConfigError, InputError

__all__ = ["Dataset", "Problem", "open_dataset"]

_Reader = Callable[[Sequence[Source], RowTable], None]

_READERS: dict[Kind, _Reader] = {
    "tar": tars.read,
    "folder": folder.read,
    "rows": json_lines.read,
    "coco captions": coco.read,
    "karpathy": coco.read_karpathy,
    "vqa questions": vqa.read,
    "vqa annotations": vqa.read,
    "textvqa": textvqa.read,
    "video qa": video_qa.read,
    "video captions": video_captions.read,
    "msvd csv": msvd.read,
    "msvd lines": msvd.read,
    "image tsv": image_tsv.read,
    "text tsv": image_tsv.read,
    "caption lines": caption_lines.read,
    "parquet": parquet.read,
}
_WORDS = {
    "rows": "JSON lines",
    "image tsv": "TSV",
    "text tsv": "TSV",
    "caption lines": "captions in lines",
    "msvd csv": "MSVD",
    "msvd lines": "MSVD",
}


@dataclass(frozen=True)
class Dataset:
    """A data set as its files have it. `name` is short, for tables and file names."""

    name: str
    rows: tuple[Row, ...] = field(repr=False)
    problems: tuple[Problem, ...] = ()


def open_dataset(
    sources: Sequence[str | Path], *, media: str | Path | None = None, split: str | None = None
) -> Dataset:
    """Read what a data set says, and where its pictures or clips lie.

    `sources` are its files, or patterns of them; a file of pictures and one of texts, or of questions and answers, are
    named together. `media` is the folder of pictures or clips that files only name; it is an error where the pictures
    are in the files themselves. `split` chooses from a file that holds several.

    Raises `InputError` when nothing can be used (codes `missing`, `unreadable`, `empty`, `no_pictures`, `broken`,
    `unsupported`), and `ConfigError` for files of several formats and options that don't fit them.
    """
    with _no_collection():
        return _open(sources, media, split)


def _open(sources: Sequence[str | Path], media: str | Path | None, split: str | None) -> Dataset:
    if not sources:
        raise InputError("empty", "no data set: name its files or its folder")
    if media is not None and not Path(media).is_dir():
        raise InputError("missing", f"{media}: no such folder of pictures or clips")
    found = [recognise(path) for path in expand(sources)]
    reader = _READERS[found[0].kind]
    for one in found:
        if _READERS[one.kind] is not reader:
            raise ConfigError(
                f"{found[0].path} is {_kind(found[0])} and {one.path} is {_kind(one)}: name the files of one data set"
            )
    table = RowTable()
    reader(found, table)
    name = _name([one.path for one in found])
    folders = [one.path for one in found if one.kind == "folder"]
    rows = table.finish(name, split, Pictures(Path(media) if media is not None else None, folders))
    return Dataset(f"{name} {split}" if split else name, rows, tuple(table.problems))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without the garbage collector, which looks at all objects again and again while millions of them are made.

    It takes 2.9 of the 6.4 seconds of VQAv2's validation questions, and finds nothing.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _kind(source: Source) -> str:
    return _WORDS.get(source.kind, source.kind)


def _name(paths: Sequence[Path]) -> str:
    """The files' short names: of one, of two, or of the first and the last."""
    names = [path.resolve().name if path.is_dir() else path.stem for path in paths]
    between = " + " if len(names) == 2 else " ... "
    return names[0] if len(names) == 1 else f"{names[0]}{between}{names[-1]}"
