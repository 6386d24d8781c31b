"""Where a picture's bytes lie: in a file, in a part of one, or in base64; and what is said when they can't be had."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from pixtell.data.row import Stored
from pixtell.errors import InputError


def test_a_file_and_a_part_of_one(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"0123456789")
    assert Stored(file, "a").read() == b"0123456789"
    assert Stored(file, "a", 3, 4).read() == b"3456"
    assert Stored(file, "a", 3).read() == b"3456789"
    assert Stored(file, "a", 3, 0).read() == b""


def test_base64(tmp_path: Path) -> None:
    file = tmp_path / "a.tsv"
    content = bytes(range(256))
    file.write_bytes(b"key\t" + b64encode(content) + b"\n")
    assert Stored(file, "key", 4, len(b64encode(content)), base64=True).read() == content
    with pytest.raises(InputError, match=r"^key: not base64 \(.*\) in .*a\.tsv") as caught:
        Stored(file, "key", 0, 10, base64=True).read()
    assert caught.value.code == "broken"


def test_what_can_not_be_had(tmp_path: Path) -> None:
    for path, code in ((tmp_path / "none.jpg", "missing"), (tmp_path, "unreadable")):
        with pytest.raises(InputError, match=r"^photo: ") as caught:
            Stored(path, "photo").read()
        assert caught.value.code == code and str(path) in str(caught.value)
    with pytest.raises(InputError, match=r"^photo: .*null"):
        Stored(Path("a\0b"), "photo").read()


def test_folders_of_frames(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert Stored(tmp_path, "clip").is_folder
    assert not Stored(tmp_path / "a.jpg", "a").is_folder and not Stored(tmp_path, "part", 0, 4).is_folder
