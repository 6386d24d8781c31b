"""TextVQA and TextCaps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pixtell.data.dataset import open_dataset

from .made import captions, pictures, problems, questions, touch, write


def datum(name: int, image: str, **more: Any) -> dict[str, Any]:
    return {"question": f"what brand {name}?", "question_id": name, "image_id": image, "set_name": "val", **more}


def test_questions_of_textvqa(tmp_path: Path) -> None:
    answers = ["nokia"] * 9 + ["unanswerable"]
    data = [datum(1, "003a8ae2ef43b901", answers=answers), datum(2, "003a8ae2ef43b901", answers=answers), datum(3, "b")]
    file = write(tmp_path / "TextVQA_0.5.1_val.json", {"dataset_name": "textvqa", "data": [*data, {"question": "x"}]})
    media = touch(tmp_path / "train_val_images", "train_images/003a8ae2ef43b901.jpg", "train_images/b.jpg")
    found = open_dataset([file], media=media)
    assert questions(found) == [
        ("003a8ae2ef43b901", "1", "what brand 1?", tuple(answers)),
        ("003a8ae2ef43b901", "2", "what brand 2?", tuple(answers)),
        ("b", "3", "what brand 3?", ()),
    ]
    assert pictures(found, media)["b"] == "train_images/b.jpg"
    assert problems(found, tmp_path) == [("broken", "TextVQA_0.5.1_val.json: datum 4 has no `image_id`")]


def test_captions_of_textcaps(tmp_path: Path) -> None:
    every = ["a phone", "a nokia"]
    data = [datum(n, "a", question="", caption_str=text, reference_strs=every) for n, text in enumerate(every)]
    found = open_dataset([write(tmp_path / "TextCaps_0.1_val.json", {"data": data})], split="val")
    assert captions(found) == {"a": ("a phone", "a nokia")} and not questions(found)
    test = open_dataset([write(tmp_path / "test.json", {"data": [datum(1, "a", question="")]})])
    assert captions(test) == {"a": ()}
