"""WebDataset tars: each picture's bytes as they are, its caption, and its row, in shards of so many inputs.

In: finished rows in the order of the inputs. Out: `photos-000000.tar`, `photos-000001.tar`, ...; of the input number 17
`000000017.jpg`, `000000017.json` (the row, with `captions` and `qa` as pixtell train reads them) and `000000017.txt`.

The surprising thing: a shard's place follows from the numbers of its inputs alone. Items that failed leave a gap in the
numbers and no shard moves, so each can be written as soon as its last input is done, and is whole or not there. So does
a picture that has vanished by then, until it is back. And a shard may be the only place where its pictures still are:
it gives none up for a source that is gone. A picture's member has the ending of what its bytes are, as decoders of
WebDataset go by it.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from pixtell.batch.caption_text import caption_text, encoded
from pixtell.batch.files import make_folder, remove, sweep, write_whole
from pixtell.batch.item import Item, printable
from pixtell.batch.output import Finished, OutputOptions, Plain, shows
from pixtell.batch.row import Row
from pixtell.batch.row_text import json_of, row_of_json
from pixtell.data.formats.tars import tar_members
from pixtell.data.row import Stored
from pixtell.errors import ConfigError, InputError, PixtellError

GONE = ("missing", "unreadable", "no_pictures")  # the codes of a source that may come back
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


class Shards(Plain):
    """The output that is a row of tars."""

    def __init__(self, name: str, options: OutputOptions) -> None:
        self.name = name
        self._path = Path(name)
        self._options = options
        self._size = options.shard_size
        self._full = 0  # shards that are written
        self._waiting: list[Finished] = []  # of the shard that is not full
        self.left_out: list[str] = []  # a line for each picture that can't be had, where its shard has a gap

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

    def spare(self, rows: Mapping[str, Row | None]) -> None:
        """Refuse a job whose rows say that a source is gone while the shards hold pictures that would go with it."""
        gone = {name: row.code for name, row in rows.items() if row and row.code in GONE}
        if self._options.on_existing == "overwrite" or not gone:
            return
        try:
            held = [row for path in shards_of(self._path) for row, _ in _pairs(path)]
        except InputError:
            return  # what is wrong with them is said when they are begun or written
        if lost := sum(row.name in gone or row.name not in rows for row in held):
            name, code = next(iter(gone.items()))
            raise ConfigError(
                f"{printable(self.name)}: its shards hold {_pictures(lost)} not among the inputs now, as "
                f"{printable(name)} is {code}: bring it back or take it from the inputs; to write the shards "
                "without them, --on-existing overwrite"
            )

    def start(self, rows: Sequence[Finished]) -> None:
        make_folder(self._path.parent)
        for path in (*self.files(len(rows) + self._size), *shards_of(self._path)):
            sweep(path)
        for path in shards_of(self._path):
            self._check(path)
        self._full, self._waiting, self.left_out = 0, [], []
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
            self._keep_those_gone(path, rows)
            write_whole(path, self._pieces(path, keyed))

    def _holds(self, path: Path, keyed: Sequence[tuple[str, Finished]]) -> bool:
        """Whether a shard that is there is of exactly these rows: their digests stand for the pictures."""
        if not path.exists():
            return False
        wanted = {f"{key}.json": self._json(one.row) for key, one in keyed}
        return {member.name: member.read() for member in tar_members(path) if member.name.endswith(".json")} == wanted

    def _keep_those_gone(self, path: Path, rows: Sequence[Finished]) -> None:
        """Refuse to write a shard anew without pictures whose source vanished while the job ran."""
        gone = {one.row.name for one in rows if one.row.code in GONE}
        if not gone or not path.exists() or self._options.on_existing == "overwrite":
            return
        if lost := sum(row.name in gone for row, _ in _pairs(path)):
            raise PixtellError(
                f"{printable(str(path))}: holds {_pictures(lost)} missing now: bring them back, and the same command "
                "goes on; to write it without them, --on-existing overwrite"
            )

    def _pieces(self, path: Path, keyed: Sequence[tuple[str, Finished]]) -> Iterator[bytes]:
        length = 0
        before = {row.sha256: picture for row, picture in _pairs(path) if row.sha256} if path.exists() else {}
        for key, one in keyed:
            try:
                picture = _captioned(one, before.get(one.row.sha256))
            except InputError as error:
                self.left_out.append(printable(str(error)))
                continue
            members = ((ending_of(one.item.name, picture), picture), (".json", self._json(one.row)))
            for ending, content in (*members, (".txt", encoded(caption_text(one.row)))):
                info = tarfile.TarInfo(key + ending)  # of 1970, owned by nobody in particular: always the same bytes
                info.size = len(content)
                blocks = -(-len(content) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                yield info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(blocks - len(content))
                length += tarfile.BLOCKSIZE + blocks
        end = 2 * tarfile.BLOCKSIZE  # of zeros, then more, to the full record that tar writes
        yield bytes(end + -(length + end) % tarfile.RECORDSIZE)

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


def _captioned(finished: Finished, held: Stored | None) -> bytes:
    """The bytes that were captioned, from where a shard holds them, if one does, else from their source. Raises
    `InputError` where they can't be had again."""
    content = (held or finished.item).read()
    if finished.row.sha256 and sha256(content).hexdigest() != finished.row.sha256:
        line = f"{finished.item.name}: has changed since it was captioned: the same command captions it again"
        raise InputError("unreadable", line)
    return content


def _pairs(path: Path) -> Iterator[tuple[Row, Stored]]:
    """The rows of a shard, each with its picture, which is the member before it. Raises `InputError`."""
    for picture, member in pairwise(tar_members(path)):
        if member.name.endswith(".json"):
            try:
                row = row_of_json(member.read())
            except ValueError as error:
                cure = "move the tar away, and the same command writes it anew"
                raise InputError(
                    "broken", f"{printable(str(path))}: {member.name} is damaged ({error}): {cure}"
                ) from None
            yield row, picture


def _pictures(count: int) -> str:
    return "1 picture that is" if count == 1 else f"{count:,} pictures that are"


def shards_of(path: Path) -> list[Path]:
    """The shards that are there of the tar named `path`, in their order; of a shard, itself."""
    if not path.parent.is_dir():
        return []
    name = re.compile(re.escape(path.stem) + r"-[0-9]{6}\.tar")
    return sorted(one for one in path.parent.iterdir() if name.fullmatch(one.name))


def own_shards_of(path: Path) -> list[Path]:
    """Those of them that a job wrote: a data set may be called as they are."""
    return [shard for shard in shards_of(path) if _is_own(shard)]


def _is_own(path: Path) -> bool:
    try:
        members = tar_members(path)
        rows = [member for member in members if member.name.endswith(".json")]
        return (not members or bool(rows)) and all(row_of_json(member.read()) for member in rows[:1])
    except (ValueError, InputError):
        return False


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
