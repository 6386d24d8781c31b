"""Items: small, picklable, and one printable line whatever their names hold."""

from __future__ import annotations

import base64
import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixtell.batch.fetch import Address
from pixtell.batch.item import File, FrameFolder, Held, Item, Part, printable, safe_relative
from pixtell.errors import InputError


def item(path: Path | str) -> Item:
    return Item(str(path), File(str(path), str(path)), "a.jpg", Path("."))


def test_a_file_is_read_and_stamped(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"photo")
    os.utime(path, ns=(5, 7_000_000_001))
    one = item(path)
    assert one.read() == b"photo" and one.stamp() == (5, 7_000_000_001) and one.frames is None


def test_a_part_is_a_stretch_of_a_file_and_may_be_base64(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_bytes(b"..photo.." + base64.b64encode(b"clip"))
    assert Part(str(path), "t/0", 2, 5).read() == b"photo"
    assert Part(str(path), "t/1", 9, 8, base64=True).read() == b"clip"
    with pytest.raises(InputError, match=r"^t/2: .* ends at byte 17, before byte 18") as caught:
        Part(str(path), "t/2", 13, 5).read()
    assert caught.value.code == "truncated"


def test_what_vanished_or_is_locked_is_told_by_name(tmp_path: Path) -> None:
    for read in (item(tmp_path / "none.jpg").read, item(tmp_path / "none.jpg").stamp):
        with pytest.raises(InputError, match=r"none\.jpg: no such file") as caught:
            read()
        assert caught.value.code == "missing"
    with pytest.raises(InputError) as caught:
        item(tmp_path).read()
    assert caught.value.code == "unreadable"


@pytest.mark.parametrize("name", ["a\nb.jpg", "a\x1b[2J.jpg", os.fsdecode(b"\xff\xfe.jpg"), "\u202egpj.exe"])
def test_messages_are_one_printable_line(name: str, tmp_path: Path) -> None:
    for read in (item(tmp_path / name).read, item(tmp_path / name).stamp):
        with pytest.raises(InputError) as caught:
            read()
        assert str(caught.value).isprintable()
        str(caught.value).encode()


def test_odd_names_are_read(tmp_path: Path) -> None:
    for name in ("a\nb.jpg", os.fsdecode(b"\xff\xfe.jpg"), "ü" * 120, " ", "-", "@x", "*"):
        path = tmp_path / name
        path.write_bytes(name.encode("utf-8", "surrogateescape"))
        one = pickle.loads(pickle.dumps(item(path)))
        assert one == item(path) and one.read() == name.encode("utf-8", "surrogateescape")


def test_all_places_are_picklable_and_small(tmp_path: Path) -> None:
    places = (File("a", "a"), Part("t", "t/0", 512, 9), Held("-", b"x"), FrameFolder("f", "f"), Address("http://a/b"))
    for place in places:
        one = Item("n", place, "n")
        assert pickle.loads(pickle.dumps(one)) == one
        assert not hasattr(one, "__dict__") and not hasattr(place, "__dict__")


def test_a_folder_of_frames_has_a_digest_of_names_and_contents(tmp_path: Path) -> None:
    folder = FrameFolder(str(tmp_path), "f")
    (tmp_path / "1.jpg").write_bytes(b"one")
    (tmp_path / "2.jpg").write_bytes(b"two")
    os.utime(tmp_path, ns=(0, 0))
    os.utime(tmp_path / "1.jpg", ns=(0, 8))
    os.utime(tmp_path / "2.jpg", ns=(0, 9))
    before, stamp = folder.digest(), folder.stamp()
    assert stamp == (6, 9)
    (tmp_path / ".hidden").write_bytes(b"x")
    assert folder.digest() == before
    (tmp_path / "2.jpg").write_bytes(b"twO")
    changed = folder.digest()
    (tmp_path / "2.jpg").rename(tmp_path / "3.jpg")
    assert len({before, changed, folder.digest()}) == 3 and folder.stamp() != stamp
    assert Item("f", folder, "f").frames == folder
    with pytest.raises(InputError, match="f: a folder of frames is opened by its path"):
        folder.read()


@given(st.text(alphabet=st.one_of(st.sampled_from("/.a\0"), st.characters()), max_size=400))
def test_a_relative_path_never_leaves_its_folder(name: str) -> None:
    found = safe_relative(name)
    inside = os.path.normpath(os.path.join("/out", found))
    assert inside.startswith("/out/") and "\0" not in found and not found.startswith("/")
    assert all(len(part.encode("utf-8", "surrogatepass")) <= 251 for part in found.split("/"))


def test_long_parts_stay_apart_and_keep_their_suffix() -> None:
    first, second = safe_relative("a/" + "x" * 300 + "1.jpg"), safe_relative("a/" + "x" * 300 + "2.jpg")
    assert first != second and first.startswith("a/xxx") and first.endswith(".jpg")
    assert safe_relative("../../etc/passwd") == "etc/passwd" and safe_relative("..") == "unnamed"


def test_printable() -> None:
    assert printable("é 日本") == "é 日本" and printable("a\nb\udcff") == "a?b?"
