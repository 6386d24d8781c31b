"""Tars and zips: members in place, damage told, names that lead nowhere."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from pixtell.batch import archives
from pixtell.batch.archives import list_tar, list_zip
from pixtell.batch.found import Found, PassedOver
from pixtell.batch.item import Item
from pixtell.batch.row import Row
from pixtell.errors import InputError
from tests.tiny_data import write_tar

JPEG = b"\xff\xd8\xff" + bytes(range(200))
MEMBERS = [
    ("a/2.jpg", JPEG + b"2"),
    ("./10.JPG", JPEG + b"10"),
    ("a/2.json", b"{}"),
    ("a/blob", JPEG),
    ("a/note", b"hi"),
]


def items(found: list[Found]) -> dict[str, bytes]:
    return {one.name: one.read() for one in found if isinstance(one, Item)}


def write_zip(path: Path, members: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def test_members_of_tars_and_zips_in_their_order(tmp_path: Path) -> None:
    tar, packed = write_tar(tmp_path / "s.tar", MEMBERS), write_zip(tmp_path / "s.zip", MEMBERS)
    stored = write_zip(tmp_path / "t.zip", MEMBERS, zipfile.ZIP_STORED)
    for found in (list_tar(str(tar), "s", "r"), list_zip(str(packed), "s", "r"), list_zip(str(stored), "s", "r")):
        listed = list(found)
        assert items(listed) == {"s/a/2.jpg": JPEG + b"2", "s/10.JPG": JPEG + b"10", "s/a/blob": JPEG}
        assert list(items(listed)) == ["s/a/2.jpg", "s/10.JPG", "s/a/blob"]
        assert [one for one in listed if isinstance(one, PassedOver)] == [PassedOver(".json"), PassedOver("")]
        first = listed[0]
        assert isinstance(first, Item) and first.relative == "r/a/2.jpg" and first.folder is None
        assert first.stamp()[0] > 0


def test_names_that_would_lead_out_are_only_names(tmp_path: Path) -> None:
    members = [("../../x.jpg", JPEG), ("/abs.jpg", JPEG), ("..jpg", JPEG)]
    tar, packed = write_tar(tmp_path / "s.tar", members[:2]), write_zip(tmp_path / "s.zip", members[:2])
    for found in (list_tar(str(tar), "s", "s"), list_zip(str(packed), "s", "s")):
        one, two = [one for one in found if isinstance(one, Item)]
        assert (one.name, one.relative, two.relative) == ("s/../../x.jpg", "s/x.jpg", "s/abs.jpg")
        assert one.read() == JPEG


def test_the_later_of_two_members_counts_and_hidden_ones_do_not(tmp_path: Path) -> None:
    members = [("a.jpg", b"old"), ("b.jpg", b"b"), ("a.jpg", b"new"), ("__MACOSX/a.jpg", b"-"), (".x/a.jpg", b"-")]
    tar = write_tar(tmp_path / "s.tar", members)
    assert items(list(list_tar(str(tar), "s", "s"))) == {"s/a.jpg": b"new", "s/b.jpg": b"b"}
    with pytest.warns(UserWarning, match="Duplicate name"):
        packed = write_zip(tmp_path / "s.zip", members)
    assert items(list(list_zip(str(packed), "s", "s"))) == {"s/a.jpg": b"new", "s/b.jpg": b"b"}


def test_names_of_any_length_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    names = ["x" * 3000 + ".jpg", "日本\n.jpg", "\udcff.jpg"]
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(JPEG)
            tar.addfile(info, io.BytesIO(JPEG))
        folder = tarfile.TarInfo("folder.jpg")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    assert items(list(list_tar(str(path), "s", "s"))) == {f"s/{name}": JPEG for name in names}


@pytest.mark.parametrize("cut", [1024 + 100, 1024 + 512 + 30])
def test_a_tar_that_breaks_off_gives_what_is_before_the_break(tmp_path: Path, cut: int) -> None:
    path = write_tar(tmp_path / "s.tar", [(f"{n}.jpg", JPEG) for n in range(3)])
    path.write_bytes(path.read_bytes()[:cut])
    found: list[Found] = []
    with pytest.raises(InputError, match=r"^s: not a readable tar beyond its first") as caught:
        for one in list_tar(str(path), "s", "s"):
            found.append(one)
    assert caught.value.code == "broken"
    assert isinstance(found[0], Item) and found[0].read() == JPEG


def test_what_is_no_tar_or_zip(tmp_path: Path) -> None:
    text, empty = tmp_path / "text", tmp_path / "empty"
    text.write_text("nothing of the kind " * 100)
    empty.write_bytes(b"")
    for path in (text, empty):
        for reader in (list_tar, list_zip):
            with pytest.raises(InputError, match=r"^s: not a readable") as caught:
                list(reader(str(path), "s", "s"))
            assert caught.value.code == "broken"


def test_a_damaged_header_is_not_the_end(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "s.tar", [("1.jpg", JPEG), ("2.jpg", JPEG)])
    content = bytearray(path.read_bytes())
    content[1024 : 1024 + 200] = b"\xff" * 200
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"beyond its first 1 members \(no member's header at byte 1,024\)"):
        list(list_tar(str(path), "s", "s"))


def test_a_tar_cut_off_after_it_was_listed(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "s.tar", [("1.jpg", JPEG)])
    one = next(list_tar(str(path), "s", "s"))
    path.write_bytes(path.read_bytes()[:600])
    assert isinstance(one, Item)
    with pytest.raises(InputError, match=r"^s/1\.jpg: ") as caught:
        one.read()
    assert caught.value.code == "truncated"


def read_code(one: Found) -> str:
    assert isinstance(one, Item)
    with pytest.raises(InputError) as caught:
        one.read()
    assert str(caught.value).startswith(one.name)
    return caught.value.code


def test_a_bomb_is_refused_by_the_size_it_says_or_hides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_zip(tmp_path / "s.zip", [("b.jpg", bytes(3_000_000))])
    (one,) = list_zip(str(path), "s", "s")
    monkeypatch.setattr(archives, "MEMBER_LIMIT", 2_999_999)
    assert read_code(one) == "too_large"
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\x01\x02") + 24  # the directory's word for the unpacked size (APPNOTE.TXT 4.3.12)
    content[place : place + 4] = struct.pack("<I", 10)
    path.write_bytes(content)
    (liar,) = list_zip(str(path), "s", "s")
    assert read_code(liar) == "broken"


def test_damaged_members_of_a_zip_are_told_one_by_one(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "s.zip", [("1.jpg", JPEG), ("2.jpg", JPEG), ("3.jpg", JPEG)], zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[content.index(JPEG) + 20] ^= 1
    second = content.index(b"PK\x03\x04", 10)
    content[second : second + 4] = b"junk"
    path.write_bytes(content)
    one, two, three = list_zip(str(path), "s", "s")
    assert (read_code(one), read_code(two)) == ("broken", "broken")
    assert isinstance(three, Item) and three.read() == JPEG
    path.unlink()
    assert read_code(three) == "missing"


def test_locked_and_otherwise_packed_members_are_problems(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "s.zip", [("1.jpg", JPEG)], zipfile.ZIP_BZIP2)
    (row,) = list_zip(str(path), "s", "s")
    assert isinstance(row, Row) and row.code == "unsupported" and "method 12" in row.message
    content = bytearray(write_zip(tmp_path / "l.zip", [("1.jpg", JPEG)]).read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the directory's flags
    (tmp_path / "l.zip").write_bytes(content)
    (row,) = list_zip(str(tmp_path / "l.zip"), "s", "s")
    assert isinstance(row, Row) and "encrypted" in row.message and row.name == "s/1.jpg"
