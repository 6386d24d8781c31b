"""Photos and clips in tars (WebDataset) and zips, read where they lie.

In: the path of an archive. Out: an item for each member that is a photo or a clip, in the archive's order. Nothing is
unpacked to disk: a tar's member is a stretch of the tar, a zip's is unpacked in memory when it is its turn, up to a
limit. Names of members are only names, `..` in them leads nowhere.

The surprising thing: `zipfile` reads a zip's whole directory each time it opens it, so that reading n members by name,
in worker processes that can't share an open file, would take n * n steps. A member here knows its own offset.
"""

from __future__ import annotations

import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from pixtell.batch.found import Found, PassedOver, problem
from pixtell.batch.item import Item, Part, safe_relative, stamp_of
from pixtell.batch.kinds import HEAD, is_hidden, kind_of, looks_like_media, suffix_of
from pixtell.errors import InputError

MEMBER_LIMIT = 512 << 20  # bytes of an unpacked zip member: more than any photo, as much as a long clip

# What stands before a member's bytes (APPNOTE.TXT 4.3.7): its signature, ..., the lengths of its name and extra field.
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_ENCRYPTED = 0x1  # flag bit 0 (APPNOTE.TXT 4.4.4)


# ---- tar


def list_tar(path: str, name: str, relative: str) -> Iterator[Found]:
    """The photos and clips in a tar. Of a tar that breaks off those before the break, and then `InputError`.

    `name` is what the user called the tar, `relative` its path below what the user named.
    """
    found: dict[str, Found] = {}
    failure = ""
    try:
        with tarfile.open(path, "r:", errors="surrogateescape") as tar, open(path, "rb") as file:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # or it keeps them all, a kilobyte each
                if member.isfile() and not member.issparse() and not is_hidden(member.name):
                    inner = _inner(member.name)
                    place = Part(path, f"{name}/{inner}", member.offset_data, member.size)
                    is_media = _is_media(inner, file, place)
                    # Of two with one name the later counts, as when the tar is unpacked.
                    found[inner] = _item(place, f"{relative}/{inner}") if is_media else PassedOver(suffix_of(inner))
            # A damaged header ends tarfile's loop as if the tar were over; only zeros, or nothing, are an end.
            file.seek(tar.offset)
            if any(file.read(tarfile.BLOCKSIZE)):
                failure = f"no member's header at byte {tar.offset:,}"
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        failure = str(getattr(error, "strerror", None) or error)
    yield from found.values()
    if failure:
        before = f" beyond its first {len(found):,} members" if found else ""
        raise InputError("broken", f"{name}: not a readable tar{before} ({failure})")


def _is_media(inner: str, file: IO[bytes], place: Part) -> bool:
    kind = kind_of(inner)
    if kind != "unknown":
        return kind == "media"
    file.seek(place.offset)
    return looks_like_media(file.read(min(HEAD, place.size)))


def _inner(raw: str) -> str:
    """A member's name without `./` and doubled slashes; what it says otherwise stays, `..` too."""
    return "/".join(part for part in raw.split("/") if part not in ("", ".")) or "unnamed"


def _item(place: Part | ZipMember, relative: str) -> Item:
    return Item(place.name, place, safe_relative(relative))


# ---- zip


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A member of a zip: `packed` bytes behind the header at `offset`, which become `size` bytes."""

    path: str
    name: str
    offset: int
    packed: int
    size: int
    crc: int
    method: int

    def read(self) -> bytes:
        if self.size > MEMBER_LIMIT:
            line = f"{self.name}: {self.size:,} bytes unpacked, the limit is {MEMBER_LIMIT:,}: unpack it and name it"
            raise InputError("too_large", line)
        try:
            with open(self.path, "rb") as file:
                content = self._unpacked(file, self.size)
        except OSError:
            stamp_of(self.path, self.name)  # says why, where the whole zip is gone or closed to us
            raise InputError("unreadable", f"{self.name}: it can't be read from {self.path}") from None
        if len(content) != self.size or zlib.crc32(content) != self.crc:
            raise InputError("broken", f"{self.name}: its bytes don't match their checksum in {self.path}")
        return content

    def head(self, file: IO[bytes]) -> bytes:
        """Its first bytes, from its open zip; none where they can't be unpacked."""
        try:
            return self._unpacked(file, min(HEAD, self.size))[:HEAD]
        except (InputError, OSError):
            return b""

    def stamp(self) -> tuple[int, int]:
        return stamp_of(self.path, self.name)

    def _unpacked(self, file: IO[bytes], wanted: int) -> bytes:
        """The first `wanted` bytes, and one more of a member that holds more than it says."""
        file.seek(self.offset)
        header = file.read(_LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\x03\x04"):
            raise InputError("broken", f"{self.name}: it is not where the directory of {self.path} says")
        _, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        file.seek(name_length + extra_length, 1)
        if self.method == zipfile.ZIP_STORED:
            return file.read(min(self.packed, wanted + 1))
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)  # negative: without a header of its own
        content, left = bytearray(), self.packed
        try:
            while len(content) <= wanted and left > 0 and not unpacker.eof:
                piece = file.read(min(left, 1 << 16))
                if not piece:
                    raise InputError("truncated", f"{self.name}: {self.path} ends before it does")
                left -= len(piece)
                while piece and len(content) <= wanted:
                    content += unpacker.decompress(piece, wanted + 1 - len(content))
                    piece = unpacker.unconsumed_tail
        except zlib.error as error:
            raise InputError("broken", f"{self.name}: its packed bytes are damaged ({error})") from None
        return bytes(content)


def list_zip(path: str, name: str, relative: str) -> Iterator[Found]:
    """The photos and clips in a zip; a member that can't be unpacked is a problem of its own.

    Raises `InputError` for what is no zip, or has lost its end.
    """
    found: dict[str, Found] = {}
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                inner = _inner(info.filename)
                if not info.is_dir() and not is_hidden(inner):
                    found[inner] = _zip_member(info, path, f"{name}/{inner}", f"{relative}/{inner}", file)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise InputError(
            "broken", f"{name}: not a readable zip ({getattr(error, 'strerror', None) or error})"
        ) from None
    yield from found.values()


def _zip_member(info: zipfile.ZipInfo, path: str, name: str, relative: str, file: IO[bytes]) -> Found:
    member = ZipMember(path, name, info.header_offset, info.compress_size, info.file_size, info.CRC, info.compress_type)
    kind = kind_of(name)
    locked = info.flag_bits & _ENCRYPTED
    known = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if kind == "unknown" and known and not locked and looks_like_media(member.head(file)):
        kind = "media"
    if kind != "media":
        return PassedOver(suffix_of(name))
    if locked:
        return problem(name, InputError("unsupported", f"{name}: it is encrypted: unpack the zip with its password"))
    if not known:
        line = f"{name}: it is packed by method {info.compress_type}, not by deflate (8): pack the zip anew"
        return problem(name, InputError("unsupported", line))
    return _item(member, relative)
