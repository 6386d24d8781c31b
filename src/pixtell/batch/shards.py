"""WebDataset tars: each picture's bytes as they are, its caption, and its row, in shards of so many inputs.

In: finished rows in the order of the inputs. Out: `photos-000000.tar`, `photos-000001.tar`, ...; of the input number 17
`000000017.jpg`, `000000017.json` (the row, with `captions` and `qa` as pixtell train reads them) and `000000017.txt`.

The surprising thing: a shard's place follows from the numbers of its inputs alone. Items that failed leave a gap in the
numbers and no shard moves, so each can be written as soon as its last input is done, and is whole or not there. A
picture's member has the ending of what its bytes are, as decoders of WebDataset go by it.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from pixtell.batch.caption_text import caption_text, encoded
from pixtell.batch.files import make_folder, remove, sweep, write_whole
from pixtell.batch.item import Item, printable
from pixtell.batch.output import Finished, OutputOptions, shows
from pixtell.batch.row import Row
from pixtell.batch.row_text import json_of, row_of_json
from pixtell.data.formats.tars import tar_members
from pixtell.errors import ConfigError, InputError, PixtellError

_DIGITS = 9  # of a key: WebDataset takes all up to the first dot for it, so a name can't be one
_ENDING = re.compile(r"\.[a-z0-9]{1,5}")
_STARTS = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG", ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
    (b"\x1a\x45\xdf\xa3", ".webm"),
)


class Shards:
    """The output that is a row of tars."""

    def __init__(self, name: str, options: OutputOptions) -> None:
        self.name = name
        self._path = Path(name)
        self._options = options
        self._size = options.shard_size
        self._full = 0  # shards that are written
        self._waiting: list[Finished] = []  # of the shard that is not full

    def places(self, item: Item) -> tuple[Path, ...]:
        if item.frames is not None:
            raise ConfigError(f"{printable(item.name)}: a folder of frames is no file that {self.name} could hold")
        return ()

    def files(self, count: int) -> tuple[Path, ...]:
        return tuple(self._shard(number) for number in range(-(-count // self._size)))

    def before(self, item: Item) -> str | None:
        return None

    def existing(self, item: Item) -> bool:
        return False  # shards of other settings are refused at the start, and those of the same are this job's

    def start(self, rows: Sequence[Finished]) -> None:
        make_folder(self._path.parent)
        for path in (*self.files(len(rows) + self._size), *shards_of(self._path)):
            sweep(path)
        for path in shards_of(self._path):
            self._check(path)
        self._full, self._waiting = 0, []
        self.add(rows)

    def add(self, rows: Sequence[Finished]) -> None:
        self._waiting += rows
        while len(self._waiting) >= self._size:
            self._write(self._waiting[: self._size])
            self._full += 1
            del self._waiting[: self._size]

    def finish(self, rows: Iterable[Finished]) -> None:
        if self._waiting:
            self._write(self._waiting)
        written = set(self.files(self._full * self._size + len(self._waiting)))
        for path in shards_of(self._path):
            if path not in written:  # of an earlier run of this job, with more inputs
                self._check(path)
                remove(path)

    def _shard(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.stem}-{number:06d}.tar")

    def _write(self, rows: Sequence[Finished]) -> None:
        path, first = self._shard(self._full), self._full * self._size
        keyed = [(f"{first + n:0{_DIGITS}d}", one) for n, one in enumerate(rows) if shows(one.row)]
        if not self._holds(path, keyed):
            write_whole(path, self._pieces(path, keyed))

    def _holds(self, path: Path, keyed: Sequence[tuple[str, Finished]]) -> bool:
        """Whether a shard that is there is of exactly these rows: their digests stand for the pictures."""
        if not path.exists():
            return False
        wanted = {f"{key}.json": self._json(one.row) for key, one in keyed}
        return {member.name: member.read() for member in tar_members(path) if member.name.endswith(".json")} == wanted

    def _pieces(self, path: Path, keyed: Sequence[tuple[str, Finished]]) -> Iterator[bytes]:
        length = 0
        for key, one in keyed:
            picture = self._picture(path, one)
            members = ((ending_of(one.item.name, picture), picture), (".json", self._json(one.row)))
            for ending, content in (*members, (".txt", encoded(caption_text(one.row)))):
                info = tarfile.TarInfo(key + ending)  # of 1970, owned by nobody in particular: always the same bytes
                info.size = len(content)
                blocks = -(-len(content) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                yield info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(blocks - len(content))
                length += tarfile.BLOCKSIZE + blocks
        end = 2 * tarfile.BLOCKSIZE  # of zeros, then more, to the full record that tar writes
        yield bytes(end + -(length + end) % tarfile.RECORDSIZE)

    def _picture(self, path: Path, finished: Finished) -> bytes:
        """The bytes that were captioned. Raises `PixtellError` where they can't be had again."""
        try:
            content = finished.item.read()
        except InputError as error:
            raise PixtellError(
                f"{printable(str(path))}: waits for a picture ({error}); bring it back or take it from the inputs: all "
                "finished rows are kept, and the same command goes on from them"
            ) from None
        if finished.row.sha256 and sha256(content).hexdigest() != finished.row.sha256:
            raise PixtellError(
                f"{printable(finished.item.name)}: has changed since it was captioned; the same command captions it "
                "again, and goes on"
            )
        return content

    def _json(self, row: Row) -> bytes:
        more = {"captions": [row.text]} if row.text else {}
        qa = [{"question": question, "answer": answer} for question, answer in row.answers]
        return json_of(row, self._options.settings, **more, **({"qa": qa} if qa else {}))

    def _check(self, path: Path) -> None:
        """Refuse a tar that is not of pixtell caption, or of other settings, unless those may be overwritten."""
        try:
            member = next((one for one in tar_members(path) if one.name.endswith(".json")), None)
            found = member.read() if member else self._json(Row(""))
            row = row_of_json(found)
        except (ValueError, InputError) as error:
            reason = printable(str(error))
            raise ConfigError(f"{path}: was not written by pixtell caption ({reason}): name another tar") from None
        if member and self._options.on_existing != "overwrite" and found != self._json(row):
            raise ConfigError(
                f"{path}: was written with other settings: name another tar, or write anew by --on-existing overwrite"
            )


def shards_of(path: Path) -> list[Path]:
    """The shards that are there of the tar named `path`, in their order; of a shard, itself."""
    if not path.parent.is_dir():
        return []
    name = re.compile(re.escape(path.stem) + r"-[0-9]{6}\.tar")
    return sorted(one for one in path.parent.iterdir() if name.fullmatch(one.name))


def rows_of_tar(path: Path) -> list[Row]:
    """The rows of a shard, or of all shards of the tar named so. Raises `ValueError` and `InputError`."""
    shards = [path] if path.exists() else shards_of(path)
    if not shards:
        raise InputError("missing", f"{printable(str(path))}: no such file, nor {path.stem}-000000.tar beside it")
    members = (member for shard in shards for member in tar_members(shard))
    return [row_of_json(member.read()) for member in members if member.name.endswith(".json")]


def ending_of(name: str, content: bytes) -> str:
    """The ending of a picture or clip: of what its bytes are, else that of its name."""
    for start, ending in _STARTS:
        if content.startswith(start):
            return ending
    if content.startswith(b"RIFF") and content[8:12] in (b"WEBP", b"AVI "):
        return f".{content[8:12].decode().strip().lower()}"
    ending = Path(name).suffix.lower()
    if _ENDING.fullmatch(ending) and ending not in (".json", ".txt"):
        return ending
    return ".mp4" if content[4:8] == b"ftyp" else ".bin"
