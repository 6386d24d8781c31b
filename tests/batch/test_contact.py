"""The contact page: every input is in it, nothing breaks out of it, and pictures are decoded once."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from pixtell.batch.contact import LEAST, SIDES, Contact, Thumbnails, page, side_for, thumbnail, thumbnail_of
from pixtell.batch.item import File, FrameFolder, Held, Item, Part
from pixtell.batch.row import Row, Window
from pixtell.errors import ConfigError, PixtellError

from .contact_page import HOSTILE, ROWS, Elements, finished, photo, written

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "flickr8k"


def embedded(text: str) -> Any:
    [(_, data)] = Elements(text).all("script", id="data")
    return json.loads(data)


def pictures(text: str) -> list[bytes]:
    chunks = [data for at, data in Elements(text).all("script", type="text/plain")]
    return [base64.b64decode(line) for chunk in chunks for line in chunk.split("\n")]


def test_every_row_is_in_it_with_its_picture(tmp_path: Path) -> None:
    text = written(tmp_path, ROWS, settings='{"beams": 4}')
    content = embedded(text)
    numbers = [row.pop("picture", None) for row in content["rows"]]
    assert content["rows"] == json.loads(json.dumps([one.row.content() for one in ROWS]))
    assert numbers == [0, 1, None, 2, 0, None], "a picture is there once; what can't be had is left out"
    assert (content["title"], content["settings"]) == ("photos", {"beams": 4})
    colors = []
    for picture in pictures(text):
        with Image.open(io.BytesIO(picture)) as found:
            assert (found.format, found.size) == ("WEBP", (SIDES[0][1], SIDES[0][1] * 3 // 4))
            colors.append(found.convert("RGB").getpixel((9, 9)))
    for found_color, wanted in zip(colors, [(0, 0, 128), (0, 128, 0), (255, 0, 0)], strict=True):
        assert isinstance(found_color, tuple)
        assert max(abs(a - b) for a, b in zip(found_color, wanted, strict=True)) < 8


@settings(max_examples=40, deadline=None)
@example(HOSTILE)
@example("half a character \ud800, \u2028, 😀, مرحبا")
@given(st.text())
def test_no_text_breaks_out(text: str) -> None:
    row = Row(text, text=text, alternatives=(text,), answers=((text, text),), labels=((text, 0.5),), message=text,
              windows=(Window(0, 1, text),), same_as=text, code=text)  # fmt: skip
    key = {"title": text, "key": "0", "settings": {text: text}, "chunk": 100, "rows": [row.content()]}
    made = b"".join(page(key, text, [b"1"])).decode()
    plain = b"".join(page({}, "photos", [b"1"])).decode()
    assert [(tag, at) for tag, at, _ in Elements(made).found] == [(tag, at) for tag, at, _ in Elements(plain).found]
    [(_, raw)] = Elements(made).all("script", id="data")
    assert raw.isascii() and not set("<>&") & set(raw)
    assert json.loads(raw) == json.loads(json.dumps(key))


def test_only_its_own_script_and_nothing_from_outside(tmp_path: Path) -> None:
    text = written(tmp_path, ROWS, title=HOSTILE)
    elements = Elements(text)
    scripts = list(elements.all("script"))
    assert [at.get("type") for at, _ in scripts] == ["application/json", "text/plain", None]
    [(meta, _)] = [one for one in elements.all("meta") if one[0].get("http-equiv") == "Content-Security-Policy"]
    policy = dict(part.strip().split(" ", 1) for part in (meta["content"] or "").split(";"))
    [(_, style)] = elements.all("style")
    for source, rule in ((scripts[-1][1], "script-src"), (style, "style-src")):
        assert policy[rule] == f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
    assert (policy["default-src"], policy["img-src"]) == ("'none'", "data:")
    assert not re.findall(r"https?://", text)
    assert "innerHTML" not in text and "insertAdjacent" not in text
    for _, attributes, _ in elements.found:
        assert not any(name.startswith("on") or name in ("style", "src") for name in attributes)
        assert (attributes.get("href") or "#").startswith(("#", "data:"))


def test_what_is_not_a_number_is_null(tmp_path: Path) -> None:
    [row] = embedded(written(tmp_path, [finished(Row("a", text="b", mean_logprob=-math.inf))]))["rows"]
    assert row["mean_logprob"] is None


def test_the_same_rows_give_the_same_page_and_decode_nothing(tmp_path: Path) -> None:
    first = written(tmp_path, ROWS)
    made: list[str] = []

    def make(item: Item, side: int) -> bytes:
        made.append(item.name)
        return thumbnail_of(item, side)

    again = Contact(str(tmp_path / "contact.html"), Thumbnails(tmp_path / "thumbs"), "photos", make=make)
    again.finish(ROWS)
    assert (tmp_path / "contact.html").read_text("utf-8") == first
    assert made == ["g.mp4"], "what could not be had is tried again"
    one = finished(Row("new.jpg", text="new"), photo("white"))
    again.finish([one, *ROWS])
    assert made == ["g.mp4", "new.jpg", "g.mp4"]


def test_its_being_there_passes_no_input_over(tmp_path: Path) -> None:
    contact = Contact(str(tmp_path / "contact.html"), Thumbnails(tmp_path / "thumbs"))
    contact.finish(ROWS)
    assert not contact.existing(ROWS[0].item) and contact.before(ROWS[0].item) is None
    assert contact.places(ROWS[0].item) == () and contact.files(9) == (tmp_path / "contact.html",)


def test_a_page_of_another_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "contact.html"
    contact = Contact(str(path), Thumbnails(tmp_path / "thumbs"))
    path.write_text("<!doctype html><p>mine")
    with pytest.raises(ConfigError, match="was not written by pixtell caption --html: name another file"):
        contact.start([])
    assert path.read_text() == "<!doctype html><p>mine"
    contact.finish(ROWS)
    contact.start([])


def test_the_page_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = written(tmp_path, ROWS)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(PixtellError, match="No space left"):
        written(tmp_path, ROWS[:2])
    assert (tmp_path / "contact.html").read_text("utf-8") == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["contact.html", "thumbs"]


# ---- thumbnails


@pytest.mark.parametrize(("size", "shown"), [((640, 480), (240, 180)), ((100, 50), (100, 50)), ((2, 4000), (1, 240))])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_a_thumbnail_is_small_and_leaves_the_picture_as_it_was(
    mode: str, size: tuple[int, int], shown: tuple[int, int]
) -> None:
    picture = Image.new(mode, size)
    with Image.open(io.BytesIO(thumbnail(picture, 240))) as found:
        assert (found.format, found.mode, found.size) == ("WEBP", "RGB", shown)
    assert picture.size == size


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


def test_killed_while_thumbnails_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixtell.batch.contact.TOGETHER", 2)
    rows = [finished(Row(f"{n}.jpg", text="x"), photo((n * 20, 0, 0))) for n in range(7)]
    expected = written(tmp_path, rows)
    made: list[str] = []

    def dying(item: Item, side: int) -> bytes:
        made.append(item.name)
        if len(made) > 5:
            raise KeyboardInterrupt
        return thumbnail_of(item, side)

    for name in ("contact.html", "thumbs"):
        (tmp_path / name).unlink()
    contact = Contact(str(tmp_path / "contact.html"), Thumbnails(tmp_path / "thumbs"), "photos", make=dying)
    with pytest.raises(KeyboardInterrupt):
        contact.finish(rows)
    kept = sum(f"{one.row.sha256}-240" in Thumbnails(tmp_path / "thumbs") for one in rows)
    assert kept == 4 and not (tmp_path / "contact.html").exists()
    assert written(tmp_path, rows) == expected


@pytest.mark.skipif(not (SHARED / "val-000.tar").exists(), reason="the photos of shared/data are not here")
def test_a_page_of_ten_thousand_photos_is_below_sixty_megabytes(tmp_path: Path) -> None:
    sizes = []
    with tarfile.open(SHARED / "val-000.tar") as tar:
        for member in [one for one in tar if one.name.endswith(".jpg")][:100]:
            place = Part(str(SHARED / "val-000.tar"), member.name, member.offset_data, member.size)
            sizes.append(len(thumbnail_of(Item(member.name, place, member.name), side_for(10_000))))
    line = len(json.dumps(Row("photos/of/a/folder/000000.jpg", text="x" * 60, sha256="0" * 64).content())) + 100
    assert 10_000 * (sum(sizes) / len(sizes) * 4 / 3 + line) < 60e6
