"""VQAv2: questions and annotations, joined and named together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pixtell.data.dataset import open_dataset

from .made import pictures, problems, questions, refused, touch, write

ANSWERS = ["net"] * 6 + ["netting"] * 3 + [""]


def asked(name: int, image: int = 458752) -> dict[str, Any]:
    return {"image_id": image, "question": f"What is {name}?", "question_id": name}


def annotated(name: int) -> dict[str, Any]:
    answers = [{"answer": answer, "answer_confidence": "yes", "answer_id": n} for n, answer in enumerate(ANSWERS, 1)]
    return {
        "question_id": name,
        "image_id": 458752,
        "question_type": "what is",
        "answer_type": "other",
        "multiple_choice_answer": "net",
        "answers": answers,
    }


def files(folder: Path, ask: list[Any], answer: list[Any]) -> list[Path]:
    head = {"data_type": "mscoco", "data_subtype": "val2014"}
    return [
        write(folder / "annotations.json", {**head, "annotations": answer}),
        write(folder / "questions.json", {**head, "questions": ask, "task_type": "Open-Ended"}),
    ]


def test_questions_are_joined_with_their_answers(tmp_path: Path) -> None:
    both = files(tmp_path, [asked(1), asked(2, 7), asked(3)], [annotated(3), annotated(2), annotated(1)])
    media = touch(tmp_path / "coco", "val2014/COCO_val2014_000000458752.jpg", "val2014/COCO_val2014_000000000007.jpg")
    found = open_dataset(both, media=media)
    assert questions(found) == [
        ("458752", "1", "What is 1?", tuple(ANSWERS)),
        ("458752", "3", "What is 3?", tuple(ANSWERS)),
        ("7", "2", "What is 2?", tuple(ANSWERS)),
    ]
    one = found.rows[0].questions[0]
    assert (one.question_type, one.answer_type) == ("what is", "other")
    assert pictures(found, media) == {
        "458752": "val2014/COCO_val2014_000000458752.jpg",
        "7": "val2014/COCO_val2014_000000000007.jpg",
    }
    assert found.name == "annotations + questions" and not found.problems
    assert open_dataset(both[::-1]).rows[0].questions == found.rows[0].questions


def test_answers_may_be_withheld(tmp_path: Path) -> None:
    _, ask = files(tmp_path, [asked(1)], [])
    assert questions(open_dataset([ask])) == [("458752", "1", "What is 1?", ())]


def test_answers_alone_are_no_data_set(tmp_path: Path) -> None:
    answers, _ = files(tmp_path, [], [annotated(1)])
    assert refused([answers]) == (
        "config",
        "annotations.json: holds the answers of VQA: name the file of its questions too",
    )


def test_what_has_no_counterpart(tmp_path: Path) -> None:
    found = open_dataset(
        files(tmp_path, [asked(1), asked(1), asked(2), {"question_id": 4}], [annotated(1), annotated(1), annotated(3)])
    )
    assert [name for _, name, *_ in questions(found)] == ["1"]
    assert problems(found, tmp_path) == [
        ("duplicate", "annotations.json: annotation 2: the question 1 is annotated by annotations.json: annotation 1"),
        ("missing", "questions.json: question 2: the question 1 has no annotation"),
        ("missing", "questions.json: question 3: the question 2 has no annotation"),
        ("broken", "questions.json: question 4 has no `image_id`"),
        ("missing", "annotations.json: annotation 3: there is no question 3"),
    ]
