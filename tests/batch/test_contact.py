"""The contact page: every input is in it, nothing breaks out of it, and pictures are decoded once."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest
from browser import HALF, HOSTILE, Elements, assert_closed, embedded
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from pixtell.batch.contact import CHUNK, Contact, Sheet, page
from pixtell.batch.item import Item
from pixtell.batch.row import Row, Window
from pixtell.batch.thumbnails import SIDES, Thumbnails, thumbnail_of
from pixtell.errors import ConfigError, PixtellError

from .contact_page import ROWS, finished, photo, written


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


@settings(max_examples=40)
@example(HOSTILE)
@example(HALF)
@given(st.text())
def test_no_text_breaks_out(text: str) -> None:
    row = Row(text, text=text, alternatives=(text,), answers=((text, text),), labels=((text, 0.5),), message=text,
              windows=(Window(0, 1, text),), same_as=text, code=text)  # fmt: skip
    sheet = Sheet(text, "0", {text: text}, [row.content()])
    made, plain = ("".join(page(one, [b"1"])) for one in (sheet, Sheet("photos", "0", {}, [])))
    assert Elements(made).tags() == Elements(plain).tags()
    assert embedded(made) == json.loads(json.dumps({**vars(sheet), "chunk": CHUNK}))


def test_only_its_own_script_and_nothing_from_outside(tmp_path: Path) -> None:
    text = written(tmp_path, ROWS, title=HOSTILE)
    assert_closed(text)
    scripts = [attributes.get("type") for attributes, _ in Elements(text).all("script")]
    assert scripts == ["application/json", "text/plain", None]


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


def test_of_equal_inputs_the_first_is_decoded(tmp_path: Path) -> None:
    made: list[str] = []

    def make(item: Item, side: int) -> bytes:
        made.append(item.name)
        return thumbnail_of(item, side)

    contact = Contact(str(tmp_path / "contact.html"), Thumbnails(tmp_path / "thumbs"), make=make)
    contact.finish(
        [finished(Row(name, text="x"), photo(color)) for name, color in zip("abc", ("red", "navy", "red"), strict=True)]
    )
    assert sorted(made) == ["a", "b"], "in threads: in any order"


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


def test_whoever_waits_is_told_and_can_end_it(tmp_path: Path) -> None:
    ticks: list[tuple[int, int]] = []

    def tick(done: int, total: int) -> None:
        ticks.append((done, total))
        if len(ticks) == 1:
            raise KeyboardInterrupt

    for number in range(2):
        contact = Contact(str(tmp_path / "page.html"), Thumbnails(tmp_path / "thumbs"), tick=tick)
        contact.start([])
        if number == 0:
            with pytest.raises(KeyboardInterrupt):
                contact.finish(ROWS)
            assert not (tmp_path / "page.html").exists()
        else:
            contact.finish(ROWS)
    (total,) = {total for _, total in ticks}
    assert [done for done, _ in ticks] == [0, 0] and total > 1 and (tmp_path / "page.html").exists()
