"""Thumbnails: small, of whatever can be shown, and kept whole from run to run."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from pixtell.batch.item import File, FrameFolder, Held, Item, Part
from pixtell.batch.row import Row
from pixtell.batch.thumbnails import LEAST, Thumbnails, shown_by, side_for, thumbnail_of
from pixtell.errors import ConfigError

from .contact_page import finished, photo

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "flickr8k"


def test_a_thumbnail_is_a_small_webp() -> None:
    content = thumbnail_of(Item("x", Held("x", photo(size=(640, 480))), "x"), 240)
    with Image.open(io.BytesIO(content)) as found:
        assert (found.format, found.mode, found.size) == ("WEBP", "RGB", (240, 180))


def test_it_is_known_by_what_it_shows(tmp_path: Path) -> None:
    one, same, other = (finished(Row(name, text="x"), photo(color)) for name, color in
                        (("a", "red"), ("b", "red"), ("c", "navy")))  # fmt: skip
    assert shown_by(one, 96) == shown_by(same, 96) == f"{one.row.sha256}-96"
    assert len({shown_by(one, 96), shown_by(one, 240), shown_by(other, 96)}) == 3
    skipped = [finished(Row(name, "skipped", code="exists"), photo()) for name in "ab"]
    assert shown_by(skipped[0], 96) != shown_by(skipped[1], 96), "it was not opened: its name stands for it"


def test_of_many_rows_thumbnails_are_smaller() -> None:
    assert [side_for(count) for count in (1, 3_000, 3_001, 15_000, 15_001)] == [240, 240, 144, 144, LEAST]


def test_whatever_cannot_be_shown_has_none(tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    (frames / "1.png").write_bytes(photo("red", kind="PNG"))
    folder = Item("frames", FrameFolder(str(frames), "frames"), "frames")
    assert thumbnail_of(folder, 96).startswith(b"RIFF")
    for place in (Held("x", b"text"), Held("x", b""), Held("x", photo()[:300]), File(str(tmp_path / "gone"), "x")):
        assert thumbnail_of(Item("x", place, "x"), 96) == b""


def test_a_store_cut_at_any_byte_holds_whole_pictures(tmp_path: Path) -> None:
    kept = [("one-240", b"1\n2 3\n"), ("two-240", b"4" * 9), ("three-240", b"")]
    whole = tmp_path / "whole"
    Thumbnails(whole).keep(kept[:1])
    Thumbnails(whole).keep(kept[1:])
    content = whole.read_bytes()
    ends = [content.index(key.encode()) for key, _ in kept[1:]] + [len(content)]
    for length in range(len(content) + 1):
        path = tmp_path / "cut"
        path.write_bytes(content[:length])
        store = Thumbnails(path)
        there = [pair for pair, end in zip(kept, ends, strict=True) if end <= length]
        assert [key for key, _ in kept if key in store] == [key for key, _ in there]
        store.keep(kept[len(there) :])
        for each in (store, Thumbnails(path)):
            assert list(each.all(key for key, _ in kept)) == [picture for _, picture in kept]
        assert path.read_bytes() == content


def test_a_file_that_is_no_store_is_never_touched(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("my notes\n")
    with pytest.raises(ConfigError, match="holds no thumbnails"):
        Thumbnails(path).keep([("a", b"b")])
    assert path.read_text() == "my notes\n"


@pytest.mark.skipif(not (SHARED / "val-000.tar").exists(), reason="the photos of shared/data are not here")
def test_a_page_of_ten_thousand_photos_is_below_sixty_megabytes(tmp_path: Path) -> None:
    sizes = []
    with tarfile.open(SHARED / "val-000.tar") as tar:
        for member in [one for one in tar if one.name.endswith(".jpg")][:100]:
            place = Part(str(SHARED / "val-000.tar"), member.name, member.offset_data, member.size)
            sizes.append(len(thumbnail_of(Item(member.name, place, member.name), side_for(10_000))))
    line = len(json.dumps(Row("photos/of/a/folder/000000.jpg", text="x" * 60, sha256="0" * 64).content())) + 100
    assert 10_000 * (sum(sizes) / len(sizes) * 4 / 3 + line) < 60e6
