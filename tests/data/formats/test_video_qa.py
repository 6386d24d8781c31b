"""MSRVTT-QA and MSVD-QA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pixtell.data.dataset import open_dataset

from .made import pictures, problems, questions, touch, write


def asked(name: int, clip: int, question: str, answer: str = "couch") -> dict[str, Any]:
    return {"id": name, "video_id": clip, "category_id": 14, "question": question, "answer": answer}


def test_questions_about_clips(tmp_path: Path) -> None:
    values = [
        asked(158581, 6513, "what are three people sitting on?"),
        asked(158582, 6513, "Who is sitting?", "man"),
        asked(158583, 6514, "is it a couch?", "yes"),
    ]
    file = write(tmp_path / "val_qa.json", [*values, asked(158583, 6514, "again?"), {"video_id": 1}])
    media = touch(tmp_path / "TrainValVideo", "video6513.mp4", "video6514.mp4")
    found = open_dataset([file], media=media)
    assert questions(found) == [
        ("6513", "158581", "what are three people sitting on?", ("couch",)),
        ("6513", "158582", "Who is sitting?", ("man",)),
        ("6514", "158583", "is it a couch?", ("yes",)),
    ]
    assert [one.question_type for row in found.rows for one in row.questions] == ["what", "who", ""]
    assert pictures(found, media) == {"6513": "video6513.mp4", "6514": "video6514.mp4"}
    assert problems(found, tmp_path) == [
        ("duplicate", "val_qa.json: entry 4: the question id 158583 is taken"),
        ("broken", "val_qa.json: entry 5 has no `question`"),
    ]


def test_clips_of_msvd(tmp_path: Path) -> None:
    file = write(tmp_path / "test_qa.json", [asked(n, n, "what is it?") for n in (1, 2, 3)])
    media = touch(tmp_path / "clips", "vid1.avi", "vid2.mp4", "3.avi", "-4wsuPCjDBc_5_15.avi")
    assert list(pictures(open_dataset([file], media=media), media).values()) == ["vid1.avi", "vid2.mp4", "3.avi"]
    write(tmp_path / "youtube_mapping.txt", "-4wsuPCjDBc_5_15 vid1\nother_1_2 vid9\n")
    assert pictures(open_dataset([file], media=media), media)["1"] == "-4wsuPCjDBc_5_15.avi"
    write(tmp_path / "named.json", [{**asked(1, 1, "what?"), "video_id": "vid1"}])
    assert pictures(open_dataset([tmp_path / "named.json"], media=media), media) == {"vid1": "-4wsuPCjDBc_5_15.avi"}


def test_clips_by_name_and_folders_of_frames(tmp_path: Path) -> None:
    values = [{"id": 1, "video_id": "video7010", "question": "how many?", "answer": "2"}]
    file, media = write(tmp_path / "qa.json", values), touch(tmp_path / "frames", "video7010/0.jpg")
    found = open_dataset([file], media=media)
    assert found.rows[0].media and found.rows[0].media.is_folder and found.rows[0].id == "video7010"
