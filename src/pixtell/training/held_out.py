"""Which rows of a data set are looked at and never learnt, where it brings no validation part of its own.

In: the data sets of a run's streams, and how many rows to hold out. Out: the data sets without them, and the rows
themselves. The surprising thing: the digests of the rows' names decide, not chance or place, so that a data set that
grows keeps most of its held-out rows, and none moves to the learnt ones because files were listed in another order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from pixtell.data.dataset import Dataset
from pixtell.data.loader import open_picture
from pixtell.data.opened import FAILURES
from pixtell.data.row import Row
from pixtell.data.sources import RowSource, answered, texts_of
from pixtell.errors import ConfigError


def hold_out(datasets: Sequence[Dataset], count: int) -> tuple[list[Dataset], Dataset]:
    """Take `count` rows of the first data set out of all of them, known by their names, and return them beside.

    Raises `ConfigError` when nothing would be left to learn.
    """
    first = datasets[0]
    usable = sorted((row for row in first.rows if row.media is not None and texts_of(row)), key=_digest)
    if count >= len(usable):
        raise ConfigError(
            f"validation.held_out: {count} rows of {first.name} would leave none of its {len(usable)} to learn"
        )
    held = list(islice((row for row in usable if _can_be_seen(row)), count))
    names = {row.id for row in held}
    learnt = [replace(one, rows=tuple(row for row in one.rows if row.id not in names)) for one in datasets]
    return learnt, Dataset(f"{first.name} held out", tuple(held))


def with_captions(dataset: Dataset) -> Dataset:
    """The rows that are described, or named, without their questions, whose answers would count as descriptions."""
    rows = [replace(row, questions=()) for row in dataset.rows]
    return replace(dataset, rows=tuple(row for row in rows if texts_of(row)))


def with_questions(dataset: Dataset) -> Dataset:
    """The rows that are asked about, without their captions."""
    rows = [replace(row, captions=(), label="") for row in dataset.rows]
    return replace(dataset, rows=tuple(row for row in rows if any(map(answered, row.questions))))


def _can_be_seen(row: Row) -> bool:
    """Whether its picture opens; a broken one is left to the training, which passes over it and tells."""
    try:
        open_picture(RowSource(Dataset("", (row,)))[0])
    except FAILURES:
        return False
    return True


def _digest(row: Row) -> bytes:
    return hashlib.sha256(row.id.encode("utf-8", "surrogatepass")).digest()
