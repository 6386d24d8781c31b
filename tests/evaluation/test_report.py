"""The report page: it holds everything, nothing breaks out of it, and a browser draws it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from pixtell.errors import PixtellError
from pixtell.evaluation.report import (
    THUMBNAIL,
    CompareLine,
    GroupLine,
    Judged,
    Report,
    ScoreLine,
    page,
    thumbnail,
    write_report,
)

HOSTILE = "</script><script>document.title='broken'</script><!-- <img src=x onerror=alert(1)> $title ${x} & \"'"
PICTURE = "data:image/jpeg;base64,/9j/4AAQ"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NAMESPACE = "http://www.w3.org/2000/svg"  # a name, not an address

REPORT = Report(
    title="git-base-coco on val",
    task="caption",
    complete=True,
    problems=(),
    settings=(("model", f"git-base-coco, sha256 {'ab12' * 16}"), ("decoding", "beams 4")),
    scores=(
        ScoreLine("CIDEr", 1.3078, 1.2801, 1.3344, 30, 1.314, "COCO test"),
        ScoreLine("BLEU-4", 0.4, None, None, 30),
    ),
    groups=(GroupLine("yes/no", "answer type", "CIDEr", 0.8811, 0.8, 0.95, 12),),
    item_scores=("CIDEr", "BLEU-4"),
    # The place in the file is not the order of scores: the worst is item-7.
    items=tuple(
        Judged(f"item-{n}", f"text {n}", (f"one {n}", "two"), (((n + 23) % 30) / 10, 0.5), logprob=-n / 30)
        for n in range(30)
    ),
    comparison=(CompareLine("CIDEr", 1.3078, 1.2, -0.1078, -0.15, -0.05, 0.012),),
    compared_with="other.jsonl",
)


class Elements(HTMLParser):
    """Every element of a page with its attributes and the text it begins with, as a browser would find them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.inside = False  # the last one found
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), []))
        self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.found[-1][2].append(data)

    def all(self, tag: str, **wanted: str) -> Iterator[tuple[dict[str, str | None], str]]:
        for name, attributes, texts in self.found:
            if name == tag and wanted.items() <= attributes.items():
                yield attributes, "".join(texts)


def embedded(text: str) -> Any:
    [(_, data)] = Elements(text).all("script", id="data")
    return json.loads(data)


def test_the_page_holds_everything() -> None:
    content = embedded(page(REPORT))
    assert content.pop("pictures") == []
    for item in content["items"]:
        assert item.pop("picture") is None
    expected = json.loads(json.dumps(asdict(REPORT)))
    for item in expected["items"]:
        del item["picture"]
    assert content == expected


@settings(max_examples=40, deadline=None)
@example(HOSTILE)
@example("half a character \ud800, \u2028, 😀, مرحبا")
@given(st.text())
def test_no_text_breaks_out(text: str) -> None:
    hostile = replace(
        REPORT,
        title=text,
        task=text,
        problems=(text,),
        settings=((text, text),),
        groups=(GroupLine(text, text, text, 0.5, None, None, 1),),
        item_scores=(text,),
        items=(Judged(text, text, (text,), (0.5,), text, None, text),),
        compared_with=text,
    )
    made, plain = page(hostile), page(REPORT)
    assert made.encode("utf-8")  # it can be written
    assert [(tag, at) for tag, at, _ in Elements(made).found] == [(tag, at) for tag, at, _ in Elements(plain).found]
    [(_, raw)] = Elements(made).all("script", id="data")
    assert raw.isascii() and not set("<>&") & set(raw)
    content = json.loads(raw)
    [item] = content["items"]
    assert [content["title"], content["problems"], content["settings"]] == [text, [text], [[text, text]]]
    assert [item["id"], item["text"], item["references"], item["question"], item["group"]] == [
        text, text, [text], text, text
    ]  # fmt: skip


def test_only_its_own_script_and_nothing_from_outside() -> None:
    text = page(replace(REPORT, title=HOSTILE))
    elements = Elements(text)
    scripts = list(elements.all("script"))
    assert [attributes for attributes, _ in scripts] == [{"type": "application/json", "id": "data"}, {}]
    [(meta, _)] = [one for one in elements.all("meta") if one[0].get("http-equiv") == "Content-Security-Policy"]
    policy = dict(part.strip().split(" ", 1) for part in (meta["content"] or "").split(";"))
    [(_, style)] = elements.all("style")
    for source, rule in ((scripts[1][1], "script-src"), (style, "style-src")):
        assert policy[rule] == f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
    assert (policy["default-src"], policy["img-src"]) == ("'none'", "data:")
    assert set(re.findall(r"https?://[^\s\"']*", text)) == {NAMESPACE}
    for _, attributes, _ in elements.found:
        assert not any(name.startswith("on") or name in ("style", "src") for name in attributes)
        assert (attributes.get("href") or "#").startswith(("#", "data:"))


