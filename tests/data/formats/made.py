"""What the readers' tests are made of: files with given content, and what came out of them, told briefly."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pixtell.data.dataset import Dataset, open_dataset
from pixtell.errors import PixtellError


def write(path: Path, content: Any) -> Path:
    """A file of bytes, of a text, or of JSON; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def touch(folder: Path, *names: str) -> Path:
    """A folder with files of a few bytes in it, that no reader of rows looks into."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        write(folder / name, f"not a picture: {name}")
    return folder


def lines(*values: Any) -> str:
    """JSON lines; texts are lines as they are."""
    return "".join((value if isinstance(value, str) else json.dumps(value)) + "\n" for value in values)


def captions(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    return {row.id: row.captions for row in dataset.rows}


def questions(dataset: Dataset) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """Row, id, text and answers of every question."""
    return [(row.id, one.id, one.text, one.answers) for row in dataset.rows for one in row.questions]


def pictures(dataset: Dataset, folder: Path) -> dict[str, str | None]:
    """Where in `folder` each row's picture lies."""
    return {row.id: row.media and row.media.path.relative_to(folder).as_posix() for row in dataset.rows}


def problems(dataset: Dataset, folder: Path) -> list[tuple[str, str]]:
    """Codes and messages, without the folder; each message is one line that begins with its place."""
    for one in dataset.problems:
        assert one.message.startswith(one.where) and "\n" not in one.message
    return [(one.code, one.message.replace(f"{folder}/", "")) for one in dataset.problems]


def refused(sources: Sequence[Path], **options: Any) -> tuple[str, str]:
    """The code (of a `ConfigError`: "config") and the one line with which a data set is refused."""
    with pytest.raises(PixtellError) as caught:
        open_dataset(sources, **options)
    message = str(caught.value).replace(f"{sources[0].parent}/", "") if sources else str(caught.value)
    assert "\n" not in message
    return getattr(caught.value, "code", "config"), message
