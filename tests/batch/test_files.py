"""Files that are whole or not there: what a failing disk leaves behind, operation by operation."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from pixtell.batch import files
from pixtell.batch.files import append, content_of, fitting, make_folder, sweep, temporary, write_whole
from pixtell.errors import PixtellError


class Refusing:
    """`os` for `files.py`, of which one operation fails; a write that does has written half before."""

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def __getattr__(self, name: str) -> Any:
        return self._fail if name == self._operation else getattr(os, name)

    def _fail(self, *values: Any) -> None:
        if self._operation == "write":
            os.write(values[0], values[1][: len(values[1]) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("operation", ["open", "write", "fsync", "replace"])
def test_what_was_there_stays_when_the_disk_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    path = tmp_path / "a\nb.txt"
    path.write_bytes(b"before")
    monkeypatch.setattr(files, "os", Refusing(operation))
    with pytest.raises(PixtellError, match=r"a\?b\.txt: can't be written \(No space left on device\); .* same command"):
        write_whole(path, [b"after"])
    if operation != "replace":
        with pytest.raises(PixtellError, match="No space left"):
            append(path, b" and after")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    def pieces() -> Any:
        yield b"one"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "a", pieces())
    assert list(tmp_path.iterdir()) == []


def test_writing_and_adding(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, [b"on", b"", b"e"])
    append(path, b" two")
    assert path.read_bytes() == b"one two"
    append(path, b"!", keep=3)
    assert path.read_bytes() == b"one!"
    append(path, b"", keep=1)
    assert content_of(path) == b"o"
    assert content_of(tmp_path / "b") is content_of(path / "below a file") is None
    with pytest.raises(PixtellError, match="is there but can't be read"):
        content_of(tmp_path)


def test_nothing_is_made_anew_where_a_folder_vanished(tmp_path: Path) -> None:
    for write in (lambda: write_whole(tmp_path / "gone" / "a", [b""]), lambda: append(tmp_path / "a", b"")):
        with pytest.raises(PixtellError, match="No such file or directory"):
            write()
    assert list(tmp_path.iterdir()) == []


def test_the_temporary_file_has_a_name_of_its_own_that_fits(tmp_path: Path) -> None:
    long = tmp_path / ("n" * 255)
    temporary(long).write_bytes(b"of a killed run")
    assert temporary(long) != temporary(tmp_path / ("n" * 254))
    sweep(long)
    sweep(long)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PixtellError, match="can't be written"):
        make_folder(tmp_path / "file")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PixtellError, match="Permission denied"):
        make_folder(tmp_path / "a")


def test_names_that_fit(tmp_path: Path) -> None:
    assert fitting(tmp_path, "a" * 251, ".txt").name == "a" * 251 + ".txt"
    assert fitting(tmp_path / "not" / "yet", "a" * 251, ".txt").name == "a" * 251 + ".txt"
    cut = fitting(tmp_path / "not" / "yet", "é" * 130, ".txt")
    assert cut == fitting(tmp_path / "not" / "yet", "é" * 130, ".txt") != fitting(tmp_path, "é" * 131, ".txt")
    assert cut.name.startswith("ééé") and cut.suffix == ".txt" and len(os.fsencode(cut.name)) <= files.SHORT
