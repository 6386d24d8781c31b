"""Names with patterns in them, as shards are named: `train-{000..005}.tar`, `{train,val}.jsonl`, `*.tar`.

In: what stands on the command line. Out: paths. The surprising thing: a file that is really called so comes first.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pixtell.errors import InputError

_BRACES = re.compile(r"\{([^{}]*(?:\.\.|,)[^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
MOST_SHARDS = 100_000  # of one range; more is a mistyped number


def expand(sources: Sequence[str | Path]) -> list[Path]:
    """The paths that names and patterns stand for, those of `*` in the order of names. Raises `InputError`."""
    return [path for source in sources for path in _expand(str(source))]


def _expand(source: str) -> Iterator[Path]:
    if Path(source).exists():
        yield Path(source)
        return
    for name in _braces(source):
        if Path(name).exists() or not glob.has_magic(name):
            yield Path(name)
            continue
        found = sorted(glob.glob(name, recursive=True))
        if not found:
            raise InputError("missing", f"{name}: no file is called so")
        yield from map(Path, found)


def _braces(name: str) -> Iterator[str]:
    """A name for each value of its first pair of braces, and so on for the next."""
    braces = _BRACES.search(name)
    if not braces:
        yield name
        return
    for value in _values(braces[1], name):
        yield from _braces(name[: braces.start()] + value + name[braces.end() :])


def _values(inside: str, name: str) -> list[str]:
    numbers = _RANGE.fullmatch(inside)
    if not numbers:
        return inside.split(",")
    first, last = numbers.groups()
    if not 0 <= int(last) - int(first) < MOST_SHARDS:
        raise InputError("missing", f"{name}: {{{inside}}} is no range of at most {MOST_SHARDS:,} numbers, upwards")
    width = len(first) if first.startswith("0") or len(first) == len(last) else 0
    return [f"{number:0{width}}" for number in range(int(first), int(last) + 1)]
