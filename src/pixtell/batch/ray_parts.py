"""What goes through a cluster together: a part of a job's items, how it is opened, and how a model tells its rows.

In: items. Out: parts; then, on any machine of the cluster, a part's media as they were seen; then a row for each.

The surprising thing: parts are cut once, and kept in a file with the names in them. So after a kill they are the same,
the cluster's checkpoint knows them again, and media that shared a pass of the model share it again.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixtell.batch.decode import Seen, Wish, seen_ahead
from pixtell.batch.files import content_of, telling, write_whole
from pixtell.batch.item import Item
from pixtell.batch.work import Work, failed_row
from pixtell.errors import InputError, PixtellError

if TYPE_CHECKING:
    from pixtell.batch.row import Row
    from pixtell.captioner import Captioner

ATTEMPTS = 4  # at a part: when so many processes have died of it, the next one would too

_Stamp = tuple[int, int]
_GONE: _Stamp = (-1, -1)  # of what can't be looked at now: another one as soon as it can


@dataclass(frozen=True)
class Part:
    """Items that go through the cluster together. `key` is made of their names and stamps, and the job's settings."""

    key: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Plan:
    """How a job is cut: all its items in order, `size` of them in a part, the settings that decide a row, and the file
    that remembers the parts."""

    items: Sequence[Item]
    size: int
    settings: str
    path: Path

    def parts(self, asked: Sequence[Item]) -> list[Part]:
        """The parts that hold the items asked for: those of an earlier run, where their files are as they were, and
        new ones for the rest; in the order of the inputs. Writes the file anew, in a folder that is there."""
        by_name = {item.name: item for item in self.items}
        place = {name: number for number, name in enumerate(by_name)}
        left = {item.name for item in asked}
        stamps: dict[str, _Stamp] = {}
        cut: list[list[Item]] = []
        for part in json.loads(content_of(self.path) or b"[]"):
            names = [name for name, *_ in part]
            if not left.isdisjoint(names) and all(
                name in by_name and _stamp(by_name[name], stamps) == (size, changed) for name, size, changed in part
            ):
                cut.append([by_name[name] for name in names])
                left.difference_update(names)
        rest = [item for item in asked if item.name in left]
        cut += [rest[start : start + self.size] for start in range(0, len(rest), self.size)]
        cut.sort(key=lambda part: place[part[0].name])
        plan = [[[item.name, *_stamp(item, stamps)] for item in part] for part in cut]
        write_whole(self.path, [json.dumps(plan).encode()])
        return [Part(self._key(stamped), tuple(part)) for stamped, part in zip(plan, cut, strict=True)]

    def _key(self, stamped: Sequence[object]) -> str:
        return hashlib.sha256(f"{self.settings}\n{json.dumps(stamped)}".encode()).hexdigest()[:32]


def _stamp(item: Item, known: dict[str, _Stamp]) -> _Stamp:
    if item.name not in known:
        try:
            known[item.name] = item.stamp()
        except InputError:
            known[item.name] = _GONE
    return known[item.name]


# ---- on the machines of the cluster


@dataclass(frozen=True)
class Site:
    """Where a cluster's machines work: the folder that the command was given in, as paths are meant from there, and one
    for marks of what is being done."""

    folder: Path
    marks: Path

    def enter(self) -> None:
        """Go there. Raises `PixtellError` on a machine that has no such folder."""
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise PixtellError(
                f"{self.folder}: {error.strerror or error} on {socket.gethostname()}: a cluster's machines must share "
                "the folder that the command is given in, its inputs and its outputs"
            ) from None

    @contextmanager
    def attempt(self, what: str, items: Sequence[Item]) -> Iterator[int]:
        """How often `what` was begun with these items before: each time, whoever did it has died of it. Raises
        `PixtellError` when that was too often."""
        mark = self.marks / what
        with telling(mark), mark.open("ab") as file:
            died = file.tell()
            file.write(b".")
        if died >= ATTEMPTS:
            raise PixtellError(
                f"{died} processes died at the {len(items)} inputs from {items[0].name!r} on, perhaps of memory: try a "
                "smaller --batch-size"
            )
        yield died
        mark.unlink(missing_ok=True)


def opened(row: dict[str, Any], wish: Wish, site: Site) -> dict[str, Any]:
    """Open the media of a part.

    When a process has died of it, it is done in a process of its own, and a medium that no decoder survives becomes a
    row with the code `crashed`, as in a local job.
    """
    site.enter()
    items: Sequence[Item] = pickle.loads(row["items"])
    with site.attempt(f"{row['part']}.opened", items) as died:
        seen = list(seen_ahead(items, wish, workers=min(died, 1), ahead=len(items)))
    return {"part": row["part"], "seen": pickle.dumps(seen)}


class Telling:
    """A model: tells the rows of parts."""

    def __init__(self, load: Callable[[str], Captioner], device: str, batch_size: int, work: Work, site: Site) -> None:
        site.enter()
        self._captioner = load(device)
        self._captioner.batch_size = batch_size
        self._work = work
        self._site = site

    def __call__(self, row: dict[str, Any]) -> dict[str, str]:
        seen: Sequence[Seen] = pickle.loads(row["seen"])
        with self._site.attempt(f"{row['part']}.told", [one.item for one in seen]):
            pairs = zip(seen, told_once(self._work, self._captioner, seen), strict=True)
            outcomes = [{"stamp": one.stamp, "row": told.content()} for one, told in pairs]
        return {"part": row["part"], "outcomes": json.dumps(outcomes)}


def told_once(work: Work, captioner: Captioner, seen: Sequence[Seen]) -> Iterator[Row]:
    """A row for each; of media with equal content the model is asked about the first, unless that one fails."""
    first: dict[str, Seen] = {}
    for one in seen:
        if not isinstance(one.outcome, InputError):
            first.setdefault(one.sha256, one)
    rows = dict(zip(first, work.rows(captioner, list(first.values())), strict=True))
    for one in seen:
        if isinstance(one.outcome, InputError):
            yield failed_row(one, one.outcome)
        elif first[one.sha256] is one:
            yield rows[one.sha256]
        elif rows[one.sha256].status == "ok":
            yield replace(rows[one.sha256], name=one.item.name)
        else:
            yield from work.rows(captioner, [one])
