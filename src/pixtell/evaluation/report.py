"""What an evaluation found, as one page that a browser opens from a disk, offline.

In: a `Report` of plain values. Out: an HTML file that holds everything: numbers, texts, pictures, style and script.

The surprising thing: a picture is in the page once, however many questions are about it; an item says which it is. What
keeps the texts of a model and of strangers from breaking out of the page is in `pixtell.page`.
"""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixtell.evaluation.predictions import write_text
from pixtell.page import Design, assemble, shrink

if TYPE_CHECKING:
    from PIL.Image import Image

DESIGN = Design(
    generator="pixtell score --html",
    folder=Path(__file__).parent / "page",
    body="report.html",
    styles=("report.css",),
    scripts=("charts.js", "report.js"),
)
THUMBNAIL = 192  # pixels of the longer side: as wide as a card shows it
QUALITY = 75  # JPEG's; a square photo then takes 8 kB, 11 kB as text: 1,000 make a page of about 10 MB


@dataclass(frozen=True)
class ScoreLine:
    """One metric over all `count` items with its interval, and the published number where there is one.

    All values here are as computed, not times 100. `low` and `high` are None where there is no interval.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    count: int
    published: float | None = None
    published_source: str = ""


@dataclass(frozen=True)
class GroupLine:
    """The metric `name` over the items of one group; `kind` says what the groups are, such as "answer type"."""

    group: str
    kind: str
    name: str
    value: float
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True)
class Judged:
    """An item with its text, its references and its scores, in the order of `Report.item_scores`.

    `picture` is a data URL, of a thumbnail; empty where none is shown.
    """

    id: str
    text: str
    references: tuple[str, ...]
    scores: tuple[float, ...]
    question: str = ""
    logprob: float | None = None
    group: str = ""
    picture: str = field(default="", repr=False)


@dataclass(frozen=True)
class CompareLine:
    """A metric of this system, `a`, and of another, `b`; the difference is `b` less `a`."""

    name: str
    a: float
    b: float
    difference: float
    low: float | None
    high: float | None
    p_value: float


@dataclass(frozen=True)
class Report:
    """Everything that is told of an evaluation. `problems` are lines; `settings` (name, value) pairs."""

    title: str
    task: str
    complete: bool
    problems: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]
    scores: tuple[ScoreLine, ...]
    groups: tuple[GroupLine, ...]
    item_scores: tuple[str, ...]
    items: tuple[Judged, ...] = field(repr=False)
    comparison: tuple[CompareLine, ...] = ()
    compared_with: str = ""


def thumbnail(picture: Image) -> str:
    """A picture as a small JPEG in a data URL."""
    content = shrink(picture, THUMBNAIL, "JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(content).decode("ascii")


def write_report(report: Report, path: Path) -> None:
    """Write the page, whole or not at all. Raises `PixtellError` when it can't be written."""
    write_text(path, page(report))


def page(report: Report) -> str:
    """The page as text, all of it ASCII outside of its own style and script."""
    title = report.title if report.complete else f"PARTIAL {report.title}"
    return "".join(assemble(DESIGN, title, _content(report)))


def _content(report: Report) -> dict[str, Any]:
    """The report for JSON. Each picture is there once, however many questions are about it."""
    places: dict[str, int] = {}
    items = []
    for item in report.items:
        place = places.setdefault(item.picture, len(places)) if item.picture else None
        items.append({**vars(item), "picture": place})
    return {**asdict(replace(report, items=())), "items": items, "pictures": list(places)}
