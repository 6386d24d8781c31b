"""A file is whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixtell.data.whole_file import whole_file
from pixtell.errors import PixtellError


def test_it_takes_its_place_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x"
    with whole_file(path) as file:
        file.write(b"one")
        assert not path.exists()
    assert path.read_bytes() == b"one" and list(path.parent.iterdir()) == [path]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"before")
    with pytest.raises(ValueError, match="ours"), whole_file(path) as file:
        file.write(b"half")
        raise ValueError("ours")
    assert path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]


def test_a_disk_that_refuses_is_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(PixtellError, match=r"x: can't be written \(No space left on device\)"),
        whole_file(tmp_path / "x"),
    ):
        raise OSError(28, "No space left on device")
