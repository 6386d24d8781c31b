"""Folders of photos, good and bad, and what `pixtell caption` makes of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .conftest import Outcome, Run

FORMS = ("rows.jsonl", "rows.csv", "rows.tsv", "rows.parquet", "rows.json", "rows.tar")


def photo(path: Path, number: int, size: tuple[int, int] = (48, 40)) -> Path:
    """A photo of noise, another one for each number."""
    noise = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise).save(path)
    return path


def folder_of(path: Path, count: int) -> Path:
    """Good photos among truncated, empty, huge, wrongly named and repeated ones."""
    for number in range(count):
        file = path / ("sub" if number % 5 == 4 else "") / f"{number:03}.png"
        if number % 20 == 7:
            content = photo(file, number).read_bytes()
            file.write_bytes(content[: len(content) // 2])
        elif number % 20 == 9:
            file.write_bytes(b"")
        elif number % 20 == 11:
            photo(file.with_suffix(".gif"), number).rename(file.with_suffix(".jpg"))
        elif number % 20 == 13:
            photo(file, number - 1)
        elif number == 15:
            photo(file, number, (1500, 1200))
        elif number % 20 == 16:
            file.write_text("no picture")
        else:
            photo(file, number)
    return path


def files(out: Path, but: Sequence[str] = ()) -> dict[str, bytes]:
    """What a job wrote, but for files of these endings."""
    paths = [path for path in out.rglob("*") if path.is_file() and path.suffix not in but]
    return {str(path.relative_to(out)): path.read_bytes() for path in paths}


Rows = list[dict[str, Any]]


def caption(run: Run, tiny: list[str], folder: Path, out: Path, *words: str | Path) -> tuple[Outcome, Rows]:
    """The outcome, and the rows of a JSONL file."""
    file = out / "rows.jsonl"
    outcome = run("caption", folder, "-o", file, *tiny, *words)
    return outcome, [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def says(rows: Rows) -> list[str]:
    return [str(row["text"]) for row in rows if row["status"] == "ok"]
