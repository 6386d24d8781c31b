"""What every output of a job is: files that are brought to the rows that the journal knows, in the order of the inputs.

In: finished items, a prefix of the inputs, in their order. Out: nothing that is passed on; the files are the outcome.

The surprising thing: an output keeps nothing of its own between runs. What it must know later and can't see any more
once it has written (what stood there before the job) it says beforehand, as a note, and the journal keeps that with the
row. So the order of a batch is: ask each output for its note, journal rows and notes, let each output write.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, get_args

from pixtell.batch.item import Item
from pixtell.batch.row import Row
from pixtell.errors import ConfigError

SidecarName = Literal["stem", "full"]
OnExisting = Literal["skip", "overwrite", "append", "prepend", "error"]


@dataclass(frozen=True)
class OutputOptions:
    """How outputs are written.

    `out_dir` is the folder that sidecars go to, below it the tree of the inputs; None: beside the pictures.
    `sidecar_name` calls the sidecar of a.jpg a.txt (`stem`) or a.jpg.txt (`full`). `on_existing` says what becomes of
    what is there before the job. `settings` is a JSON object that is stored with each row, or empty. `shard_size` is
    how many inputs share a tar.
    """

    out_dir: Path | None = None
    sidecar_name: SidecarName = "stem"
    on_existing: OnExisting = "skip"
    settings: str = ""
    shard_size: int = 1000

    def __post_init__(self) -> None:
        problems = []
        if self.sidecar_name not in get_args(SidecarName):
            problems.append(f"sidecar_name is {self.sidecar_name!r}: it is stem or full")
        if self.on_existing not in get_args(OnExisting):
            problems.append(f"on_existing is {self.on_existing!r}: it is one of {', '.join(get_args(OnExisting))}")
        if self.shard_size < 1:
            problems.append(f"shard_size is {self.shard_size}: a tar holds at least 1 input")
        if self.settings and not is_object(self.settings):
            problems.append("settings are not a JSON object")
        if problems:
            raise ConfigError.listing("outputs", problems)


def is_object(text: str) -> bool:
    """Whether a text is a JSON object."""
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


@dataclass(frozen=True)
class Note:
    """What the output called `output` saw in an item's place before the job: its own words, for itself only."""

    output: str
    seen: str


@dataclass(frozen=True)
class Finished:
    """A finished item: what became of it, and what outputs saw in its place before."""

    item: Item
    row: Row
    notes: tuple[Note, ...] = ()

    def seen(self, output: str) -> str | None:
        """The note of `output`, None where it took none."""
        return next((note.seen for note in self.notes if note.output == output), None)


class Output(Protocol):
    """One place that rows go to. Everything but `before` may be done again, at any time, and then changes nothing.

    All raise `PixtellError` of one line when the disk refuses, and `ConfigError` for a file that is not theirs.
    """

    @property
    def name(self) -> str:
        """As the user named it: `captions.jsonl`, `txt`."""

    def places(self, item: Item) -> tuple[Path, ...]:
        """The files that only this item's row goes to. Raises `ConfigError` where it can have none."""

    def files(self, count: int) -> tuple[Path, ...]:
        """The files that the rows of `count` items share."""

    def existing(self, item: Item) -> bool:
        """Whether there is something for this item, which the journal doesn't know. Raises `InputError` when what is
        there can't be read or gone on with, whatever `on_existing` is: that is then the item's error."""

    def before(self, item: Item) -> str | None:
        """What is in the item's place now, as a note for the journal; None where the output needs none."""

    def spare(self, rows: Mapping[str, Row | None]) -> None:
        """See, before anything is written, that nothing would be lost by these rows: of all inputs by their names, None
        for one that is not known yet. Raises `ConfigError`."""

    def expect(self, rows: Mapping[str, Row | None]) -> None:
        """Be told, before `start`, which rows that an earlier run made will be added, by their names; None for those
        that are made anew."""

    def start(self, rows: Sequence[Finished]) -> None:
        """Bring the disk to exactly these rows."""

    def add(self, rows: Sequence[Finished]) -> None:
        """Write the next rows; what a kill must not lose is on the disk when this returns."""

    def finish(self, rows: Iterable[Finished]) -> None:
        """Write what can only be written when all rows are known."""

    @property
    def left_out(self) -> Sequence[str]:
        """A line for each row that is ok, and yet not there, as its picture is gone."""


class Plain:
    """What most outputs share: they need to know of no row before it comes, and leave none out."""

    left_out: Sequence[str] = ()

    def spare(self, rows: Mapping[str, Row | None]) -> None:
        pass

    def expect(self, rows: Mapping[str, Row | None]) -> None:
        pass


class OneFile(Plain):
    """What outputs that are one file share: it is no single item's, and nothing is to be noted of it beforehand."""

    _path: Path

    def places(self, item: Item) -> tuple[Path, ...]:
        return ()

    def files(self, count: int) -> tuple[Path, ...]:
        return (self._path,)

    def before(self, item: Item) -> str | None:
        return None


def noted(finished: Finished, outputs: Iterable[Output]) -> Finished:
    """`finished` with a note of each output that needs one and has none yet: of a new item all, of one in the journal
    those of outputs that were not asked for then. A row that doesn't show needs none. Returns the same object when
    nothing is new."""
    if not shows(finished.row):
        return finished
    known = {note.output for note in finished.notes}
    seen = [(output.name, output.before(finished.item)) for output in outputs if output.name not in known]
    new = tuple(Note(name, note) for name, note in seen if note is not None)
    return replace(finished, notes=finished.notes + new) if new else finished


def shows(row: Row) -> bool:
    """Whether a row's text is good enough to stand beside its picture: not of a failed or skipped one, nor of one that
    was set aside for review."""
    return row.status == "ok" and not row.review
