"""Every format that a data set comes in, from its files to a batch: the right texts, the right pixels."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny_data import COLOURS, drawing, png, tokenizer, write_tar

from pixtell.config import PixelConfig
from pixtell.data.dataset import open_dataset
from pixtell.data.loader import Batch, Loader, Stream
from pixtell.data.sources import RowSource
from pixtell.pixels import to_pixels

from .formats.made import lines, write

TOKENIZER = tokenizer()
PIXELS = PixelConfig(size=16, fit="squash")
NAMES = list(COLOURS)
QUESTION = "what colour is it ?"
Made = tuple[list[Path], Path | None]


def pictures(folder: Path, name: str = "{}.png") -> Path:
    for colour in NAMES:
        path = folder / name.format(colour)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(drawing(colour, "disc")))
    return folder


def tars(folder: Path) -> Made:
    files = [(f"{c}.png", png(drawing(c, "disc"))) for c in NAMES] + [
        (f"{c}.txt", f"a {c} disc".encode()) for c in NAMES
    ]
    return [write_tar(folder / "a.tar", files)], None


def json_lines(folder: Path) -> Made:
    rows = ({"image": f"{c}.png", "caption": f"a {c} disc ."} for c in NAMES)
    return [write(pictures(folder) / "a.jsonl", lines(*rows))], None


def sidecars(folder: Path) -> Made:
    for colour in NAMES:
        write(pictures(folder) / f"{colour}.txt", f"a {colour} disc")
    return [folder], None


def coco(folder: Path) -> Made:
    images = [{"id": n, "file_name": f"{c}.png"} for n, c in enumerate(NAMES, 1)]
    said = [{"image_id": n, "id": n, "caption": f"a {c} disc"} for n, c in enumerate(NAMES, 1)]
    file = write(folder / "captions.json", {"images": images, "annotations": said})
    return [file], pictures(folder / "val2014")


def image_tsv(folder: Path) -> Made:
    images = "".join(f"{c}\t{b64encode(png(drawing(c, 'disc'))).decode()}\n" for c in NAMES)
    texts = "".join(f"{c}\t{json.dumps([{'caption': f'a {c} disc'}])}\n" for c in NAMES)
    return [write(folder / "images.tsv", images), write(folder / "texts.tsv", texts)], None


def parquet(folder: Path) -> Made:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {"image": [png(drawing(c, "disc")) for c in NAMES], "caption": [f"a {c} disc" for c in NAMES]}
    pq.write_table(pa.table(columns), folder / "a.parquet", row_group_size=3)
    return [folder / "a.parquet"], None


def vatex(folder: Path) -> Made:
    file = write(folder / "vatex.json", [{"videoID": c, "enCap": [f"a {c} disc"]} for c in NAMES])
    return [file], pictures(folder / "clips", "{}.png")


def msrvtt(folder: Path) -> Made:
    videos = [{"video_id": f"video{n}", "split": "train"} for n in range(4)]
    said = [{"video_id": f"video{n}", "caption": f"a {c} disc"} for n, c in enumerate(NAMES)]
    file = write(folder / "videodatainfo.json", {"videos": videos, "sentences": said})
    clips = pictures(folder / "clips", "{}/1.png")  # a clip may be a folder of frames
    for number, colour in enumerate(NAMES):
        (clips / colour).rename(clips / f"video{number}")
    return [file], clips


def vqa(folder: Path) -> Made:
    questions = [{"image_id": n, "question_id": n, "question": QUESTION} for n in range(4)]
    answers = [{"image_id": n, "question_id": n, "answers": [{"answer": c}] * 10} for n, c in enumerate(NAMES)]
    files = [
        write(folder / "questions.json", {"data_subtype": "val2014", "data_type": "mscoco", "questions": questions}),
        write(folder / "annotations.json", {"annotations": answers}),
    ]
    media = folder / "val2014"
    media.mkdir()
    for number, colour in enumerate(NAMES):
        (media / f"COCO_val2014_{number:012}.jpg").write_bytes(png(drawing(colour, "disc")))
    return files, media


def video_qa(folder: Path) -> Made:
    file = write(
        folder / "qa.json", [{"id": n, "video_id": n, "question": QUESTION, "answer": c} for n, c in enumerate(NAMES)]
    )
    media = folder / "clips"
    media.mkdir()
    for number, colour in enumerate(NAMES):
        (media / f"video{number}.png").write_bytes(png(drawing(colour, "disc")))
    return [file], media


def classes(folder: Path) -> Made:
    return [pictures(folder, "{}/1.png")], None


CAPTIONS = [tars, json_lines, sidecars, coco, image_tsv, parquet, vatex, msrvtt]


def batch_of(made: Made) -> Batch:
    files, media = made
    dataset = open_dataset(files, media=media)
    assert not dataset.problems
    return Loader([Stream(RowSource(dataset), 1, 4, 1, area=1.0)], TOKENIZER, PIXELS, 0).batch(0)


def said(batch: Batch, learnt: bool) -> list[str]:
    """The words of each row that are learnt, or that are only read."""
    return [
        TOKENIZER.decode(ids[(need == learnt) & (ids != TOKENIZER.pad_id)].tolist())
        for ids, need in zip(batch.ids_BKT[:, 0], batch.need_predict_BKT[:, 0], strict=True)
    ]


def check_pixels(batch: Batch, colours: list[str]) -> None:
    assert sorted(colours) == sorted(NAMES)
    for pixels_FCHW, colour in zip(batch.pixels_BFCHW, colours, strict=True):
        picture = drawing(colour, "disc").resize((16, 16), Image.Resampling.BICUBIC)
        assert torch.equal(pixels_FCHW, to_pixels([picture], PIXELS))


@pytest.mark.parametrize("make", CAPTIONS)
def test_captions(tmp_path: Path, make: Callable[[Path], Made]) -> None:
    batch = batch_of(make(tmp_path))
    texts = said(batch, learnt=True)
    colours = [text.split()[1] for text in texts]
    assert texts == [f"a {colour} disc" for colour in colours] and said(batch, learnt=False) == [""] * 4
    check_pixels(batch, colours)


@pytest.mark.parametrize("make", [vqa, video_qa])
def test_questions(tmp_path: Path, make: Callable[[Path], Made]) -> None:
    batch = batch_of(make(tmp_path))
    assert said(batch, learnt=False) == ["what colour is it?"] * 4
    check_pixels(batch, said(batch, learnt=True))


def test_names_of_classes(tmp_path: Path) -> None:
    batch = batch_of(classes(tmp_path))
    assert said(batch, learnt=False) == [""] * 4, "learnt like captions"
    check_pixels(batch, said(batch, learnt=True))
