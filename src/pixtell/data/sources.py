"""Where rows come from: WebDataset tars, a picture and a JSON file a row, as img2dataset writes them.

In: paths of tars. Out: examples by number, in any order, so that a training can go on from any step. The tars are
indexed once (names and offsets) and read by seeking; nothing is unpacked.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pixtell.data.example import Example, TextPair
from pixtell.data.row import Stored
from pixtell.errors import InputError

PICTURES = (".jpg", ".jpeg", ".png", ".webp")


class TarSource:
    """The rows of some tars as a sequence: `len`, and `source[number] -> Example`.

    A row's JSON holds `captions` (a list of texts) or `qa` (a list of `question` and `answer`). Raises `InputError`
    for a missing or broken tar, a picture without JSON, and JSON without texts, each with its name.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self._rows: list[tuple[str, Stored, Stored]] = []
        for path in sorted(Path(path) for path in paths):
            self._rows.extend(_index(path))
        if not self._rows:
            raise InputError("empty", f"no pictures in {', '.join(map(str, paths)) or 'no tars'}")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> Example:
        key, picture, description = self._rows[number]
        return Example(key, picture.read(), read_texts(key, description.read()))

    def texts(self) -> list[TextPair]:
        """Every text of every row, without touching a picture."""
        return [pair for key, _, description in self._rows for pair in read_texts(key, description.read())]


def tar_members(path: Path) -> list[Stored]:
    """Where each file of a tar lies, in the tar's order. Raises `InputError` for a missing or broken tar."""
    try:
        with tarfile.open(path, "r:") as tar:  # not compressed: rows are read by seeking
            members = [Stored(path, member.name, member.offset_data, member.size) for member in tar if member.isfile()]
            end = tar.offset
        # A damaged header ends tarfile's loop as if the tar were over; only zeros, or nothing, are an end.
        if any(Stored(path, path.name, end, tarfile.BLOCKSIZE).read()):
            raise tarfile.ReadError(f"no member's header at byte {end:,}")
    except FileNotFoundError:
        raise InputError("missing", f"{path}: no such file") from None
    except (tarfile.TarError, OSError) as error:
        raise InputError("broken", f"{path}: not a readable tar ({error})") from None
    return members


def _index(path: Path) -> list[tuple[str, Stored, Stored]]:
    members = {member.name: member for member in tar_members(path)}
    rows = []
    for name, member in members.items():
        stem, dot, ending = name.rpartition(".")
        if dot + ending.lower() not in PICTURES:
            continue
        if f"{stem}.json" not in members:
            raise InputError("broken", f"{path}: {name} has no {stem}.json beside it")
        rows.append((stem, member, members[f"{stem}.json"]))
    return rows


def read_texts(key: str, description: bytes) -> tuple[TextPair, ...]:
    """The texts of one row's JSON. Underscores in answers are spaces ("soft_toy" is how DAQUAR writes "soft toy")."""
    try:
        fields: dict[str, Any] = json.loads(description)
        if not isinstance(fields.get("captions", []), list) or not isinstance(fields.get("qa", []), list):
            raise TypeError("`captions` and `qa` are lists")
        captions = [TextPair("", clean_caption(caption)) for caption in fields.get("captions", ())]
        answers = [TextPair(str(qa["question"]), str(qa["answer"]).replace("_", " ")) for qa in fields.get("qa", ())]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError("broken", f"{key}.json: {type(error).__name__}: {error}") from None
    if not captions and not answers:
        raise InputError("broken", f"{key}.json: neither `captions` nor `qa`")
    return (*captions, *answers)


def clean_caption(caption: str) -> str:
    """A caption without the full stop that tokenised data sets put behind it."""
    return caption.strip().removesuffix(".").rstrip()
