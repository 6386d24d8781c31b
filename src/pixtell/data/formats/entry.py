"""JSON as data sets hold it: whole files, lines, and objects whose fields are asked for by name and kind.

In: bytes that somebody else wrote. Out: texts and lists of known kinds, or what is wrong in words.

The surprising thing: a number is a text here, since ids and answers are written both ways, but `true` is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pixtell.errors import InputError

Placed = tuple[str, Any]  # where a value stands, in words, and the value

_KINDS = ((dict, "an object"), (list, "a list"), (str, "a text"), (bool, "true or false"), (int | float, "a number"))


class Misshapen(ValueError):
    """A value that is not what its format says; the words go on after the place that it stands at."""


class Entry:
    """One JSON object. A field that is null is not there."""

    __slots__ = ("_fields",)

    def __init__(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise Misshapen(f"is {kind_of(value)} where an object belongs")
        self._fields: dict[str, Any] = value

    def has(self, *names: str) -> bool:
        """Whether any of these fields is there."""
        return any(self._fields.get(name) is not None for name in names)

    def text(self, *names: str) -> str:
        """The first of these fields that is there, as a text; empty when none is."""
        for name in names:
            value = self._fields.get(name)
            if value is not None:
                return _text(name, value)
        return ""

    def need(self, *names: str) -> str:
        """As `text`, but there must be one."""
        found = self.text(*names)
        if not found:
            raise Misshapen(f"has no `{names[0]}`")
        return found

    def texts(self, name: str) -> list[str]:
        """The texts of a list; a text that stands alone is a list of it."""
        return [_text(name, value) for value in self.values(name)]

    def entries(self, name: str) -> list[Entry]:
        """The objects of a list."""
        for value in self.values(name):
            if not isinstance(value, dict):
                raise Misshapen(f"has {kind_of(value)} in `{name}` where objects belong")
        return [Entry(value) for value in self.values(name)]

    def values(self, name: str) -> list[Any]:
        """A list as it is; a value that stands alone is a list of it."""
        value = self._fields.get(name)
        if value is None:
            return []
        return value if isinstance(value, list) else [value]


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    return next((words for kind, words in _KINDS if isinstance(value, kind)), "null")


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise Misshapen(f"has {kind_of(value)} in `{name}` where a text belongs")


def encodable(text: str) -> str:
    """A text as UTF-8 can write it: half of a surrogate pair, which JSON and names of files can hold, becomes "?"."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def printable(text: str) -> str:
    """A text as it can stand in a message of one line."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def numbered(path: Path, what: str, values: Iterable[Any]) -> Iterator[Placed]:
    """Values with their places: `captions.json: image 3`."""
    return ((f"{path}: {what} {number}", value) for number, value in enumerate(values, 1))


def parse_json(content: bytes | str) -> Any:
    """A JSON value. Raises `Misshapen`: "is not JSON (line 2, column 7: ...)", or no UTF-8 text."""
    try:
        return json.loads(content if isinstance(content, str) else content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise Misshapen(f"is not UTF-8 text (byte {error.start})") from None
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise Misshapen(f"is broken JSON ({line}column {error.colno}: {error.msg})") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; lists in lists without an end
        raise Misshapen(f"is broken JSON ({error})") from None


def load_json(path: Path) -> Any:
    """The value of a whole JSON file. Raises `InputError` with the line and the column where it breaks."""
    try:
        return parse_json(path.read_bytes())
    except Misshapen as error:
        raise InputError("broken", f"{path}: {error}") from None
    except OSError as error:
        raise InputError("unreadable", f"{path}: can't be read ({error.strerror or error})") from None


def text_lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """The lines of a file that hold something, each with its place."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                if line := line.strip(b"\r\n"):
                    yield f"{path}: line {number}", line
    except OSError as error:
        raise InputError("unreadable", f"{path}: can't be read ({error.strerror or error})") from None
