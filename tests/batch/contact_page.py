"""Contact pages for tests: rows of every kind with pictures, and the page of them."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path

from PIL import Image

from pixtell.batch.contact import Contact
from pixtell.batch.item import Held, Item
from pixtell.batch.output import Finished
from pixtell.batch.row import Row, Window
from pixtell.batch.thumbnails import Thumbnails


def photo(color: str | tuple[int, int, int] = "navy", size: tuple[int, int] = (320, 240), kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, kind)
    return file.getvalue()


def finished(row: Row, content: bytes = b"") -> Finished:
    digest = hashlib.sha256(content).hexdigest() if content and row.status == "ok" else row.sha256
    return Finished(Item(row.name, Held(row.name, content), row.name), replace(row, sha256=digest))


ROWS = [
    finished(Row("a/b.jpg", text="two boats", alternatives=("boats",), mean_logprob=-0.25), photo("navy")),
    finished(Row("c.png", text="a tree", answers=(("what?", "a tree"),), labels=(("tree", 0.875),)), photo("green")),
    finished(Row("d.jpg", "error", code="broken", message="d.jpg: cut off"), b"nothing"),
    finished(Row("e.jpg", "skipped", code="exists"), photo("red")),
    finished(Row("f.jpg", text="two boats", same_as="a/b.jpg", review=True, mean_logprob=-2.5), photo("navy")),
    finished(Row("g.mp4", text="x; y", windows=(Window(0.0, 65.5, "x"), Window(65.5, 70.0, "y")))),
]


def written(folder: Path, rows: list[Finished], title: str = "photos", settings: str = "") -> str:
    """The page of these rows."""
    contact = Contact(str(folder / "contact.html"), Thumbnails(folder / "thumbs"), title, settings)
    contact.start([])
    contact.add(rows)
    contact.finish(iter(rows))
    return (folder / "contact.html").read_text("utf-8")
