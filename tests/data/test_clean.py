"""Cleaning: every reason is counted with its examples, and the rest stays as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_data import jpeg, noise, png, write_tar

from pixtell.data.clean import REASONS, CleanOptions, CleanReport, clean_rows, told
from pixtell.data.dataset import open_dataset
from pixtell.data.row import Row
from pixtell.data.texts import TextRules, WordList
from pixtell.errors import ConfigError, InputError

GOOD = "a dog runs home"


def cleaned(
    folder: Path, rows: list[tuple[str, bytes, dict[str, Any]]], workers: int = 0, **options: Any
) -> tuple[list[Row], CleanReport]:
    files = [file for key, picture, said in rows for file in ((f"{key}.png", picture), (f"{key}.json", said))]
    dataset = open_dataset([write_tar(folder / "a.tar", files)])
    report = CleanReport()
    return list(clean_rows(dataset, CleanOptions(**options), report, workers, lambda done: None)), report


def picture(seed: int) -> bytes:
    return png(noise((60, 50), seed))


def test_texts_are_dropped_one_by_one(tmp_path: Path) -> None:
    said = {
        "captions": [GOOD, "<PERSON> on the beach", "a damn good dog", "dog", "A dog runs home .", "b " * 300],
        "qa": [
            {"question": "who is <NAME>?", "answers": ["a man"]},
            {"question": "what is it?", "answers": ["damn", "a dog"]},
            {"question": "why?", "answers": ["damn"]},
            {"question": "withheld?", "answers": []},
        ],
        "label": "damn",
    }
    rules = TextRules(WordList.of(["damn"]))
    [row], report = cleaned(tmp_path, [("1", picture(1), said)], texts=rules)
    assert row.captions == (GOOD,)
    assert [(question.text, question.answers) for question in row.questions] == [
        ("what is it?", ("a dog",)),
        ("withheld?", ()),
    ]
    assert row.label == ""
    assert report.counts == {"person": 2, "words": 3, "short": 1, "repeated": 1, "long": 1}
    assert (report.texts, report.texts_left, report.rows, report.rows_left) == (11, 3, 1, 1)
    assert [one.what for one in report.examples["words"]] == ["a damn good dog", "why? damn", "damn"]


@pytest.mark.parametrize("workers", [0, 2])
def test_pictures_are_dropped(tmp_path: Path, workers: int) -> None:
    like = jpeg(noise((60, 50), 1).resize((40, 33)), 70)
    flat = [png(noise((9, 9), 0).point(lambda _, level=level: level)) for level in (100, 101)]
    rows = [
        ("first", picture(1)),
        ("same", picture(1)),
        ("alike", like),
        ("cut", picture(2)[:70]),
        ("other", picture(3)),
        ("flat", flat[0]),
        ("another flat", flat[1]),
        ("flat again", flat[0]),
    ]
    left, report = cleaned(tmp_path, [(key, content, {"captions": [GOOD]}) for key, content in rows], workers)
    assert [row.id for row in left] == ["first", "other", "flat", "another flat"]
    found = {reason: [(one.row, one.what) for one in examples] for reason, examples in report.examples.items()}
    assert found["same"] == [("same", "first"), ("flat again", "flat")] and found["alike"] == [("alike", "first")]
    assert found["broken"][0][0] == "cut" and found["broken"][0][1].startswith("cut: the picture is cut off")
    exact, _ = cleaned(tmp_path, [("1", picture(1), {"captions": [GOOD]}), ("2", like, {"captions": [GOOD]})], near=0)
    assert len(exact) == 2 or like == picture(1)


def test_a_row_of_which_nothing_is_left_is_not_there_for_others(tmp_path: Path) -> None:
    """The first of two equal pictures goes for its text, so the second is not its duplicate."""
    rows = [("1", picture(1), {"captions": ["<PERSON> waits here"]}), ("2", picture(1), {"captions": [GOOD]})]
    left, report = cleaned(tmp_path, rows)
    assert [row.id for row in left] == ["2"]
    assert report.counts == {"person": 1, "bare": 1} and report.examples["bare"][0].what == "<PERSON> waits here"


def test_a_caption_of_many_pictures(tmp_path: Path) -> None:
    rows = [(str(n), picture(n), {"captions": ["Buy it now online !"] + [GOOD] * (n == 4)}) for n in range(5)]
    left, report = cleaned(tmp_path, rows, same_text=2)
    assert [(row.id, len(row.captions)) for row in left] == [("0", 1), ("1", 1), ("4", 1)]
    assert report.counts == {"common": 3, "bare": 2}
    assert left[-1].captions == (GOOD,)


def test_texts_alone(tmp_path: Path) -> None:
    rows = [
        (key, picture(1)[:60], {"captions": [text]}) for key, text in (("1", GOOD), ("2", "dog"), ("3", "a cat sits"))
    ]
    left, report = cleaned(tmp_path, rows, pictures=False)
    assert [row.id for row in left] == ["1", "3"] and report.counts == {"short": 1, "bare": 1}


def test_pictures_that_are_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('{"images": [{"id": 1}], "annotations": [{"image_id": 1, "caption": "a dog runs"}]}')
    with pytest.raises(InputError, match="nothing is said of where its pictures lie"):
        list(clean_rows(open_dataset([file]), CleanOptions(), CleanReport(), 0, lambda done: None))


def test_the_report_for_people(tmp_path: Path) -> None:
    rows = [(str(n), picture(1 if n else 0), {"captions": [GOOD, f"{n} x"]}) for n in range(7)]
    _, report = cleaned(tmp_path, rows)
    assert told(report).splitlines() == [
        "2 of 7 pictures and 2 of 14 texts are left",
        "",
        "captions that are too short: 7",
        *(f"  {n}: {n} x" for n in range(5)),
        "",
        "pictures that are there already: 5",
        *(f"  {n}: 1" for n in range(2, 7)),
    ]
    assert set(report.counts) <= set(REASONS)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"near": 40}, r"near must be in 0\.\.32"),
        ({"same_text": 0}, "same_text"),
        ({"texts": TextRules(min_words=9, max_words=2)}, "min_words 9"),
    ],
)
def test_settings_that_can_not_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        CleanOptions(**options)
