"""The small pictures of the contact page, made from the inputs of a job and kept beside its journal.

In: items. Out: WebP files of a few kilobytes, and a store of them from run to run.

The surprising thing: a thumbnail is kept by the digest of the content that it shows, not by the name of its input. So a
photo that is there twice is decoded once, one that was moved is known again, and a job that is killed while they are
made goes on from there. Of many rows they are smaller: the page of 10,000 photos is of about 50 MB.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pixtell.batch.files import append, make_folder, telling
from pixtell.batch.item import Item, printable
from pixtell.batch.output import Finished
from pixtell.errors import ConfigError, InputError, MissingExtraError
from pixtell.media import open_media
from pixtell.page import shrink

# The longer side of thumbnails in pixels, for up to so many rows. Square photos take 7.9 kB, 3.4 kB and 1.7 kB.
SIDES = ((3_000, 240), (15_000, 144))
LEAST = 96  # for more rows
QUALITY, EFFORT = 60, 2  # WebP's: three quarters of the bytes of a JPEG of quality 70, in 1.3 ms


def side_for(count: int) -> int:
    """The longer side of thumbnails on a page of `count` rows."""
    return next((side for most, side in SIDES if count <= most), LEAST)


def thumbnail_of(item: Item, side: int) -> bytes:
    """The thumbnail of a photo, or of a frame of a clip; nothing where it can't be had."""
    try:
        source = item.frames.path if item.frames else io.BytesIO(item.read())
        frame = open_media(source, frames=1, least_side=side).frames[0]
        return shrink(frame, side, "WEBP", quality=QUALITY, method=EFFORT)
    except (InputError, MissingExtraError):
        return b""


def shown_by(finished: Finished, side: int) -> str:
    """What a thumbnail shows: content of this digest at this size. Of what was not opened, its name and stamp."""
    content = finished.row.sha256
    if not content and finished.row.status != "error":
        try:
            stamp = finished.item.stamp()
        except InputError:
            stamp = (0, 0)
        content = hashlib.sha256(f"{finished.item.name!a} {stamp}".encode()).hexdigest()
    return f"{content}-{side}"


class Thumbnails:
    """Small pictures in a file, by what they show. It only grows; what a kill left half written is cut off."""

    BEGINNING = b"pixtell thumbnails 1\n"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[str, tuple[int, int]] | None = None  # what is shown -> offset and length

    def __contains__(self, shown: str) -> bool:
        return shown in self._found()

    def keep(self, pictures: Sequence[tuple[str, bytes]]) -> None:
        """Put pictures on the disk, each with what it shows (in one line). Raises `PixtellError`."""
        places, pieces = self._found(), []
        with telling(self._path):
            end = self._path.stat().st_size
        for shown, picture in pictures:
            head = f"{shown} {len(picture)}\n".encode()
            places[shown] = (end + len(head), len(picture))
            pieces += [head, picture]
            end += len(head) + len(picture)
        append(self._path, b"".join(pieces))

    def all(self, wanted: Iterable[str]) -> Iterator[bytes]:
        """The pictures of these, which are there. Raises `PixtellError`."""
        places = self._found()
        with telling(self._path), self._path.open("rb") as file:
            for shown in wanted:
                offset, length = places[shown]
                file.seek(offset)
                yield file.read(length)

    def _found(self) -> dict[str, tuple[int, int]]:
        if self._places is None:
            make_folder(self._path.parent)
            with telling(self._path):
                self._path.touch()
            self._places = self._read()
        return self._places

    def _read(self) -> dict[str, tuple[int, int]]:
        places: dict[str, tuple[int, int]] = {}
        with telling(self._path), self._path.open("rb") as file:
            beginning = file.read(len(self.BEGINNING))
            size = os.fstat(file.fileno()).st_size
            if not self.BEGINNING.startswith(beginning):
                raise ConfigError(f"{printable(str(self._path))}: is there, and holds no thumbnails: move it away")
            end = len(beginning) if beginning == self.BEGINNING else 0
            while end:
                shown, _, length = file.readline().decode("ascii", "replace").rpartition(" ")
                if not length.endswith("\n") or not length.strip().isdecimal() or file.tell() + int(length) > size:
                    break
                places[shown] = (file.tell(), int(length))
                end = file.seek(int(length), os.SEEK_CUR)
        if end != size or not end:
            append(self._path, b"" if end else self.BEGINNING, keep=end)
        return places