def test_what_is_partial_says_so_first() -> None:
    partial = page(replace(REPORT, complete=False))
    assert [title for _, title in Elements(partial).all("title")] == ["PARTIAL git-base-coco on val"]
    assert embedded(partial)["complete"] is False
    assert [title for _, title in Elements(page(REPORT)).all("title")] == ["git-base-coco on val"]


def test_what_is_not_a_number_is_null() -> None:
    nothing = (ScoreLine("CIDEr", math.nan, math.inf, None, 0),)
    [score] = embedded(page(replace(REPORT, scores=nothing)))["scores"]
    assert (score["value"], score["high"], score["low"]) == (None, None, None)


def test_a_picture_is_there_once_however_many_ask_about_it() -> None:
    items = tuple(replace(item, picture=PICTURE + "AB"[n % 2]) for n, item in enumerate(REPORT.items[:4]))
    text = page(replace(REPORT, items=(*items, REPORT.items[4])))
    content = embedded(text)
    assert content["pictures"] == [PICTURE + "A", PICTURE + "B"] and text.count(PICTURE) == 2
    assert [item["picture"] for item in content["items"]] == [0, 1, 0, 1, None]


def test_the_file_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "report.html"
    write_report(REPORT, path)
    assert path.read_text(encoding="utf-8") == page(REPORT)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(PixtellError, match="No space left"):
        write_report(replace(REPORT, title="another"), path)
    assert path.read_text(encoding="utf-8") == page(REPORT)
    assert [one.name for one in path.parent.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("size", "shown"),
    [((640, 480), (THUMBNAIL, THUMBNAIL * 3 // 4)), ((100, 50), (100, 50)), ((2, 4000), (1, THUMBNAIL))],
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_a_thumbnail_is_a_small_jpeg(mode: str, size: tuple[int, int], shown: tuple[int, int]) -> None:
    kind, content = thumbnail(Image.new(mode, size)).split(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as found:
        assert (found.format, found.mode, found.size) == ("JPEG", "RGB", shown)


def test_a_thumbnail_leaves_the_picture_as_it_was() -> None:
    picture = Image.new("RGB", (640, 480))
    thumbnail(picture)
    assert picture.size == (640, 480)


def drawn(path: Path, profile: Path) -> str:
    """The page's elements as a browser has them once it is loaded."""
    assert BROWSER
    quiet = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
    command = [BROWSER, "--headless", "--no-sandbox", *quiet, f"--user-data-dir={profile}", "--dump-dom", path.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=True, timeout=120).stdout


@pytest.mark.skipif(not BROWSER, reason="no Chromium here to draw the page")
def test_a_browser_draws_it(tmp_path: Path) -> None:
    hostile = Judged("last", HOSTILE, ("مرحبا",), (9.0, 0.5), picture=thumbnail(Image.new("RGB", (300, 200), "navy")))
    problems = ("PARTIAL: 31 of 40 items with references were scored", f"9 unpredicted: {'x: has no prediction; ' * 9}")
    report = replace(REPORT, complete=False, problems=problems, items=(*REPORT.items, hostile))
    write_report(report, tmp_path / "report.html")
    found = Elements(drawn(tmp_path / "report.html", tmp_path / "profile"))
    [(error, message)] = found.all("p", id="error")
    assert "hidden" in error, message
    assert [text for _, text in found.all("h1")] == [report.title]
    assert len(list(found.all("script"))) == 2
    cards = [at for at, _ in found.all("li") if (at.get("class") or "").startswith("card")]
    assert len(cards) == 24  # of 31
    ids = [text for _, text in found.all("code", dir="auto")]
    assert ids[0] == "item-7" and "last" not in ids  # the worst first
    assert [text for _, text in found.all("output", id="count")] == ["31 items, 24 shown"]
    assert len([at for at, _ in found.all("figure")]) == 3  # two scores and the log-probability
    sections = {at["id"]: "hidden" in at for at, _ in found.all("section")}
    assert not any(sections.values()), sections
    [(banner, _)] = [one for one in found.all("div", id="problems")]
    assert banner["class"] == "partial" and "hidden" not in banner
    told = [text for tag in ("b", "small", "td", "summary") for _, text in found.all(tag)]
    for text in ("130.78", "128.01 – 133.44", "131.40", "−10.78", "88.11", "0.0120", "9 unpredicted", "PARTIAL"):
        assert any(text in one for one in told), text
