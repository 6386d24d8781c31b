"""MSRVTT's captions."""

from __future__ import annotations

from pathlib import Path

from pixtell.data.dataset import open_dataset

from .made import captions, pictures, problems, refused, touch, write


def test_sentences_by_clip_and_split(tmp_path: Path) -> None:
    splits = ["train", "validate", "train"]
    content = {
        "videos": [{"video_id": f"video{n}", "split": split} for n, split in enumerate(splits)],
        "sentences": [{"video_id": f"video{n % 4}", "caption": f"clip {n}", "sen_id": n} for n in range(7)],
    }
    file = write(tmp_path / "train_val_videodatainfo.json", content)
    found = open_dataset([file], split="train")
    assert captions(found) == {"video0": ("clip 0", "clip 4"), "video2": ("clip 2", "clip 6")}
    assert problems(found, tmp_path) == [
        ("broken", "train_val_videodatainfo.json: sentence 4 is about video3, which is not among the videos")
    ]
    assert list(captions(open_dataset([file], split="val"))) == ["video1"]
    media = touch(tmp_path / "clips", "video0.mp4", "video2.webm")
    assert list(pictures(open_dataset([file], split="train", media=media), media).values()) == [
        "video0.mp4",
        "video2.webm",
    ]
    assert "choose one with --split" in refused([file])[1]


def test_vatex(tmp_path: Path) -> None:
    name = "Ptf_2VRj-V0_000122_000132"
    content = [
        {"videoID": name, "enCap": ["one", "two"], "chCap": ["x"]},
        {"videoID": "b", "enCap": [3]},
        {"enCap": []},
    ]
    media = touch(tmp_path / "clips", f"{name}.mp4", "b.mp4")
    found = open_dataset([write(tmp_path / "vatex.json", content)], media=media)
    assert captions(found) == {name: ("one", "two"), "b": ("3",)}
    assert pictures(found, tmp_path)[name] == f"clips/{name}.mp4"
    assert problems(found, tmp_path) == [("broken", "vatex.json: entry 3 has no `videoID`")]
