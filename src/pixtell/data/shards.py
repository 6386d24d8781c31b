"""A data set becomes tars that a training reads: pictures made small once, texts beside them.

In: the rows of a data set. Out: numbered tars of so many rows each, and `shards.json`, which tells what they were made
from. The same command goes on after any end, and makes the bytes that an uninterrupted run makes.

The surprising thing: which rows a tar holds follows from its number alone. A picture that can't be used leaves a gap
in its tar and moves nothing, so a tar that is there is done, and those that are missing are made in any order.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from pixtell.data.dataset import Dataset
from pixtell.data.formats.pictures import CLIP_ENDINGS
from pixtell.data.formats.tars import tar_members
from pixtell.data.opened import FAILURES, Looks, open_source
from pixtell.data.row import Problem, Row
from pixtell.data.tar_rows import NUMBER, add_row, described, ending_of, keys_of, tar_path
from pixtell.data.whole_file import whole_file
from pixtell.data.workers import DIED, in_order
from pixtell.errors import ConfigError, InputError

AHEAD = 8  # pictures that each process may have ready or under way


@dataclass(frozen=True)
class ShardOptions:
    """How pictures are kept: sides in pixels, JPEG quality (the issue's: 384, 640, 90), and rows in a tar."""

    short_side: int = 384
    long_side: int = 640
    quality: int = 90
    rows: int = 1000

    def __post_init__(self) -> None:
        problems = [f"{name} must be at least 1, got {value}" for name, value in asdict(self).items() if value < 1]
        if self.long_side < self.short_side:
            problems.append(f"long_side {self.long_side} is smaller than short_side {self.short_side}")
        if self.quality > 95:
            problems.append(f"quality must be at most 95 (more makes files larger and no better), got {self.quality}")
        if problems:
            raise ConfigError.listing("shards", problems)


@dataclass(frozen=True)
class Sharded:
    """What became of the rows: how many are in tars, and which could not be used."""

    tars: int
    rows: int
    broken: tuple[Problem, ...]


@dataclass(frozen=True)
class Kept:
    """A medium as a tar holds it."""

    content: bytes
    ending: str


Told = Callable[[int, int, int], None]  # rows done, all rows, broken ones


def notes_path(pattern: str) -> Path:
    """Where it is noted what the tars were made from: `train-%06d.tar` has `train-shards.json` beside them."""
    first = tar_path(pattern, 0)
    return first.with_name(NUMBER.split(Path(pattern).name)[0] + "shards.json")


def write_shards(dataset: Dataset, pattern: str, options: ShardOptions, workers: int, tell: Told) -> Sharded:
    """Write the tars that are not there yet.

    Raises `ConfigError` where tars are there that were made from other rows or otherwise, `PixtellError` when the disk
    refuses, `InputError` when the data set says nothing of where its pictures lie.
    """
    rows = [row for row in dataset.rows if row.media is not None]
    if not rows:
        raise InputError("no_pictures", f"{dataset.name}: nothing is said of where its pictures lie: name the folder")
    keys = keys_of(rows)
    _note(pattern, dataset, _digest(rows, keys), options)
    keyed = list(zip(keys, rows, strict=True))
    starts = range(0, len(rows), options.rows)
    tars = [_Tar(tar_path(pattern, n), dict(keyed[start : start + options.rows])) for n, start in enumerate(starts)]
    missing = [tar.missing() for tar in tars]
    jobs = (row for some in missing for row in some.values())
    with closing(in_order(partial(kept, options=options), jobs, workers, AHEAD * max(workers, 1), _crashed)) as found:
        broken: list[Problem] = []
        done = len(rows) - sum(map(len, missing))
        for tar, some in zip(tars, missing, strict=True):
            for problem in tar.complete(some, found):
                done += 1
                broken += [problem] if problem else []
                tell(done, len(rows), len(broken))
    return Sharded(len(tars), len(rows) - len(broken), tuple(broken))


@dataclass(frozen=True)
class _Tar:
    """One of the tars: its path and the rows that belong in it, by key."""

    path: Path
    rows: dict[str, Row]

    def missing(self) -> dict[str, Row]:
        """The rows that it lacks: all of them, or of a tar that is there those that could not be used."""
        if not self.path.exists():
            return self.rows
        held = {member.name.removesuffix(".json") for member in tar_members(self.path)}
        return {key: row for key, row in self.rows.items() if key not in held}

    def complete(
        self, missing: dict[str, Row], found: Iterator[tuple[Row, Kept | Problem]]
    ) -> Iterator[Problem | None]:
        """Write it, unless it is there, from what was `found` of the rows it lacks; for each, what was wrong, if any.

        What is there stays as it is. (Its missing rows were looked at again to say why they are.)
        """
        if self.path.exists():
            for _ in missing:
                row, outcome = next(found)
                mended = Problem("mended", row.id, f"{row.id}: can be used now: remove {self.path} to make it anew")
                yield outcome if isinstance(outcome, Problem) else mended
            return
        with whole_file(self.path) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for key in missing:
                row, outcome = next(found)
                if isinstance(outcome, Kept):
                    add_row(tar, key, row, outcome.content, outcome.ending)
                yield outcome if isinstance(outcome, Problem) else None


def kept(row: Row, options: ShardOptions) -> Kept | Problem:
    """A row's medium as it is kept: as it is where it is small enough or a clip, else as a smaller JPEG."""
    try:
        assert row.media is not None
        if row.media.is_folder:
            raise InputError("unsupported", f"{row.id}: a folder of frames doesn't go into a tar: make it a clip")
        content = row.media.read()
        # Decoded at a scale that leaves twice the side, as hard to tell from whole as anywhere.
        media = open_source(io.BytesIO(content), row.id, Looks(), 2 * options.short_side)
    except FAILURES as error:
        return Problem(error.code if isinstance(error, InputError) else "missing_extra", row.id, str(error))
    frame, ending = media.frames[0], ending_of(content)
    size = _fitting(frame.width, frame.height, options)
    if ending and (size == frame.size or ending in CLIP_ENDINGS):
        return Kept(content, ending)
    smaller = frame if size == frame.size else frame.resize(size, Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    smaller.save(buffer, "JPEG", quality=options.quality)
    return Kept(buffer.getvalue(), ".jpg")


def _fitting(width: int, height: int, options: ShardOptions) -> tuple[int, int]:
    """The size that a picture is made to, its aspect kept; never larger than it is."""
    scale = min(1.0, options.short_side / min(width, height), options.long_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _crashed(row: Row) -> Kept | Problem:
    return Problem("crashed", row.id, f"{row.id}: {DIED}")


def _digest(rows: Sequence[Row], keys: Sequence[str]) -> str:
    """A digest of everything that decides what the tars hold, but for the pictures' bytes."""
    digest = hashlib.sha256()
    for key, row in zip(keys, rows, strict=True):
        assert row.media is not None
        place = (str(row.media.path), row.media.offset, row.media.size)
        digest.update(json.dumps([key, place, described(row)]).encode() + b"\n")
    return digest.hexdigest()


def _note(pattern: str, dataset: Dataset, digest: str, options: ShardOptions) -> None:
    """Note what the tars are made from. Raises `ConfigError` where they were made from something else."""
    path = notes_path(pattern)
    notes = (json.dumps({"data": dataset.name, "sha256": digest, **asdict(options)}, indent=1) + "\n").encode()
    try:
        before = path.read_bytes()
    except FileNotFoundError:
        if tar_path(pattern, 0).exists():
            raise ConfigError(f"{tar_path(pattern, 0)}: is there, and not from this command: name another") from None
        with whole_file(path) as file:
            file.write(notes)
        return
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror or error})") from None
    if before != notes:
        raise ConfigError(
            f"{path}: these tars were made from other rows or with other settings: name others with -o, or remove them "
            "and this file"
        )
