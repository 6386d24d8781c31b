"""A job as one page: every input with its picture, its caption to write in, and what went wrong.

In: all finished rows, and the inputs again for their pictures. Out: an HTML file that a browser opens from a disk,
offline. What a person writes in it comes back as lines that `edits.py` applies.

The surprising thing: thumbnails are not made anew by every run. They are kept in a file beside the journal, by the
digest of the content that they show; one that is not there is made from the input. So the page of ten thousand photos
costs their decoding once, and a job that is killed while they are made goes on from there. Of many rows they are
smaller: the page of 10,000 photos is of about 50 MB.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from pixtell.batch.files import append, content_of, make_folder, sweep, telling, write_whole
from pixtell.batch.item import Item, printable
from pixtell.batch.output import Finished
from pixtell.batch.row import Row
from pixtell.errors import ConfigError, InputError, MissingExtraError
from pixtell.media import open_media

if TYPE_CHECKING:
    from PIL.Image import Image

PAGE = Path(__file__).parent / "page"  # the files that become one
SCRIPTS = ("elements.js", "edits.js", "cards.js", "contact.js")
OURS = b'<meta name="generator" content="pixtell caption --html">'
HEAD = 4096  # bytes of a file in which that stands, if it does

# The longer side of thumbnails in pixels, for up to so many rows. Square photos take 7.9 kB, 3.4 kB and 1.7 kB.
SIDES = ((3_000, 240), (15_000, 144))
LEAST = 96  # for more rows
QUALITY, EFFORT = 60, 2  # WebP's: three quarters of the bytes of a JPEG of quality 70, in 1.3 ms
CHUNK = 100  # thumbnails that the page looks at together
TOGETHER = 64  # thumbnails that are made before they are put on the disk

Make = Callable[[Item, int], bytes]


def side_for(count: int) -> int:
    """The longer side of thumbnails on a page of `count` rows."""
    return next((side for most, side in SIDES if count <= most), LEAST)


def thumbnail(picture: Image, side: int) -> bytes:
    """A picture as a small WebP. A smaller picture stays as small as it is."""
    small = picture.convert("RGB")
    small.thumbnail((side, side))
    file = io.BytesIO()
    small.save(file, "WEBP", quality=QUALITY, method=EFFORT)
    return file.getvalue()


def thumbnail_of(item: Item, side: int) -> bytes:
    """The thumbnail of a photo, or of a frame of a clip; nothing where it can't be had."""
    try:
        source = item.frames.path if item.frames else io.BytesIO(item.read())
        return thumbnail(open_media(source, frames=1, least_side=side).frames[0], side)
    except (InputError, MissingExtraError):
        return b""


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


class Contact:
    """The output that is the page. It is written at the end, and its being there is no reason to pass an input over.

    `title` heads it, `settings` (a JSON object) are told in it, `thumbnails` keeps pictures from run to run.
    """

    def __init__(
        self, path: str, thumbnails: Thumbnails, title: str = "", settings: str = "", make: Make = thumbnail_of
    ) -> None:
        self.name = path
        self._path = Path(path).resolve()  # a link stays one: what it points to is written
        self._thumbnails = thumbnails
        self._title = title or self._path.stem
        self._settings: dict[str, Any] = json.loads(settings or "{}")
        self._make = make

    def places(self, item: Item) -> tuple[Path, ...]:
        return ()

    def files(self, count: int) -> tuple[Path, ...]:
        return (self._path,)

    def existing(self, item: Item) -> bool:
        return False

    def before(self, item: Item) -> str | None:
        return None

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
        shown = [_shown(one, side) for one in finished]
        self._fill(finished, shown, side)
        numbers: dict[str, int] = {}  # of thumbnails, each there once however many rows it is of
        for key in shown:
            if key in self._thumbnails:
                numbers.setdefault(key, len(numbers))
        content = {
            "title": self._title,
            "key": hashlib.sha256(os.fsencode(self._path)).hexdigest()[:16],
            "settings": self._settings,
            "chunk": CHUNK,
            "rows": [_content(one.row, numbers.get(key)) for one, key in zip(finished, shown, strict=True)],
        }
        write_whole(self._path, page(content, self._title, self._thumbnails.all(numbers)))

    def _fill(self, rows: Sequence[Finished], shown: Sequence[str], side: int) -> None:
        """Make the thumbnails that are missing, on all cores: Pillow lets go of the interpreter while it decodes."""
        missing = {
            key: one.item
            for one, key in zip(reversed(rows), reversed(shown), strict=True)  # the first of a content stays
            if one.row.status != "error" and key not in self._thumbnails
        }
        waiting = reversed(missing.items())
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            while some := list(islice(waiting, TOGETHER)):
                made = pool.map(lambda pair: (pair[0], self._make(pair[1], side)), some)
                self._thumbnails.keep([(key, picture) for key, picture in made if picture])


def _shown(finished: Finished, side: int) -> str:
    """What a thumbnail shows: content of this digest at this size. Of what was not opened, its name and stamp."""
    content = finished.row.sha256
    if not content and finished.row.status != "error":
        try:
            stamp = finished.item.stamp()
        except InputError:
            stamp = (0, 0)
        content = hashlib.sha256(f"{finished.item.name!a} {stamp}".encode()).hexdigest()
    return f"{content}-{side}"


def _content(row: Row, picture: int | None) -> dict[str, Any]:
    """A row for the page."""
    return {**row.content(), **({} if picture is None else {"picture": picture})}


def page(content: dict[str, Any], title: str, pictures: Iterable[bytes]) -> Iterator[bytes]:
    """The page in pieces, all of it ASCII outside of its own style and script."""
    style, script = _own("contact.css"), "".join(map(_own, SCRIPTS))
    policy = (
        f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {_digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    values = {
        "policy": policy,
        "title": html.escape(title).encode("ascii", "xmlcharrefreplace").decode("ascii"),
        "style": style,
        "script": script,
        "data": _embedded(content),
    }
    above, below = _own("contact.html").split("$pictures\n")
    # One pass: what is filled in is not looked at again, so a `$` in a text means nothing.
    yield Template(above).substitute(values).encode()
    waiting, number = iter(pictures), 0
    while some := list(islice(waiting, CHUNK)):
        lines = b"\n".join(map(base64.b64encode, some))
        yield b'<script type="text/plain" id="pictures-%d">%s</script>\n' % (number, lines)
        number += 1
    yield Template(below).substitute(values).encode()


def _own(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


def _digest(source: str) -> str:
    """How a content security policy names the one inline style or script that it allows."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def _embedded(content: dict[str, Any]) -> str:
    """JSON that can stand in a script element: no character in it can end that, or begin a comment in it."""
    text = json.dumps(_finite(content), separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _finite(value: Any) -> Any:
    """The same with null for what is not a number, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
