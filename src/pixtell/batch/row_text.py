"""A row as text: as a JSON object, and as the cells of a table.

In: rows, and the job's settings as a JSON object. Out: text that gives the same row when it is read, on any machine.

The surprising thing: names of files need not be text. Python holds bytes that are not UTF-8 as lone surrogates; JSON
can spell those (`\\udcff`) and nothing else can. So a cell of a table whose text holds one is written as JSON writes a
string, in quotation marks; and so that this can't be mistaken, a text that begins with a quotation mark is, too. In CSV
the same is done to what a spreadsheet would run as a formula.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from functools import lru_cache
from typing import Any, get_args

from pixtell.batch.row import Row, Status

# The columns of CSV, in their order. Texts, then numbers, then lists as JSON; a column may be added before `settings`.
TEXTS = ("name", "status", "text", "code", "message", "same_as", "sha256")
NUMBERS = ("mean_logprob", "logprob")
FLAGS = ("review", "edited")
LISTS = ("alternatives", "answers", "labels", "windows")
COLUMNS = (
    *("name", "status", "text", "mean_logprob", "logprob", "review", "edited", "code", "message", "same_as"),
    *("sha256", "alternatives", "answers", "labels", "windows", "settings"),
)

_JSON = json.JSONEncoder(ensure_ascii=False)
_SURROGATES = re.compile("[\ud800-\udfff]")
_ESCAPED = re.compile("[\ud800-\udfff\x85\u2028\u2029]")  # and what some programs take for the end of a line
# What makes a spreadsheet take a cell for a formula (OWASP's page "CSV Injection"; also in wide letters), and the
# quotation mark.
_RISKY = tuple('"=+-@\t\r\n\uff1d\uff0b\uff0d\uff20')


def json_text(value: Any) -> str:
    """`value` as JSON in one line, readable, and encodable whatever it holds."""
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", _JSON.encode(value))


def json_of(row: Row, settings: str, **more: Any) -> bytes:
    """A row as one JSON object, with the job's settings and whatever a format adds."""
    text = json_text(row.content() | more)
    return (f'{text[:-1]}, "settings": {_one_line(settings)}}}' if settings else text).encode()


@lru_cache(maxsize=8)
def _one_line(settings: str) -> str:
    return json_text(json.loads(settings))


def row_of_json(text: bytes | str) -> Row:
    """The row of a JSON object. Raises `ValueError`, saying why it is none."""
    return row_of(json.loads(text))


def row_of(content: Any) -> Row:
    """The row that a decoded JSON object describes. Raises `ValueError`, saying why it is none."""
    if not isinstance(content, dict) or not isinstance(content.get("name"), str):
        raise ValueError("it is not an object with a name")
    if content.get("status", "ok") not in get_args(Status):
        raise ValueError(f"its status is {content['status']!r}: it is one of {', '.join(get_args(Status))}")
    for key in TEXTS:
        if not isinstance(content.get(key, ""), str):
            raise ValueError(f"its {key} is not a text")
    try:
        return Row.of(content)
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"it is not a row ({error})") from None


def cell_of(text: str, *, formulas: bool = True) -> str:
    """A text as the cell of a table; `formulas`: so that no spreadsheet runs it."""
    risky = text.startswith(_RISKY if formulas else '"')
    return json_text(text) if risky or _SURROGATES.search(text) else text


def text_of(cell: str) -> str:
    """The text of a cell. Raises `ValueError`."""
    return str(json.loads(cell)) if cell.startswith('"') else cell


def cells_of(row: Row, settings: str) -> list[str]:
    """A row as cells in the order of `COLUMNS`: what is empty is an empty cell."""
    cells = {name: cell_of(getattr(row, name)) for name in TEXTS}
    for name in NUMBERS:
        number = getattr(row, name)
        cells[name] = "" if number is None else repr(number)
    lists = {name: getattr(row, name) for name in LISTS} | {"windows": [asdict(window) for window in row.windows]}
    cells |= {name: json_text(one) if one else "" for name, one in lists.items()}
    cells |= {name: "true" if getattr(row, name) else "" for name in FLAGS} | {"settings": settings}
    return [cells[name] for name in COLUMNS]


def row_of_cells(names: list[str], cells: list[str]) -> Row:
    """The row that cells under these names hold; columns that a row doesn't have are passed over, and those that are
    missing are empty. Raises `ValueError`, saying why there is none."""
    if len(cells) != len(names):
        raise ValueError(f"it has {len(cells)} cells for {len(names)} columns")
    content: dict[str, Any] = {}
    for name, cell in zip(names, cells, strict=True):
        if not cell:
            continue
        if name in TEXTS:
            content[name] = text_of(cell)
        elif name in NUMBERS:
            content[name] = float(cell)
        elif name in LISTS:
            content[name] = json.loads(cell)
        elif name in FLAGS:
            content[name] = cell.lower() == "true"
    return row_of({"name": "", **content})
