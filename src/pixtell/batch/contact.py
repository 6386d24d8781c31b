"""A job as one page: every input with its picture, its caption to write in, and what went wrong.

In: all finished rows, and the inputs again for their pictures. Out: an HTML file that a browser opens from a disk,
offline. What a person writes in it comes back as lines that `edits.py` applies.

The surprising thing: pictures are no part of the page's data. They stand behind it in elements of a hundred, which the
page looks into when one of them is to be seen: it need not take 50 MB apart before it shows anything. They come from a
store beside the journal (`thumbnails.py`), so that ten thousand photos are decoded once, and not by every run.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any

from pixtell.batch.files import content_of, make_folder, sweep, write_whole
from pixtell.batch.item import Item, printable
from pixtell.batch.output import Finished, OneFile
from pixtell.batch.row import Row
from pixtell.batch.thumbnails import Thumbnails, shown_by, side_for, thumbnail_of
from pixtell.errors import ConfigError
from pixtell.page import Design, assemble

DESIGN = Design(
    generator="pixtell caption --html",
    folder=Path(__file__).parent / "page",
    body="contact.html",
    styles=("contact.css",),
    scripts=("sheet.js", "edits.js", "cards.js", "contact.js"),
)
OURS = f'<meta name="generator" content="{DESIGN.generator}">'.encode()
HEAD = 4096  # bytes of a file in which that stands, if it does
CHUNK = 100  # thumbnails that the page looks at together
TOGETHER = 64  # thumbnails that are made before they are put on the disk

Make = Callable[[Item, int], bytes]


@dataclass(frozen=True)
class Sheet:
    """What the page tells, as JSON holds it.

    A row's `picture` is its number among the pictures; a browser keeps the edits of this page under `key`.
    """

    title: str
    key: str
    settings: dict[str, Any]
    rows: list[dict[str, Any]] = field(repr=False)


class Contact(OneFile):
    """The output that is the page. It is written at the end, and its being there is no reason to pass an input over.

    `title` heads it, `settings` (a JSON object) are told in it, `thumbnails` keeps pictures from run to run. `tick` is
    told how many of the missing ones are made, of how many; what it raises ends that, and those made are kept.
    """

    def __init__(
        self,
        path: str,
        thumbnails: Thumbnails,
        title: str = "",
        settings: str = "",
        make: Make = thumbnail_of,
        tick: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self.name = path
        self._path = Path(path).resolve()  # a link stays one: what it points to is written
        self._thumbnails = thumbnails
        self._title = title or self._path.stem
        self._settings: dict[str, Any] = json.loads(settings or "{}")
        self._make = make
        self._tick = tick

    def existing(self, item: Item) -> bool:
        return False

    def start(self, rows: Sequence[Finished]) -> None:
        make_folder(self._path.parent)
        sweep(self._path)
        content = content_of(self._path)
        if content and OURS not in content[:HEAD]:
            raise ConfigError(
                f"{printable(self.name)}: is there and was not written by pixtell caption --html: name another file"
            )

    def add(self, rows: Sequence[Finished]) -> None:
        pass

    def finish(self, rows: Iterable[Finished]) -> None:
        finished = list(rows)
        side = side_for(len(finished))
        shown = [shown_by(one, side) for one in finished]
        self._fill(finished, shown, side)
        numbers: dict[str, int] = {}  # of thumbnails, each there once however many rows it is of
        for key in shown:
            if key in self._thumbnails:
                numbers.setdefault(key, len(numbers))
        sheet = Sheet(
            self._title,
            hashlib.sha256(os.fsencode(self._path)).hexdigest()[:16],
            self._settings,
            [_content(one.row, numbers.get(key)) for one, key in zip(finished, shown, strict=True)],
        )
        write_whole(self._path, map(str.encode, page(sheet, self._thumbnails.all(numbers))))

    def _fill(self, rows: Sequence[Finished], shown: Sequence[str], side: int) -> None:
        """Make the thumbnails that are missing, on all cores: Pillow lets go of the interpreter while it decodes."""
        missing: dict[str, Item] = {}
        for one, key in zip(rows, shown, strict=True):
            if one.row.status != "error" and key not in self._thumbnails:
                missing.setdefault(key, one.item)
        waiting, done = iter(missing.items()), 0
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            while some := list(islice(waiting, TOGETHER)):
                self._tick(done, len(missing))
                done += len(some)
                made = pool.map(lambda pair: (pair[0], self._make(pair[1], side)), some)
                self._thumbnails.keep([(key, picture) for key, picture in made if picture])


def _content(row: Row, picture: int | None) -> dict[str, Any]:
    """A row for the page."""
    return {**row.content(), **({} if picture is None else {"picture": picture})}


def page(sheet: Sheet, pictures: Iterable[bytes]) -> Iterator[str]:
    """The page in pieces, all of it ASCII outside of its own style and script."""
    return assemble(DESIGN, sheet.title, {**vars(sheet), "chunk": CHUNK}, _chunks(pictures))


def _chunks(pictures: Iterable[bytes]) -> Iterator[str]:
    """Elements that hold the pictures, one a line."""
    waiting = iter(pictures)
    for number in count():
        lines = [base64.b64encode(picture).decode("ascii") for picture in islice(waiting, CHUNK)]
        if not lines:
            return
        yield f'<script type="text/plain" id="pictures-{number}">' + "\n".join(lines) + "</script>\n"
