"""JSON lines: whose id it is, what is joined, where paths lead, and what one bad line costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixtell.data.dataset import open_dataset

from .made import captions, lines, pictures, problems, questions, refused, touch, write


def test_lines_about_one_picture_are_joined(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "sub/b.png")
    file = write(
        tmp_path / "x.jsonl",
        lines(
            {"image": "a.jpg", "caption": "one"},
            {"image": "sub/b.png", "captions": ["other"], "id": 7},
            {"image": "./a.jpg", "caption": "two", "captions": None},
        ),
    )
    found = open_dataset([file])
    assert captions(found) == {"a": ("one", "two"), "7": ("other",)}
    assert pictures(found, tmp_path) == {"a": "a.jpg", "7": "sub/b.png"}
    assert found.name == "x" and not found.problems


def test_ids_of_questions(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    file = write(
        tmp_path / "x.jsonl",
        lines(
            {"image": "a.jpg", "question": "what?", "answer": "soft_toy", "id": 11},
            {"image": "a.jpg", "question": "who?", "answers": ["x", "y", ""], "question_id": "q", "id": 12},
            {"image": "a.jpg", "question": "how many?", "answer": 3},
            {"id": "p", "image": "b.jpg", "qa": [{"question": "why?"}, {"question": "when?", "answer": ""}]},
            {"id": "texts only", "question": "where?", "answers": [{"answer": "here"}], "answer_type": "other"},
        ),
    )
    found = open_dataset([file])
    assert questions(found) == [
        ("a", "11", "what?", ("soft_toy",)),
        ("a", "q", "who?", ("x", "y", "")),
        ("a", "a#2", "how many?", ("3",)),
        ("p", "p#0", "why?", ()),
        ("p", "p#1", "when?", ()),
        ("texts only", "texts only#0", "where?", ("here",)),
    ]
    assert found.rows[2].questions[0].answer_type == "other"


def test_labels_words_and_clips(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.jpg", "frames/0.jpg")
    file = write(
        tmp_path / "x.jsonl",
        lines({"video": "a.mp4", "label": 3}, {"media": "frames", "label": "run"}, {"path": "b.jpg", "word": "STOP"}),
    )
    found = open_dataset([file])
    assert [(row.id, row.label) for row in found.rows] == [("a", "3"), ("frames", "run"), ("b", "STOP")]
    assert [row.media and row.media.is_folder for row in found.rows] == [False, True, False]


def test_bad_lines_cost_only_themselves(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.png")
    file = write(
        tmp_path / "x.jsonl",
        lines(
            {"image": "a.jpg", "caption": "one"},
            '{"image": "a.jpg", "captio',
            [1],
            {"caption": "of what?"},
            {"image": "a.jpg", "caption": True},
            {"image": "a.jpg", "caption": " "},
            {"image": "a.png", "caption": "another"},
            {"image": "none.jpg", "caption": "gone"},
            {"image": "a.jpg", "qa": ["what?"]},
            {"image": "a.jpg", "question": "what?", "id": 1},
            {"image": "a.jpg", "question": "who?", "id": 1},
            {"id": "bare"},
        ),
    )
    found = open_dataset([file])
    assert captions(found) == {"a": ("one",), "none": ("gone",)}
    assert [row.id for row in found.rows if row.questions] == ["a"]
    assert problems(found, tmp_path) == [
        ("broken", "x.jsonl: line 2 is broken JSON (column 20: Unterminated string starting at)"),
        ("broken", "x.jsonl: line 3 is a list where an object belongs"),
        ("broken", "x.jsonl: line 4 has neither the path of a picture nor an id"),
        ("broken", "x.jsonl: line 5 has true or false in `caption` where a text belongs"),
        ("empty", "x.jsonl: line 6 has an empty caption"),
        ("duplicate", "x.jsonl: line 7: the id a is that of a.jpg too"),
        ("broken", "x.jsonl: line 9 has a text in `qa` where objects belong"),
        ("duplicate", "x.jsonl: line 11: the question id 1 is taken"),
        ("no_texts", "x.jsonl: line 12 has neither captions nor questions nor a label"),
        ("missing", "x.jsonl: line 8: none.jpg is not at none.jpg"),
    ]


def test_a_picture_that_is_not_there_fails_when_it_is_read(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    file = write(tmp_path / "x.jsonl", lines({"image": "a.jpg", "label": "x"}, {"image": "b.jpg", "label": "x"}))
    media = open_dataset([file]).rows[1].media
    assert media is not None
    with pytest.raises(Exception, match=r"b\.jpg: no such file"):
        media.read()


def test_paths_may_be_relative_to_the_folder_of_media(tmp_path: Path) -> None:
    touch(tmp_path / "pictures", "val/a.jpg", "b.jpg")
    touch(tmp_path, "c.jpg")
    file = write(
        tmp_path / "x.jsonl",
        lines(*({"image": name, "caption": "x"} for name in ("val/a.jpg", str(tmp_path / "pictures/b.jpg"), "c.jpg"))),
    )
    found = open_dataset([file], media=tmp_path / "pictures")
    assert list(pictures(found, tmp_path).values()) == ["pictures/val/a.jpg", "pictures/b.jpg", "c.jpg"]


def test_references_can_be_read_without_their_pictures(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", lines(*({"image": f"{n}.jpg", "caption": "x"} for n in range(3))))
    found = open_dataset([file])
    assert [row.media for row in found.rows] == [None] * 3 and not found.problems


def test_rows_with_ids_alone_are_looked_for_by_them(tmp_path: Path) -> None:
    touch(tmp_path / "clips", "v1.mp4")
    file = write(tmp_path / "x.jsonl", lines({"id": "v1", "caption": "x"}))
    assert open_dataset([file]).rows[0].media is None
    assert pictures(open_dataset([file], media=tmp_path / "clips"), tmp_path) == {"v1": "clips/v1.mp4"}


def test_lists_and_several_files(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    rows = [{"image": "a.jpg", "caption": ["one", "two"]}, 5]
    first = write(tmp_path / "x.json", rows)
    second = write(tmp_path / "y.jsonl", "\ufeff" + lines({"image": "b.jpg", "label": "cat"}) + "\r\n\n")
    third = write(tmp_path / "z.jsonl", lines({"image": "a.jpg", "caption": "three"}))
    found = open_dataset([first, second, third])
    assert captions(found) == {"a": ("one", "two", "three"), "b": ()}
    assert problems(found, tmp_path) == [("broken", "x.json: entry 2 is a number where an object belongs")]
    assert found.name == "x ... z"


def test_splits_are_chosen(tmp_path: Path) -> None:
    rows = [{"id": n, "caption": "x", "split": split} for n, split in enumerate(["train", "val", "train"])]
    file = write(tmp_path / "x.jsonl", lines(*rows))
    assert list(captions(open_dataset([file], split="train"))) == ["0", "2"]
    assert refused([file]) == (
        "config",
        "x: holds the splits train (2 rows), val (1 rows): choose one with --split",
    )


def test_a_file_of_which_nothing_is_left(tmp_path: Path) -> None:
    code, message = refused([write(tmp_path / "x.jsonl", lines("{", {"width": 3}, "{"))])
    assert code == "broken"
    assert message.startswith("x.jsonl: line 1 is broken JSON (column 2: ") and message.endswith(
        "(and 2 more problems)"
    )


def test_a_first_line_longer_than_what_is_looked_at(tmp_path: Path) -> None:
    long = {"id": "a", "captions": ["word " * 30_000]}
    file = write(tmp_path / "x.jsonl", lines(long, {"id": "b", "caption": "x"}))
    assert list(captions(open_dataset([file]))) == ["a", "b"]
