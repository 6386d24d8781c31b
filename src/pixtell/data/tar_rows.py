"""Rows as a WebDataset tar has them: `KEY.jpg` and `KEY.json`, as img2dataset writes them.

In: rows, and the bytes of their media. Out: members of a tar, whose bytes depend on nothing else. `open_dataset` reads
the same rows back.

The surprising thing: a key is not always the row's id. Programs that read such tars cut a name at its first dot, and a
slash or a hidden name would make folders or vanish, so what is unsafe in an id becomes "_".
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pixtell.data.row import Question, Row
from pixtell.errors import ConfigError

_UNSAFE = re.compile(r"[^\w\- ]")
_LONGEST = 200  # characters of a key; longer names are no names of files

NUMBER = re.compile(r"%0?\d*d")  # where a tar's number stands in its name

# First bytes of media, and the ending of their files. What isn't here is written anew.
_MAGIC = ((b"\xff\xd8\xff", ".jpg"), (b"\x89PNG", ".png"), (b"GIF8", ".gif"))


def tar_path(pattern: str, number: int) -> Path:
    """The path of a tar. Raises `ConfigError` for a pattern without one number in its name."""
    if len(NUMBER.findall(pattern)) != 1 or not NUMBER.search(Path(pattern).name) or not pattern.endswith(".tar"):
        raise ConfigError(f"{pattern}: tars are numbered: write a name such as train/%06d.tar")
    return Path(NUMBER.sub(lambda found: found[0] % number, pattern))


def keys_of(rows: Sequence[Row]) -> list[str]:
    """A key for each row that no other row has: its id as far as it is safe."""
    taken: dict[str, None] = {}
    for number, row in enumerate(rows):
        parts = (_UNSAFE.sub("_", part).strip() for part in row.id.split("/"))
        key = "/".join(filter(None, parts))[:_LONGEST].strip("/ ") or "_"
        while key in taken:
            key = f"{key}_{number}"
        taken[key] = None
    return list(taken)


def ending_of(content: bytes) -> str:
    """The ending of a file of these bytes: a picture's that browsers show, or a clip's; empty for other pictures."""
    for start, ending in _MAGIC:
        if content.startswith(start):
            return ending
    if content.startswith(b"RIFF"):
        return {b"WEBP": ".webp", b"AVI ": ".avi"}.get(content[8:12], "")
    if content.startswith(b"\x1a\x45\xdf\xa3"):
        return ".webm" if b"webm" in content[:64] else ".mkv"
    if content[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip"):
        return ".mov"
    if content[4:8] == b"ftyp":
        if content[8:12] in (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1", b"hevc", b"hevx", b"heim", b"heis"):
            return ""
        return ".mov" if content[8:12] == b"qt  " else ".mp4"
    return ""


def add_row(tar: tarfile.TarFile, key: str, row: Row, content: bytes, ending: str) -> None:
    """Add a row's medium and its texts."""
    _add(tar, f"{key}{ending}", content)
    _add(tar, f"{key}.json", (json.dumps(described(row), ensure_ascii=False) + "\n").encode())


def described(row: Row) -> dict[str, Any]:
    """What is said of a row, as the readers' `description` takes it."""
    said: dict[str, Any] = {}
    if row.captions:
        said["captions"] = list(row.captions)
    if row.questions:
        said["qa"] = [_asked(question) for question in row.questions]
    if row.label:
        said["label"] = row.label
    return said


def _asked(question: Question) -> dict[str, Any]:
    fields = {
        "question_id": question.id,
        "question": question.text,
        "answer_type": question.answer_type,
        "question_type": question.question_type,
    }
    return {**{name: text for name, text in fields.items() if text}, "answers": list(question.answers)}


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)  # its time, owner and rights are those of TarInfo, always the same
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
