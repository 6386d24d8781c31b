"""COCO result JSON and parquet: files that can only be written when all rows are known.

In: all finished rows, in the order of the inputs. Out: the file, whole or not at all; and rows again, from such a file.

The surprising thing: the same rows give the same bytes, in parquet too (as long as pyarrow is of the same version): it
writes no times, and neither format is told when or by what it was made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from pixtell.batch.files import content_of, make_folder, sweep, write_whole
from pixtell.batch.item import Item, printable
from pixtell.batch.output import Finished, OneFile, OutputOptions
from pixtell.batch.row import Row
from pixtell.batch.row_files import EXISTS, merged
from pixtell.batch.row_text import COLUMNS, FLAGS, LISTS, NUMBERS, TEXTS, cell_of, json_text, row_of, text_of
from pixtell.errors import ConfigError, MissingExtraError

# "COCO_val2014_000000391895.jpg" and "391895.jpg" are the picture 391895 of COCO's annotations.
_COCO_NUMBER = re.compile(r"(?:.*_)?([0-9]+)", re.DOTALL)


class Form(Protocol):
    """How all rows are one file."""

    def held(self, content: bytes) -> frozenset[str | int]:
        """The keys of the items that a file holds a text of. Raises `ValueError` for what is not such a file."""

    def key(self, name: str) -> str | int:
        """What an item is called in the file."""

    def content(self, before: bytes | None, rows: Sequence[Finished], settings: str) -> bytes:
        """The file of `rows`, behind what is kept of `before`."""


class CocoResults:
    """`[{"image_id": 391895, "caption": "..."}, ...]`, an entry a line; items without a text have none."""

    def key(self, name: str) -> str | int:
        number = _COCO_NUMBER.fullmatch(PurePosixPath(name).stem)
        return int(number[1]) if number and len(number[1]) <= 18 else name

    def held(self, content: bytes) -> frozenset[str | int]:
        return frozenset(entry["image_id"] for entry in self.entries(content))

    def content(self, before: bytes | None, rows: Sequence[Finished], settings: str) -> bytes:
        ours = {self.key(one.row.name): one.row for one in rows if one.row.code != EXISTS}
        old = [] if before is None else self.entries(before)
        entries = [entry for entry in old if entry["image_id"] not in ours]
        entries += [{"image_id": key, "caption": row.text} for key, row in ours.items() if row.status == "ok"]
        return f"[{(',' + chr(10)).join(json_text(entry) for entry in entries)}]\n".encode()

    @staticmethod
    def entries(content: bytes) -> list[dict[str, Any]]:
        """The entries of a file. Raises `ValueError` for what is not such a file."""
        found = json.loads(content)
        if not isinstance(found, list):
            raise ValueError("it is not a list")
        for entry in found:
            if not isinstance(entry, dict) or not isinstance(entry.get("image_id"), (str, int)):
                raise ValueError("an entry has no image_id")
            if not isinstance(entry.get("caption"), str):
                raise ValueError("an entry has no caption")
        return found

    def rows(self, content: bytes) -> list[Row]:
        """The rows of a file: they are called as there. Raises `ValueError`."""
        return [Row(str(entry["image_id"]), text=entry["caption"]) for entry in self.entries(content)]


class Parquet:
    """The columns of CSV with their own types: lists are lists, and only `settings` is JSON. Needs pyarrow."""

    def __init__(self) -> None:
        if find_spec("pyarrow") is None:
            raise MissingExtraError("parquet needs the package pyarrow: pip install 'pixtell[parquet]'")

    def key(self, name: str) -> str | int:
        return name

    def held(self, content: bytes) -> frozenset[str | int]:
        return frozenset(row.name for row, _ in self._read(content) if row.status == "ok")

    def content(self, before: bytes | None, rows: Sequence[Finished], settings: str) -> bytes:
        old = [(row, (row, made)) for row, made in (self._read(before) if before is not None else [])]
        every = merged(old, [(one.row, (one.row, settings)) for one in rows])
        pyarrow, parquet = _pyarrow()
        values = [_values(row, made) for row, made in every]
        schema = _schema(pyarrow)
        table = pyarrow.table({name: [one[name] for one in values] for name in COLUMNS}, schema=schema)
        buffer = pyarrow.BufferOutputStream()
        parquet.write_table(table, buffer, compression="zstd")
        return bytes(buffer.getvalue())

    def rows(self, content: bytes) -> list[Row]:
        """The rows of a file. Raises `ValueError`."""
        return [row for row, _ in self._read(content)]

    def _read(self, content: bytes) -> list[tuple[Row, str]]:
        pyarrow, parquet = _pyarrow()
        try:
            table = parquet.read_table(pyarrow.BufferReader(content))
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(f"it is not parquet: {str(error).splitlines()[0]}") from None
        if table.schema.names != list(COLUMNS):
            raise ValueError(f"its columns are {', '.join(table.schema.names)}")
        return [(_row(values), values["settings"] or "") for values in table.to_pylist()]


def _pyarrow() -> tuple[Any, Any]:
    return import_module("pyarrow"), import_module("pyarrow.parquet")


def _schema(pyarrow: Any) -> Any:
    text, number = pyarrow.string(), pyarrow.float64()
    lists = {
        "alternatives": text,
        "answers": pyarrow.struct([("question", text), ("answer", text)]),
        "labels": pyarrow.struct([("label", text), ("probability", number)]),
        "windows": pyarrow.struct([("start", number), ("end", number), ("text", text), ("mean_logprob", number)]),
    }
    types = {name: text for name in (*TEXTS, "settings")} | {name: number for name in NUMBERS}
    types |= {name: pyarrow.bool_() for name in FLAGS} | {name: pyarrow.list_(lists[name]) for name in LISTS}
    return pyarrow.schema([(name, types[name]) for name in COLUMNS])


def _values(row: Row, settings: str) -> dict[str, Any]:
    """A row as parquet holds it: strings are UTF-8, as cells of a table make them."""
    values = asdict(row) | {"settings": settings}
    values |= {name: cell_of(values[name], formulas=False) for name in TEXTS}
    values["alternatives"] = [cell_of(text, formulas=False) for text in row.alternatives]
    values["answers"] = [
        {"question": cell_of(question, formulas=False), "answer": cell_of(answer, formulas=False)}
        for question, answer in row.answers
    ]
    values["labels"] = [{"label": cell_of(label, formulas=False), "probability": p} for label, p in row.labels]
    values["windows"] = [one | {"text": cell_of(one["text"], formulas=False)} for one in values["windows"]]
    return values


def _row(values: dict[str, Any]) -> Row:
    content = {name: value for name, value in values.items() if value is not None}
    content |= {name: text_of(content.get(name, "")) for name in TEXTS}
    content["alternatives"] = [text_of(text) for text in content["alternatives"]]
    content["answers"] = [[text_of(one["question"]), text_of(one["answer"])] for one in content["answers"]]
    content["labels"] = [[text_of(one["label"]), one["probability"]] for one in content["labels"]]
    content["windows"] = [one | {"text": text_of(one["text"])} for one in content["windows"]]
    return row_of(content)


class WholeFile(OneFile):
    """The output that is one file, written at the end."""

    def __init__(self, name: str, form: Form, options: OutputOptions) -> None:
        self.name = name
        self._path = Path(name).resolve()  # a link stays one: what it points to is written
        self._form = form
        self._options = options
        self._held: frozenset[str | int] | None = None

    def existing(self, item: Item) -> bool:
        if self._held is None:
            self._held = self._read()
        return self.key(item) in self._held

    def key(self, item: Item) -> str | int:
        """What the file calls an item."""
        return self._form.key(item.name)

    def start(self, rows: Sequence[Finished]) -> None:
        make_folder(self._path.parent)
        sweep(self._path)
        self._read()  # only to see, before the work, that the file is ours

    def add(self, rows: Sequence[Finished]) -> None:
        pass

    def finish(self, rows: Iterable[Finished]) -> None:
        before = content_of(self._path) or None
        keeps = self._options.on_existing != "overwrite"
        content = self._form.content(before if keeps else None, list(rows), self._options.settings)
        if content != before:
            write_whole(self._path, [content])

    def _read(self) -> frozenset[str | int]:
        content = content_of(self._path)
        try:
            return self._form.held(content) if content else frozenset()
        except ValueError as error:
            raise ConfigError(
                f"{printable(self.name)}: is there and was not written by pixtell caption ({error}): name another file"
            ) from None
