"""Sidecars: a file beside each picture, or in a tree like theirs, that says what the picture shows.

In: finished rows. Out: a file for each that is good enough to stand there; the failed and skipped have none, nor those
set aside for review.

The surprising thing: what a person has changed since is never touched, and no file is kept of what was written. A file
is written only where nothing is, or where still stands, by its digest, what stood there before the job. Everything else
is either written already, or someone's work.

A kind of sidecar is a function from a row to its content, and a line in `KINDS`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pixtell.batch.caption_text import row_of_txt, txt, txt_holds, txt_onto
from pixtell.batch.clips import srt, vtt
from pixtell.batch.files import content_of, fitting, make_folder, sweep, telling, write_whole
from pixtell.batch.item import Item, printable
from pixtell.batch.output import Finished, OnExisting, OutputOptions, Plain, shows
from pixtell.batch.row import Row
from pixtell.batch.xmp import row_of_xmp, xmp, xmp_holds, xmp_onto
from pixtell.errors import ConfigError, InputError, PixtellError

_NOTHING = ""  # the note of a place where nothing is


def _replaced(before: bytes, row: Row, on_existing: OnExisting) -> bytes | None:
    return None


def _something(content: bytes) -> bool:
    return bool(content)


@dataclass(frozen=True)
class Kind:
    """What a kind of sidecar holds, and how it is read.

    `content` is a row's, None where it has none. `onto` is the content where there was something before; None: the
    same as where there was nothing. `holds` says whether what is there counts as something. `row` reads it again,
    given what to call it. The last three may raise `ValueError`: what is there is not of this kind.
    """

    content: Callable[[Row], bytes | None]
    onto: Callable[[bytes, Row, OnExisting], bytes | None] = _replaced
    holds: Callable[[bytes], bool] = _something
    row: Callable[[bytes, str], Row] | None = None


KINDS = {
    "txt": Kind(txt, txt_onto, txt_holds, row_of_txt),
    "xmp": Kind(xmp, xmp_onto, xmp_holds, row_of_xmp),
    "srt": Kind(srt),
    "vtt": Kind(vtt),
}


class Sidecars(Plain):
    """The output that is a file for each item."""

    def __init__(self, kind: str, options: OutputOptions) -> None:
        self._kind = KINDS[kind]
        self._ending = f".{kind}"
        self._options = options
        self.beside = options.out_dir is None
        shown = "*.*" if options.sidecar_name == "full" else "*"
        # Names the place too, so that a note taken elsewhere is not taken for one of here.
        self.name = os.path.join(options.out_dir or "", f"{shown}.{kind}")
        if self._kind.onto is _replaced and options.on_existing in ("append", "prepend"):
            raise ConfigError(f"{kind}: nothing can be joined to such a file: --on-existing skip, overwrite or error")

    def files(self, count: int) -> tuple[Path, ...]:
        return ()

    def places(self, item: Item) -> tuple[Path, ...]:
        *above, own = parts = item.relative.split("/")
        if "" in parts or ".." in parts or "\0" in item.relative or os.path.splitdrive(item.relative)[0]:
            raise ConfigError(f"{printable(item.name)}: {printable(item.relative)} leads out of the output folder")
        folder = item.folder
        if self._options.out_dir is not None:
            folder = self._options.out_dir
            for part in above:
                folder = fitting(folder, part)
        if folder is None:
            raise ConfigError(f"{printable(item.name)}: lies in no folder: name one for {self.name} with --out-dir")
        name = own if self._options.sidecar_name == "full" else os.path.splitext(own)[0]
        return (fitting(folder, name, self._ending),)

    def existing(self, item: Item) -> bool:
        (path,) = self.places(item)
        try:
            content = content_of(path)
            return content is not None and self._kind.holds(content)
        except PixtellError as error:
            reason = str(error)
        except ValueError as error:
            reason = f"{printable(str(path))}: {error}"
        raise InputError("sidecar", f"{printable(item.name)}: its sidecar can't be gone on with: {reason}")

    def before(self, item: Item) -> str | None:
        (path,) = self.places(item)
        return _digest(content_of(path))

    def start(self, rows: Sequence[Finished]) -> None:
        if self._options.out_dir is not None:
            make_folder(self._options.out_dir)
        for one in rows:
            if shows(one.row):
                (path,) = self.places(one.item)
                sweep(path)
                self._write(path, one)

    def add(self, rows: Sequence[Finished]) -> None:
        for one in rows:
            if shows(one.row):
                (path,) = self.places(one.item)
                self._write(path, one)

    def finish(self, rows: Iterable[Finished]) -> None:
        pass

    def _write(self, path: Path, finished: Finished) -> None:
        seen = finished.seen(self.name)
        if seen in (_NOTHING, None) and os.path.exists(path):
            return  # written already
        content = content_of(path)
        try:
            wanted = self._wanted(content, seen, finished.row)
        except ValueError as error:
            raise PixtellError(
                f"{printable(str(path))}: {error}; it is kept as it is: move it away, and the same command goes on"
            ) from None
        if wanted is not None and wanted != content:
            if self._options.out_dir is not None:
                self._make_below(self._options.out_dir, path.parent)
            write_whole(path, [wanted])

    def _wanted(self, content: bytes | None, seen: str | None, row: Row) -> bytes | None:
        """What is to be written where `content` is, None where that stays as it is."""
        fresh = self._kind.content(row)
        if content is None or fresh is None:
            return fresh
        if _digest(content) != seen:
            return None
        if self._options.on_existing in ("skip", "error") and self._kind.holds(content):
            return None
        return self._kind.onto(content, row, self._options.on_existing) or fresh

    @staticmethod
    def _make_below(root: Path, folder: Path) -> None:
        """Make a folder of the tree, but not its root: that was made at the start, and has vanished if it is gone."""
        with telling(root):
            if not root.is_dir():
                raise FileNotFoundError(None, "the folder has vanished")
            folder.mkdir(parents=True, exist_ok=True)


def _digest(content: bytes | None) -> str:
    return _NOTHING if content is None else hashlib.sha256(content).hexdigest()[:32]
