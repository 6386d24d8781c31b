"""The report page: it holds everything, nothing breaks out of it, and a browser draws it."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from browser import BROWSER, HALF, HOSTILE, Elements, assert_closed, drawn, embedded
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

PICTURE = "data:image/jpeg;base64,/9j/4AAQ"

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


def test_the_page_holds_everything() -> None:
    content = embedded(page(REPORT))
    assert content.pop("pictures") == []
    for item in content["items"]:
        assert item.pop("picture") is None
    expected = json.loads(json.dumps(asdict(REPORT)))
    for item in expected["items"]:
        del item["picture"]
    assert content == expected


@settings(max_examples=40)
@example(HOSTILE)
@example(HALF)
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
    assert Elements(made).tags() == Elements(plain).tags()
    content = embedded(made)
    [item] = content["items"]
    assert [content["title"], content["problems"], content["settings"]] == [text, [text], [[text, text]]]
    assert [item["id"], item["text"], item["references"], item["question"], item["group"]] == [
        text, text, [text], text, text
    ]  # fmt: skip


def test_only_its_own_script_and_nothing_from_outside() -> None:
    text = page(replace(REPORT, title=HOSTILE))
    assert_closed(text)
    assert [attributes for attributes, _ in Elements(text).all("script")] == [
        {"type": "application/json", "id": "data"},
        {},
    ]


def test_what_is_partial_says_so_first() -> None:
    partial = page(replace(REPORT, complete=False))
    assert [title for _, title in Elements(partial).all("title")] == ["PARTIAL git-base-coco on val"]
    assert embedded(partial)["complete"] is False
    assert [title for _, title in Elements(page(REPORT)).all("title")] == ["git-base-coco on val"]


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


def test_a_thumbnail_is_a_jpeg_in_an_address() -> None:
    kind, content = thumbnail(Image.new("RGB", (640, 480))).split(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as found:
        assert (found.format, found.size) == ("JPEG", (THUMBNAIL, THUMBNAIL * 3 // 4))


@pytest.mark.skipif(not BROWSER, reason="no Chromium here to draw the page")
def test_a_browser_draws_it(tmp_path: Path) -> None:
    hostile = Judged("last", HOSTILE, ("مرحبا",), (9.0, 0.5), picture=thumbnail(Image.new("RGB", (300, 200), "navy")))
    problems = ("PARTIAL: 31 of 40 items with references were scored", f"9 unpredicted: {'x: has no prediction; ' * 9}")
    report = replace(REPORT, complete=False, problems=problems, items=(*REPORT.items, hostile))
    write_report(report, tmp_path / "report.html")
    found = drawn(tmp_path / "report.html")
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
