"""The authors' TSV files: pictures by their place, with an index or without, and texts joined by key."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path

import pytest

from pixtell.data.dataset import open_dataset
from pixtell.errors import InputError

from .made import captions, problems, questions, refused, touch, write

CONTENT = {key: bytes(range(40)) * (n + 1) for n, key in enumerate(("10", "x/20", "30"))}


def pictures_tsv(path: Path, end: str = "\n") -> Path:
    return write(path, "".join(f"{key}\t{b64encode(picture).decode()}{end}" for key, picture in CONTENT.items()))


def texts_tsv(path: Path, values: dict[str, object]) -> Path:
    return write(path, "".join(f"{key}\t{json.dumps(value)}\n" for key, value in values.items()))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("index", ["none", "right", "stale", "cut", "words"])
def test_pictures_and_captions(tmp_path: Path, end: str, index: str) -> None:
    images = pictures_tsv(tmp_path / "images.tsv", end)
    starts = [0]
    for line in images.read_bytes().splitlines(keepends=True)[:-1]:
        starts.append(starts[-1] + len(line))
    written = {"right": starts, "stale": [0, *(start + 1 for start in starts[1:])], "cut": starts[:-1], "words": ["a"]}
    if index in written:
        write(tmp_path / "images.lineidx", "".join(f"{start}\n" for start in written[index]))
    texts = {key: [{"caption": f"of {key}"}, {"caption": "again"}] for key in CONTENT}
    found = open_dataset([texts_tsv(tmp_path / "captions.tsv", {**texts, "40": []}), images])
    assert captions(found) == {key: (f"of {key}", "again") for key in CONTENT}
    assert {row.id: row.media.read() for row in found.rows if row.media} == CONTENT
    assert problems(found, tmp_path) == [("missing", "captions.tsv: line 4: the key 40 is not among the pictures")]


def test_questions(tmp_path: Path) -> None:
    values = {
        "10": [{"question": "what?", "question_id": 7}, {"question": "who?", "answer": "me"}],
        "30": [{"question": "how?", "answers": [{"answer": "so"}, {"answer": "thus"}]}],
        "x/20": {"qa": [{"question": "why?"}]},
    }
    found = open_dataset([pictures_tsv(tmp_path / "i.tsv"), texts_tsv(tmp_path / "q.tsv", values)])
    assert questions(found) == [
        ("10", "7", "what?", ()),
        ("10", "10#1", "who?", ("me",)),
        ("x/20", "x/20#0", "why?", ()),
        ("30", "30#0", "how?", ("so", "thus")),
    ]


def test_either_alone(tmp_path: Path) -> None:
    assert captions(open_dataset([pictures_tsv(tmp_path / "i.tsv")])) == dict.fromkeys(CONTENT, ())
    texts = texts_tsv(tmp_path / "c.tsv", {"10": [{"caption": "x"}]})
    assert open_dataset([texts]).rows[0].media is None
    media = touch(tmp_path / "m", "10.png")
    found = open_dataset([texts], media=media).rows[0].media
    assert found is not None and found.path == media / "10.png"
    assert "names no pictures" in refused([tmp_path / "i.tsv"], media=media)[1]


def test_bad_lines(tmp_path: Path) -> None:
    images = pictures_tsv(tmp_path / "i.tsv")
    images.write_bytes(images.read_bytes() + b"\n10\tAAAA\nno tab\n50\t!\n")
    texts = write(tmp_path / "c.tsv", '10\t[{"caption": "x"}]\n30\t[\nno tab\n50\t[{"caption": "y"}]\nx/20\t["z"]\n')
    found = open_dataset([images, texts])
    assert captions(found) == {"10": ("x",), "50": ("y",)}
    assert problems(found, tmp_path)[:5] == [
        ("duplicate", "i.tsv: line 5: the id 10 is taken by i.tsv: line 1"),
        ("broken", "i.tsv: line 6 is not a key, a tab and a picture"),
        ("broken", "c.tsv: line 2 is broken JSON (column 2: Expecting value)"),
        ("broken", "c.tsv: line 3 is not a key, a tab and a JSON list"),
        ("broken", "c.tsv: line 5 is a text where an object belongs"),
    ]
    assert [code for code, _ in problems(found, tmp_path)[5:]] == ["no_texts"] * 2
    assert found.rows[1].media is not None
    with pytest.raises(InputError, match="50: not base64"):
        found.rows[1].media.read()
