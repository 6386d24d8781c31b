"""The contact page in a browser: what it draws, what is edited there, and that nothing of that is lost."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browser import BROWSER, HOSTILE, Elements, digest
from browser import drawn as drawn_page

from pixtell.batch.edits import Edit, read_edits
from pixtell.batch.item import Held, Item
from pixtell.batch.row import Row
from pixtell.batch.thumbnails import side_for, thumbnail_of

from .contact_page import ROWS, finished, photo, written

pytestmark = pytest.mark.skipif(not BROWSER, reason="no Chromium here to draw the page")


def drawn(text: str, script: str, folder: Path) -> Elements:
    """The page's elements as a browser has them, after a script that its policy is made to allow."""
    script = f"{{{script}}}"  # a block: its names are its own
    text = text.replace("script-src ", f"script-src {digest(script)} ", 1)
    path = folder / "page.html"
    path.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    return drawn_page(path, "--virtual-time-budget=4000")


def told(found: Elements) -> Any:
    """What the script left."""
    [(at, _)] = found.all("pre", id="told")
    return json.loads(at["data-told"] or "")


TELL = """
  const told = document.createElement("pre");
  told.id = "told";
  told.dataset.told = JSON.stringify(found);
  document.body.append(told);
"""


def small(number: int) -> bytes:
    return photo((number % 256, number // 256 * 99, 0), (8, 8), "PNG")


def digest_of(number: int) -> str:
    return hashlib.sha256(small(number)).hexdigest()


@pytest.fixture(scope="module")
def three_hundred(tmp_path_factory: pytest.TempPathFactory) -> str:
    rows = [*ROWS, finished(Row(HOSTILE, text=HOSTILE, mean_logprob=-9.0))]
    rows += [finished(Row(f"more/{n}.jpg", text=f"caption {n}", mean_logprob=-n / 300), small(n)) for n in range(293)]
    return written(tmp_path_factory.mktemp("page"), rows)


def test_a_browser_draws_it(three_hundred: str, tmp_path: Path) -> None:
    found = drawn(three_hundred, "", tmp_path)
    assert [text for _, text in found.all("h1")] == ["photos"] and len(list(found.all("script"))) == 6
    assert [text for _, text in found.all("output", id="count")] == ["300 inputs"]
    assert [text for _, text in found.all("p", id="lead")] == [
        "300 inputs · 298 ok · 1 skipped · 1 error · 1 to review"
    ]
    cards = [at for at, _ in found.all("article")]
    assert 24 <= len(cards) < 150 and cards[0]["aria-setsize"] == "300"
    blocks = [at for at, _ in found.all("div", role="presentation")]
    assert len(blocks) == 13 and "height" in (blocks[-1]["style"] or ""), "far cards are not drawn yet"
    labels = [at["aria-label"] for at, _ in found.all("textarea")]
    assert labels[:2] == ["Caption of a/b.jpg", "Caption of c.png"] and f"Caption of {HOSTILE}" in labels
    shown = [at["src"] for at, _ in found.all("img")]
    assert len(shown) == len(cards) - 3, "what failed has none, nor the clip and the hostile one"
    assert all((src or "").startswith("data:image/webp;base64,UklGR") for src in shown)
    texts = [text for tag in ("b", "p", "button", "dd", "dt", "span") for _, text in found.all(tag)]
    for text in ("broken", "has a caption already", "a tree", "87.5 %", "score −0.25", "same as b.jpg", "review",
                 "0:00 – 1:05.5", "1:05.5 – 1:10", "Accept"):  # fmt: skip
        assert text in texts, text


EDITING = """
  const type = (name, text) => {
    const field = document.querySelector(`[data-place="${places.get(name)}"] textarea`);
    field.focus();
    field.value = text;
    field.dispatchEvent(new Event("input"));
    return field;
  };
  const press = (field, key, more) =>
    field.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, ...more }));
  const find = (name, text) => [...document.querySelectorAll(`[data-place="${places.get(name)}"] button`)]
    .find((button) => button.textContent === text);
"""


def test_what_is_edited_there_is_what_is_saved(three_hundred: str, tmp_path: Path) -> None:
    script = (
        EDITING
        + """
  const found = {};
  press(type("more/0.jpg", "  by hand: \\u00e9 \\ud83d\\ude42 <b> "), "Enter");
  found.next = document.activeElement.getAttribute("aria-label");
  type("more/1.jpg", "undone");
  find("more/1.jpg", "Undo").click();
  press(type("more/2.jpg", "thought better of"), "Escape");
  find("f.jpg", "Accept").click();
  find("a/b.jpg", "boats").click();
  press(type("c.png", "x"), "1", { code: "Digit1", altKey: true });
  type("more/3.jpg", "").blur();
  find("more/4.jpg", "Set aside").click();
  type("more/5.jpg", "kept").blur();
  type("more/5.jpg", "caption 5").blur();
  found.before = editsText();
  type("f.jpg", "two ships");
  find("f.jpg", "Also for 1 duplicate").click();
  found.text = editsText();
  found.count = byId("save").textContent;
  found.kept = keep() && JSON.parse(localStorage.getItem(KEY));
  const leaving = new Event("beforeunload", { cancelable: true });
  window.dispatchEvent(leaving);
  found.warned = leaving.defaultPrevented;
"""
        + TELL
    )
    found = told(drawn(three_hundred, script, tmp_path))
    assert found["next"] == "Caption of more/1.jpg"
    digest = {one.row.name: one.row.sha256 for one in ROWS}
    path = tmp_path / "edits.jsonl"
    path.write_text(found["before"], encoding="utf-8")
    before = [
        Edit("a/b.jpg", "boats", "two boats", digest["a/b.jpg"]),
        Edit("f.jpg", "two boats", "two boats", digest["f.jpg"]),
        Edit("more/0.jpg", "by hand: é 🙂 <b>", "caption 0", digest_of(0)),
        Edit("more/3.jpg", "", "caption 3", digest_of(3)),
        Edit("more/4.jpg", "", "caption 4", digest_of(4)),
    ]
    assert read_edits(path) == before
    path.write_text(found["text"], encoding="utf-8")
    ships = {"a/b.jpg", "f.jpg"}
    assert read_edits(path) == [replace(e, text="two ships") if e.name in ships else e for e in before]
    assert found["count"] == "Save 5 edits" and found["warned"] is True
    assert len(found["kept"]["edits"]) == 5 and found["kept"]["saved"] is False


def test_edits_outlive_the_tab_and_end_when_they_are_in_the_files(three_hundred: str, tmp_path: Path) -> None:
    edit = EDITING + 'type("more/0.jpg", "mine"); type("more/1.jpg", "my own"); keep(); const found = 0;' + TELL
    look = (
        "const found = [editsText(), byId('notice').textContent, [...stale].map((place) => rows[place].name)];" + TELL
    )
    drawn(three_hundred, edit, tmp_path)
    text, notice, _ = told(drawn(three_hundred, look, tmp_path))
    assert (
        '"text":"mine","was":"caption 0"' in text
        and notice == "2 edits of before: kept here, and not in the files yet."
    )
    applied = three_hundred.replace('"text":"caption 0"', '"text":"mine"').replace(
        '"text":"caption 1"', '"text":"other"'
    )
    text, _, stale = told(drawn(applied, look, tmp_path))
    [line] = text.splitlines()
    assert json.loads(line) == {"name": "more/1.jpg", "text": "my own", "was": "other", "sha256": digest_of(1)}
    assert stale == ["more/1.jpg"], "and it is marked"


def test_what_is_searched_filtered_and_ordered(three_hundred: str, tmp_path: Path) -> None:
    script = (
        """
  const found = [];
  const look = (more) => {
    Object.assign(state, { query: "", show: "", order: "file" }, more);
    refresh();
    found.push([byId("count").textContent, order.slice(0, 3).map((place) => rows[place].name)]);
  };
  look({ query: "CAPTION 29" });
  look({ query: "boats b.jpg" });
  look({ show: "review" });
  look({ show: "error" });
  look({ show: "code broken" });
  look({ show: "same" });
  look({ order: "unsure" });
  look({ order: "sure" });
  look({ order: "status" });
  look({ order: "name" });
  look({ order: "short" });
  look({ query: "nowhere" });
"""
        + TELL
    )
    found = told(drawn(three_hundred, script, tmp_path))
    assert found == [
        ["6 of 300 inputs", ["more/29.jpg", "more/129.jpg", "more/229.jpg"]],
        ["1 of 300 inputs", ["a/b.jpg"]],
        ["1 of 300 inputs", ["f.jpg"]],
        ["1 of 300 inputs", ["d.jpg"]],
        ["1 of 300 inputs", ["d.jpg"]],
        ["2 of 300 inputs", ["a/b.jpg", "f.jpg"]],
        ["300 inputs", [HOSTILE, "f.jpg", "more/292.jpg"]],
        ["300 inputs", ["more/0.jpg", "more/1.jpg", "more/2.jpg"]],
        ["300 inputs", ["d.jpg", "e.jpg", "a/b.jpg"]],
        ["300 inputs", [HOSTILE, "a/b.jpg", "c.png"]],
        ["300 inputs", ["g.mp4", "c.png", "a/b.jpg"]],
        ["0 of 300 inputs", []],
    ]


def test_every_row_has_its_own_picture_however_many_there_are(three_hundred: str, tmp_path: Path) -> None:
    script = "const found = [0, 99, 150, 292].map((n) => thumbnail(rows[places.get(`more/${n}.jpg`)].picture));" + TELL
    found = told(drawn(three_hundred, script, tmp_path))
    for number, address in zip((0, 99, 150, 292), found, strict=True):
        item = Item("x", Held("x", small(number)), "x")
        kind, content = address.split(",")
        assert kind == "data:image/webp;base64" and base64.b64decode(content) == thumbnail_of(item, side_for(300))
