"""What an evaluation found, as one page that a browser opens from a disk, offline.

In: a `Report` of plain values. Out: an HTML file that holds everything: numbers, texts, pictures, style and script.

The surprising thing: the texts are those of a model and of strangers, and may hold anything, `</script>` too. They
enter the page in one place, as JSON without a `<` in it, and become text nodes from there; the page's own policy
allows no script but the one whose digest it names, no network, and no picture that isn't inside.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from pixtell.evaluation.predictions import write_text

if TYPE_CHECKING:
    from PIL.Image import Image

PAGE = Path(__file__).parent / "page"  # the files that become one
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
    """A picture as a small JPEG in a data URL. A smaller picture stays as small as it is."""
    small = picture.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def write_report(report: Report, path: Path) -> None:
    """Write the page, whole or not at all. Raises `PixtellError` when it can't be written."""
    write_text(path, page(report))


def page(report: Report) -> str:
    """The page as text, all of it ASCII outside of its own style and script."""
    style = _own("report.css")
    script = _own("charts.js") + _own("report.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {_digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    title = report.title if report.complete else f"PARTIAL {report.title}"
    # One pass: what is filled in is not looked at again, so a `$` in a text means nothing.
    return Template(_own("report.html")).substitute(
        policy=policy,
        title=html.escape(title).encode("ascii", "xmlcharrefreplace").decode("ascii"),
        style=style,
        script=script,
        data=_embedded(_content(report)),
    )


def _own(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


def _digest(source: str) -> str:
    """How a content security policy names the one inline style or script that it allows."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def _content(report: Report) -> dict[str, Any]:
    """The report for JSON. Each picture is there once, however many questions are about it."""
    places: dict[str, int] = {}
    items = []
    for item in report.items:
        place = places.setdefault(item.picture, len(places)) if item.picture else None
        items.append({**vars(item), "picture": place})
    return {**asdict(replace(report, items=())), "items": items, "pictures": list(places)}


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
