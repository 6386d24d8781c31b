"""A job as its outputs see it, with a list for a journal, and a disk that can be killed at any of its operations."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from pixtell.batch import files
from pixtell.batch.item import Held, Item, safe_relative
from pixtell.batch.outputs import Finished, OutputOptions, noted, open_outputs
from pixtell.batch.row import Row, Window

NEVER = 10**9  # operations that no job of a test comes to
# Forms that hold rows whole, first those that grow while the job runs; forms of one file; of files at all; all.
GROWING = ("rows.jsonl", "rows.csv", "rows.tsv")
WHOLE_ROWS = (*GROWING, *(["rows.parquet"] if find_spec("pyarrow") else []))  # parquet is an extra
SINGLE = (*WHOLE_ROWS, "rows.json")
FILES = (*SINGLE, "rows.tar")
FORMS = (*FILES, "txt", "xmp")
SETTINGS = '{"beams": 4, "prefix": "a, \\"b\\"", "banned": ["dog"]}'
PICTURE = b"\xff\xd8\xff picture "


class Killed(BaseException):
    """The process is gone."""


class Disk:
    """`os` for `files.py`, until its operation number `at`: that one is done not at all, by half or wholly, and from
    then on nothing is done any more, not even what cleans up."""

    CHANGING = ("open", "write", "fsync", "replace", "unlink", "ftruncate")

    def __init__(self, at: int, how: int = 0) -> None:
        self.left, self._how = at, how

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return (lambda *values: self._do(name, real, values)) if name in self.CHANGING else real

    def _do(self, name: str, real: Any, values: tuple[Any, ...]) -> Any:
        self.left -= 1
        if self.left < 0:
            raise Killed
        if self.left == 0 and name == "write" and self._how == 1:
            real(values[0], values[1][: len(values[1]) // 2])
            raise Killed
        wait = name == "fsync"  # not for the real disk: that takes long, and proves nothing here
        found = real(*values) if not wait and (self.left or self._how != 0) else None
        if self.left == 0:
            raise Killed
        return found


class Job:
    """Items and rows, the outputs they go to below `folder`, and what the journal holds of them."""

    def __init__(self, folder: Path, rows: Sequence[Row], options: OutputOptions, forms: Sequence[str] = FORMS) -> None:
        self.rows, self.options = rows, options
        self.names = [name if name in ("txt", "xmp") else str(folder / name) for name in forms]
        self.journal: list[Finished] = []

    def run(self, sizes: Sequence[int] = (2,)) -> None:
        """Go on from the journal to the end, in batches of these sizes, the last of them for all others."""
        outputs = open_outputs(self.names, self.options)
        self.journal = [noted(one, outputs) for one in self.journal]
        for output in outputs:
            output.start(list(self.journal))
        waiting = list(self.rows[len(self.journal) :])
        for number in range(len(waiting)):
            size = sizes[min(number, len(sizes) - 1)]
            batch = [noted(Finished(item_of(row), row), outputs) for row in waiting[:size]]
            del waiting[:size]
            self.journal += batch
            for output in outputs:
                output.add(batch)
        for output in outputs:
            output.finish(iter(self.journal))

    def run_killed(self, at: int, how: int = 0, sizes: Sequence[int] = (1,)) -> bool:
        """Run on a disk that is killed; whether it came to that."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(files, "os", Disk(at, how))
            try:
                self.run(sizes)
            except Killed:
                return True
        return False


def item_of(row: Row) -> Item:
    """The item of a row; its bytes are its own."""
    content = PICTURE + row.name.encode("utf-8", "surrogatepass")
    return Item(row.name, Held(row.name, content), safe_relative(row.name))


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# Texts that hold what breaks formats: separators, quotation marks, formulas, ends of lines, and bytes that are no text.
TEXTS = st.text(st.sampled_from("ab é\n\r,;\t\"'=+-@<&]\\{\udce9\udc80\u2028🙂"), max_size=8)
PLAIN = st.text(st.sampled_from("ab cé,🙂<&\"'"), min_size=1, max_size=8).map(str.strip).filter(bool)
NUMBERS = st.none() | st.floats(-9, 9).filter(bool)
WINDOWS = st.builds(Window, st.floats(0, 9), st.floats(0, 9), TEXTS, NUMBERS)


@st.composite
def rows_of_a_job(draw: st.DrawFn, text: st.SearchStrategy[str] = TEXTS) -> list[Row]:
    """Up to seven rows of every kind, in two folders."""
    found = []
    for number in range(draw(st.integers(0, 7))):
        cut = draw(TEXTS).replace("/", "")
        name = f"{draw(st.sampled_from(['', 'sub/', '-x/']))}{cut}{number}.jpg"
        if draw(st.integers(0, 3)) == 0:
            status = draw(st.sampled_from(["error", "skipped"]))
            found.append(Row(name, status, code="broken", message=draw(TEXTS)))
            continue
        found.append(
            Row(
                name,
                text=draw(text),
                alternatives=tuple(draw(st.lists(TEXTS, max_size=2))),
                answers=tuple(draw(st.lists(st.tuples(TEXTS, TEXTS), max_size=2))),
                labels=tuple(draw(st.lists(st.tuples(TEXTS, st.floats(0, 1)), max_size=2))),
                windows=tuple(draw(st.lists(WINDOWS, max_size=2))),
                mean_logprob=draw(NUMBERS),
                logprob=draw(NUMBERS),
                review=draw(st.booleans()),
                edited=draw(st.booleans()),
                same_as=draw(TEXTS),
            )
        )
    return found
