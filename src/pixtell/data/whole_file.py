"""A file that is whole or not there at all, whatever happens while it is written.

In: a path and what writes to an open file, or to a file by its name. Out: the file, on the disk when the block ends.
The surprising thing: the temporary file of a target always has the same name, so what a killed run left behind is
overwritten by the next.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from pixtell.errors import PixtellError


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to, which takes its place when the block ends well. Raises `PixtellError` for a full disk."""
    with whole_path(path) as fresh, fresh.open("wb") as file:
        yield file


@contextmanager
def whole_path(path: Path) -> Iterator[Path]:
    """The same for who opens files themselves: where to write."""
    fresh = path.with_name(f".{path.name}.partial")
    with telling(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield fresh
            with fresh.open("r+b") as file:
                os.fsync(file.fileno())
            os.replace(fresh, path)
        except BaseException:
            with suppress(OSError):
                fresh.unlink()
            raise


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """What the disk refuses within the block, as a line about `path`. Raises `PixtellError`."""
    try:
        yield
    except OSError as error:
        raise PixtellError(f"{path}: can't be written ({error.strerror or error})") from None
