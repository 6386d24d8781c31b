"""COCO's captions and Karpathy's splits of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pixtell.data.dataset import open_dataset

from .made import captions, pictures, problems, refused, touch, write

NAMES = {391895: "COCO_val2014_000000391895.jpg", 522418: "COCO_val2014_000000522418.jpg"}
CAPTIONS: dict[str, Any] = {
    "info": {},
    "images": [{"id": number, "file_name": name} for number, name in NAMES.items()],
    "annotations": [
        {"id": 1, "image_id": 522418, "caption": "A woman cuts a cake."},
        {"id": 2, "image_id": 391895, "caption": "A man on a bicycle."},
        {"id": 3, "image_id": 391895, "caption": "A rider, and a bridge"},
    ],
}


def karpathy(split: str, number: int, **more: Any) -> dict[str, Any]:
    return {"imgid": number, "split": split, "filename": f"{number}.jpg", "sentences": [{"raw": f"{number} ."}], **more}


def test_captions_by_image(tmp_path: Path) -> None:
    file = write(tmp_path / "captions_val2014.json", CAPTIONS)
    found = open_dataset([file])
    assert captions(found) == {
        "391895": ("A man on a bicycle.", "A rider, and a bridge"),
        "522418": ("A woman cuts a cake.",),
    }
    assert [row.media for row in found.rows] == [None, None] and not found.problems
    touch(tmp_path / "coco", *(f"val2014/{name}" for name in NAMES.values()))
    assert pictures(open_dataset([file], media=tmp_path / "coco"), tmp_path / "coco") == {
        str(number): f"val2014/{name}" for number, name in NAMES.items()
    }


def test_pictures_without_captions_are_rows_to_describe(tmp_path: Path) -> None:
    found = open_dataset([write(tmp_path / "image_info_test2017.json", {"images": CAPTIONS["images"]})])
    assert captions(found) == {"391895": (), "522418": ()}


def test_what_is_wrong_in_captions(tmp_path: Path) -> None:
    annotations = [{"image_id": 5, "caption": "x"}, {"image_id": 391895}, *CAPTIONS["annotations"][1:]]
    images = [*CAPTIONS["images"], CAPTIONS["images"][0], {"file_name": "x.jpg"}]
    media = touch(tmp_path / "coco", NAMES[391895])
    content = {"images": [*images, {"id": 9, "file_name": "nine.jpg"}], "annotations": annotations}
    content["annotations"].append({"image_id": 9, "caption": "nine"})
    found = open_dataset([write(tmp_path / "c.json", content)], media=media)
    assert list(captions(found)) == ["391895", "9"]
    assert problems(found, tmp_path) == [
        ("duplicate", "c.json: image 3: the id 391895 is taken by c.json: image 1"),
        ("broken", "c.json: image 4 has no `id`"),
        ("broken", "c.json: annotation 1 is of the image 5, which is not among the images"),
        ("broken", "c.json: annotation 2 has no `caption`"),
        ("no_texts", "c.json: image 2 has neither captions nor questions nor a label"),
        ("missing", "c.json: image 5: nine.jpg is not at coco/nine.jpg"),
    ]


def test_a_folder_that_holds_none_of_them(tmp_path: Path) -> None:
    file, media = write(tmp_path / "c.json", CAPTIONS), touch(tmp_path / "other", "x.jpg")
    assert refused([file], media=media) == (
        "missing",
        f"other: none of the 2 pictures is there (the first is {NAMES[391895]})",
    )
    assert refused([file], media=tmp_path / "none") == ("missing", "none: no such folder of pictures or clips")


def test_karpathys_splits(tmp_path: Path) -> None:
    images = [
        karpathy("train", 1, cocoid=10, filepath="train2014"),
        karpathy("restval", 2, cocoid=20, filepath="val2014"),
        karpathy("val", 3, cocoid=30, filepath="val2014"),
        karpathy("test", 4, cocoid=40, filepath="val2014", sentences=[{"tokens": ["a", "dog"]}, {"raw": "A dog."}]),
    ]
    file = write(tmp_path / "dataset_coco.json", {"dataset": "coco", "images": images})
    assert captions(open_dataset([file], split="train")) == {"10": ("1 .",), "20": ("2 .",)}
    assert captions(open_dataset([file], split="restval")) == {"20": ("2 .",)}
    test = open_dataset([file], split="test")
    assert captions(test) == {"40": ("a dog", "A dog.")} and test.name == "dataset_coco test"
    media = touch(tmp_path / "coco", "val2014/4.jpg", "train2014/4.jpg")
    assert pictures(open_dataset([file], split="test", media=media), media) == {"40": "val2014/4.jpg"}
    assert refused([file])[1] == (
        "dataset_coco: holds the splits train (2 rows), val (1 rows), test (1 rows): choose one with --split"
    )
    assert refused([file], split="dev")[1] == (
        "--split dev: dataset_coco holds train (2 rows), val (1 rows), test (1 rows)"
    )


def test_karpathys_flickr8k_has_no_coco_ids(tmp_path: Path) -> None:
    file = write(tmp_path / "dataset_flickr8k.json", {"images": [karpathy("test", 7), karpathy("test", 8)]})
    media = touch(tmp_path / "Images", "7.jpg", "8.jpg")
    assert pictures(open_dataset([file], split="test", media=media), media) == {"7": "7.jpg", "8": "8.jpg"}
