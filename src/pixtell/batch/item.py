"""One photo or clip to be captioned: what it is called and where its bytes lie.

In: what `inputs.py` found. Out: `Item`, small and picklable, so that a hundred thousand of them fit a list and each can
be sent to a worker process, which reads it there.

The surprising thing: a place holds no bytes and has looked at nothing. A file that vanished after it was listed is told
when it is read, as an error of that one item. (`Held` is the exception: a pipe can be read only once.)
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pixtell.data.row import Stored
from pixtell.errors import InputError

_PIECE = 1 << 20  # bytes of a file read at a time, where only its digest is wanted
_TIME_BYTES = 7  # of a digest in place of a time: fewer than 64 bits, so that any database holds them
_LONGEST_PART = 240  # bytes: common file systems allow 255, and outputs append a suffix
_KEPT, _KEPT_OF_SUFFIX = 50, 5  # characters, of up to 4 bytes each


class Place(Protocol):
    """Where the bytes of an item lie."""

    def read(self) -> bytes:
        """All bytes. Raises `InputError` that names the item."""

    def stamp(self) -> tuple[int, int]:
        """Size in bytes and time of the last change in ns, of the file that holds them: when both are as they were,
        so are the bytes. (0, 0) where that can't be told cheaply. Raises `InputError` that names the item."""


@dataclass(frozen=True, slots=True)
class Item:
    """One photo or clip.

    `name` is unique in a job, and what outputs call it: the path as the user named it, or `shard.tar/000012.jpg`,
    `album.zip/a/b.jpg`, `photos.parquet/17`, an address, `-`. It may hold any character, newlines too. `relative` is
    the path below what the user named, safe to be joined to an output folder. `folder` is where its sidecars go when
    there is no output folder, None where it lies in no folder of its own.
    """

    name: str
    place: Place
    relative: str
    folder: Path | None = None

    def read(self) -> bytes:
        """Its bytes. Raises `InputError` of one printable line that begins with its name."""
        try:
            return self.place.read()
        except InputError as error:
            raise InputError(error.code, printable(str(error))) from None

    def stamp(self) -> tuple[int, int]:
        """The stamp of its place. Raises `InputError` as `read` does."""
        try:
            return self.place.stamp()
        except InputError as error:
            raise InputError(error.code, printable(str(error))) from None

    @property
    def frames(self) -> FrameFolder | None:
        """The folder of frames that it is: `open_media` takes its `path`, and `digest` stands for its bytes."""
        return self.place if isinstance(self.place, FrameFolder) else None


@dataclass(frozen=True, slots=True)
class File:
    """A whole file."""

    path: str
    name: str

    def read(self) -> bytes:
        return Stored(Path(self.path), self.name).read()

    def stamp(self) -> tuple[int, int]:
        return stamp_of(self.path, self.name)


@dataclass(frozen=True, slots=True)
class Part:
    """`size` bytes of a file from `offset` on: a member of a tar or, in `base64`, a cell of a table of text."""

    path: str
    name: str
    offset: int
    size: int
    base64: bool = False

    def read(self) -> bytes:
        # Looked at first: bytes that are missing at the end would pass for a shorter picture, or for broken base64.
        there = self.stamp()[0]
        if there < self.offset + self.size:
            raise InputError(
                "truncated",
                f"{self.name}: {self.path} ends at byte {there:,}, before byte {self.offset + self.size:,} where "
                "this ends: it was cut off after it was listed",
            )
        return Stored(Path(self.path), self.name, self.offset, self.size, self.base64).read()

    def stamp(self) -> tuple[int, int]:
        return stamp_of(self.path, self.name)


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes that came through a pipe."""

    name: str
    content: bytes = field(repr=False)

    def read(self) -> bytes:
        return self.content

    def stamp(self) -> tuple[int, int]:
        # Of other bytes another time, as nothing else tells two pipes of equal length apart.
        return len(self.content), int.from_bytes(hashlib.sha256(self.content).digest()[:_TIME_BYTES], "big")


@dataclass(frozen=True, slots=True)
class FrameFolder:
    """A folder whose pictures are the frames of one clip."""

    path: str
    name: str

    def read(self) -> bytes:
        raise InputError("frames", f"{self.name}: a folder of frames is opened by its path, it has no bytes of its own")

    def stamp(self) -> tuple[int, int]:
        """The sum of the sizes and the latest change, of the folder and its files."""
        stamps = [stamp_of(path, self.name) for path in self._files()]
        own = stamp_of(self.path, self.name)
        return sum(size for size, _ in stamps), max(own[1], *(changed for _, changed in stamps)) if stamps else own[1]

    def digest(self) -> str:
        """The SHA-256 of the names and contents of its files, in hexadecimal. Raises `InputError`."""
        total = hashlib.sha256()
        for path in self._files():
            one = hashlib.sha256()
            try:
                with open(path, "rb") as file:
                    while piece := file.read(_PIECE):
                        one.update(piece)
            except OSError as error:
                raise _unreadable(path, self.name, error) from None
            total.update(os.fsencode(os.path.basename(path)) + b"\0" + one.digest())
        return total.hexdigest()

    def _files(self) -> Iterator[str]:
        """Its files but for hidden ones, which `open_media` passes over too."""
        try:
            names = sorted(name for name in os.listdir(self.path) if not name.startswith("."))
        except OSError as error:
            raise _unreadable(self.path, self.name, error) from None
        yield from (path for path in (os.path.join(self.path, name) for name in names) if os.path.isfile(path))


def stamp_of(path: str, name: str) -> tuple[int, int]:
    """Size and time of the last change (ns) of a file. Raises `InputError` that calls it `name`."""
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, name, error) from None
    return (0 if stat.S_ISDIR(found.st_mode) else found.st_size), found.st_mtime_ns


def _unreadable(path: str, name: str, error: Exception) -> InputError:
    where = "" if path == name else f" ({path})"
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return InputError("missing", f"{name}: no such file{where}")
    return InputError("unreadable", f"{name}: {getattr(error, 'strerror', None) or error}{where}")


def printable(text: str) -> str:
    """`text` as one line that any terminal and file can hold, `?` for what it can't."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def safe_relative(name: str) -> str:
    """`name` as a path that stays below the folder it is joined to and can be made: no `..`, no leading `/`, no NUL;
    a part that is longer than file systems allow is cut and told from others by its digest."""
    parts = (part for part in name.replace("\0", "").split("/") if part not in ("", ".", ".."))
    return "/".join(_short(part) for part in parts) or "unnamed"


def _short(part: str) -> str:
    try:
        encoded = os.fsencode(part)
    except UnicodeEncodeError:
        part = part.encode("utf-8", "replace").decode()
        encoded = part.encode()
    if len(encoded) <= _LONGEST_PART:
        return part
    stem, suffix = os.path.splitext(part)
    digest = hashlib.sha256(encoded).hexdigest()[:12]
    return f"{stem[:_KEPT]}-{digest}{suffix[:_KEPT_OF_SUFFIX]}"
