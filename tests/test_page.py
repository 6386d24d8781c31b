"""What all pages of one file have in common: no text breaks out of them, and they let nothing in."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from browser import BROWSER, HALF, HOSTILE, Elements, assert_closed, drawn, embedded
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from pixtell.page import Design, assemble, shrink

BODY = '<h1 id="title"></h1>\n<p id="error" hidden></p>\n<pre id="told"></pre>\n'
SCRIPT = """
const data = embedded();
byId("title").textContent = data.title;
"""


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> Design:
    folder = tmp_path_factory.mktemp("design")
    (folder / "body.html").write_text(BODY)
    (folder / "own.css").write_text("h1 { color: red; } /* $style */")
    (folder / "own.js").write_text(SCRIPT)
    return Design("pixtell test", folder, "body.html", ("own.css",), ("own.js",))


def page(design: Design, title: str = "a page", data: object = None, more: tuple[str, ...] = ()) -> str:
    return "".join(assemble(design, title, data, more))


@settings(max_examples=40)
@example(HOSTILE)
@example(HALF)
@given(st.text())
def test_no_text_breaks_out(design: Design, text: str) -> None:
    data = {text: [text, {"deeper": (text, 1, None, True)}]}
    made = page(design, text, data)
    assert made.encode("utf-8")  # it can be written
    assert Elements(made).tags() == Elements(page(design)).tags()
    assert embedded(made) == json.loads(json.dumps(data))
    if text.isprintable():
        assert [title for _, title in Elements(made).all("title")] == [text]


def test_what_is_not_a_number_is_null(design: Design) -> None:
    data = {"a": math.nan, "b": [math.inf, (-math.inf, 1.5)], "c": {"d": math.nan}}
    assert embedded(page(design, data=data)) == {"a": None, "b": [None, [None, 1.5]], "c": {"d": None}}


def test_it_lets_in_its_own_and_nothing_else(design: Design) -> None:
    text = page(design, HOSTILE, [HOSTILE])
    assert_closed(text)
    assert text.isascii()
    assert '<meta name="generator" content="pixtell test">' in text
    [(_, style)], [*_, (_, script)] = Elements(text).all("style"), Elements(text).all("script")
    assert style.index("--paper") < style.index("overflow-wrap") < style.index("h1 { color: red; } /* $style */")
    assert script.startswith('"use strict"') and script.endswith(SCRIPT)


def test_what_stands_behind_the_data_goes_in_as_it_is(design: Design) -> None:
    more = ('<i id="a">$title</i>\n', '<i id="b">$more</i>\n')
    text = page(design, "$more\n", ["$more\n"], more)
    assert [inside for _, inside in Elements(text).all("i")] == ["$title", "$more"]
    assert text.index('id="data"') < text.index("".join(more)) < text.index('"use strict"')


def test_it_comes_in_pieces(design: Design) -> None:
    def more() -> object:
        yield "<i></i>"
        raise KeyError("asked for")

    pieces = assemble(design, "a page", None, more())  # type: ignore[arg-type]
    assert next(pieces).startswith("<!doctype html>") and next(pieces) == "<i></i>"
    with pytest.raises(KeyError, match="asked for"):
        next(pieces)


@pytest.mark.parametrize(("size", "shown"), [((640, 480), (96, 72)), ((80, 50), (80, 50)), ((2, 4000), (1, 96))])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
@pytest.mark.parametrize(("form", "options"), [("JPEG", {"quality": 75, "optimize": 1}), ("WEBP", {"method": 2})])
def test_a_thumbnail_is_small_and_leaves_the_picture_as_it_was(
    form: str, options: dict[str, int], mode: str, size: tuple[int, int], shown: tuple[int, int]
) -> None:
    picture = Image.new(mode, size)
    with Image.open(io.BytesIO(shrink(picture, 96, form, **options))) as found:
        assert (found.format, found.mode, found.size) == (form, "RGB", shown)
    assert picture.size == size


def test_options_of_a_thumbnail_are_those_of_pillow() -> None:
    picture = Image.effect_noise((64, 64), 90)
    fine, coarse = (shrink(picture, 64, "JPEG", quality=quality) for quality in (95, 20))
    assert len(coarse) < len(fine) / 2


def script(design: Design, text: str) -> Design:
    """The design with one more script."""
    (design.folder / "more.js").write_text(text)
    return Design(design.generator, design.folder, design.body, design.styles, (*design.scripts, "more.js"))


@pytest.mark.skipif(not BROWSER, reason="no Chromium here to draw the page")
def test_elements_and_numbers_in_a_browser(design: Design, tmp_path: Path) -> None:
    look = """
const attributes = { id: "made", hidden: true, lang: null, dir: false, style: { "--x": "1" } };
byId("told").append(el("b", attributes, data.title, null, ""), el("svg", {}, el("path", { d: "M0 0" })));
const told = [byId("made").childNodes.length, byId("told").querySelector("path") instanceof SVGPathElement,
  fixed(-0.001, 2), fixed(-1.25, 1), fixed(3, 0), plural(1, "item"), plural(1234, "item")];
// Frames are drawn by hand: when a browser without a window draws one is its own affair.
let frames = [];
window.requestAnimationFrame = (action) => frames.push(action);
window.cancelAnimationFrame = (number) => { if (number) delete frames[number - 1]; };
const calls = [];
const soon = onceAFrame(() => calls.push(frames.length));
const drawFrame = () => { const due = frames; frames = []; due.forEach((action) => action()); };
soon(); soon(); soon();
calls.push("none yet");
drawFrame();
soon();
drawFrame();
drawFrame();
byId("told").dataset.calls = JSON.stringify(calls);
byId("told").dataset.told = JSON.stringify(told);
"""
    path = tmp_path / "page.html"
    path.write_text(page(script(design, look), HOSTILE, {"title": HOSTILE}), encoding="utf-8")
    found = drawn(path)
    [(at, _)] = found.all("pre", id="told")
    assert json.loads(at["data-told"] or "") == [1, True, "0.00", "\u22121.3", "3", "1 item", "1,234 items"]
    assert json.loads(at["data-calls"] or "") == ["none yet", 0, 0]
    [(made, text)] = found.all("b", id="made")
    assert made == {"id": "made", "hidden": "", "style": "--x: 1;"} and text == HOSTILE
    assert [text for _, text in found.all("h1")] == [HOSTILE]


@pytest.mark.skipif(not BROWSER, reason="no Chromium here to draw the page")
def test_what_goes_wrong_is_told(design: Design, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(page(script(design, "nowhere.at.all;"), data={"title": "x"}), encoding="utf-8")
    with pytest.raises(AssertionError, match=r"Something went wrong on this page: .*nowhere is not defined"):
        drawn(path)
