"""A page that holds everything: one HTML file that a browser opens from a disk, offline.

In: a `Design`, which names the files of a page; a title, and data of any depth. Out: the page in pieces, with style,
script, data and pictures inside. It makes the evaluation's report, a training's page and the contact page of folder
jobs.

The surprising thing: the data are texts of a model and of strangers, and may hold anything, `</script>` too. They enter
the page in one place, as JSON without a `<` in it, and become text nodes from there (`elements.js`); the page's own
policy allows no script but the one whose digest it names, no network, and no picture that isn't inside.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

HOME = Path(__file__).parent
FRAME = HOME / "frame.html"  # what every page has around its body
STYLES = (HOME / "palette.css", HOME / "base.css")  # before a page's own
SCRIPTS = (HOME / "elements.js",)


@dataclass(frozen=True)
class Design:
    """The files of one kind of page, in `folder`: its body, then styles and scripts in the order in which they come.

    `generator` says in the page by which command it was written.
    """

    generator: str
    folder: Path
    body: str
    styles: tuple[str, ...]
    scripts: tuple[str, ...]


def assemble(design: Design, title: str, data: object, more: Iterable[str] = ()) -> Iterator[str]:
    """The page in pieces, all of it ASCII outside of its own files.

    `data` is what JSON can hold; the scripts find it in the element of the id `data`. `more` are elements that stand
    behind it and go into the page as they are: they hold no script and nothing that has to be escaped.
    """
    style = _joined(*STYLES, *(design.folder / name for name in design.styles))
    script = _joined(*SCRIPTS, *(design.folder / name for name in design.scripts))
    values = {
        "policy": (
            f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {_digest(script)}; "
            "base-uri 'none'; form-action 'none'"
        ),
        "generator": design.generator,
        "title": html.escape(title).encode("ascii", "xmlcharrefreplace").decode("ascii"),
        "style": style,
        "body": _joined(design.folder / design.body),
        "data": _embedded(data),
        "script": script,
    }
    above, below = _joined(FRAME).split("$more\n")
    # One pass: what is filled in is not looked at again, so a `$` in a text means nothing.
    yield Template(above).substitute(values)
    yield from more
    yield Template(below).substitute(values)


def shrink(picture: Image, side: int, form: str, **options: int) -> bytes:
    """A picture as a thumbnail of at most `side` pixels a side: a file of Pillow's `form`, saved with its `options`.

    A smaller picture stays as small as it is, and the one that is given stays as it was.
    """
    small = picture.convert("RGB")
    small.thumbnail((side, side))
    file = io.BytesIO()
    small.save(file, form, **options)
    return file.getvalue()


def _joined(*paths: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def _digest(source: str) -> str:
    """How a content security policy names the one inline style or script that it allows."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def _embedded(data: object) -> str:
    """JSON that can stand in a script element: no character in it can end that, or begin a comment in it."""
    text = json.dumps(_finite(data), separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _finite(value: Any) -> Any:
    """The same with null for what is not a number, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
