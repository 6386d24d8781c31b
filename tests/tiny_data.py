"""Drawn pictures in WebDataset tars, and a vocabulary that spells what is said about them.

The left half of a drawn picture is darker than the right one, so that a mirror image can be told.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from pixtell.tokenizer import Tokenizer

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 220), "yellow": (230, 220, 40)}
SHAPES = ("disc", "square")
WORDS = ["a", "on", "what", "colour", "is", "it", "?", "of", ",", *COLOURS, *SHAPES, *(f"word{n}" for n in range(10))]
SPELLING = [piece for letter in "abcdefghijklmnopqrstuvwxyz0123456789" for piece in (letter, f"##{letter}")]
VOCAB = tuple(dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, *SPELLING]))


def tokenizer() -> Tokenizer:
    return Tokenizer(VOCAB)


def drawing(colour: str, shape: str, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """A coloured shape on two greys, the dark one on the left."""
    picture = Image.new("RGB", size, (40, 40, 40))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((size[0] // 2, 0, *size), fill=(150, 150, 150))
    box = (size[0] // 4, size[1] // 4, 3 * size[0] // 4, 3 * size[1] // 4)
    (pen.ellipse if shape == "disc" else pen.rectangle)(box, fill=COLOURS[colour])
    return picture


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def write_tar(path: Path, files: Sequence[tuple[str, bytes | dict[str, Any] | list[Any]]]) -> Path:
    """A tar of these files in this order; what is not bytes is written as JSON."""
    with tarfile.open(path, "w") as tar:
        for name, content in files:
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def captions_tar(path: Path, captions: int = 2) -> Path:
    """8 rows: each colour in each shape, with captions such as "a red disc" and "a disc of red"."""
    files: list[tuple[str, bytes | dict[str, Any] | list[Any]]] = []
    for colour in COLOURS:
        for shape in SHAPES:
            texts = [f"a {colour} {shape} .", f"a {shape} of {colour}", f"a {shape} on it of {colour}."][:captions]
            files += [
                (f"{colour}-{shape}.png", png(drawing(colour, shape))),
                (f"{colour}-{shape}.json", {"captions": texts}),
            ]
    return write_tar(path, files)


def questions_tar(path: Path) -> Path:
    """4 rows of a disc in each colour, with a question about it."""
    files: list[tuple[str, bytes | dict[str, Any] | list[Any]]] = []
    for colour in COLOURS:
        qa = [{"question": "what colour is it ?", "answer": colour}]
        files += [(f"{colour}.png", png(drawing(colour, "disc"))), (f"{colour}.json", {"qa": qa})]
    return write_tar(path, files)


def jpeg(picture: Image.Image, quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def noise(size: tuple[int, int], seed: int) -> Image.Image:
    """A picture of large soft blots, unlike that of any other seed."""
    fields = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(fields).resize(size, Image.Resampling.BICUBIC)


def texts_tar(path: Path, texts: Sequence[tuple[str, dict[str, Any]]], broken: Sequence[str] = ()) -> Path:
    """A tar of a picture of its own for each of these keys, with these texts; the pictures of `broken` ones are cut."""
    files: list[tuple[str, bytes | dict[str, Any] | list[Any]]] = []
    for seed, (key, said) in enumerate(texts):
        picture = png(noise((40, 36), seed))
        files += [(f"{key}.png", picture[:60] if key in broken else picture), (f"{key}.json", said)]
    return write_tar(path, files)


def captions_lines(folder: Path) -> Path:
    """120 pictures of animals, most brown; and some with captions that answer nothing, or with none."""
    kinds = [(c, a) for c in ("brown", "brown", "black", "white", "red") for a in ("dog", "horse", "cat", "bird")]
    captions = [f"a {colour} {animal} runs on the grass ." for colour, animal in kinds for _ in range(6)]
    captions[::20] = ["wow"] * len(captions[::20])
    lines = []
    for number, caption in enumerate(captions):
        (folder / f"{number}.png").write_bytes(png(noise((20, 20), number)))
        twice = [caption, caption.replace("runs", "is running")]
        lines.append(json.dumps({"image": f"{number}.png", "captions": twice}) + "\n")
    path = folder / "captions.jsonl"
    path.write_text("".join(lines))
    return path
