"""`pixtell data clean` and `pixtell data shard`: reports, files, exit codes that tell the truth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_data import captions_lines, noise, png

from pixtell.data.dataset import open_dataset

from .conftest import Run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.png").write_bytes(png(noise((20, 20), number)))
        (folder / f"{number}.txt").write_text(f"a good photo {number}\n<PERSON> at {number} places\n")
    return folder


def test_clean(run: Run, photos: Path, tmp_path: Path) -> None:
    (photos / "3.png").write_bytes((photos / "0.png").read_bytes())
    (tmp_path / "words.txt").write_text("photo 2\n")
    report = tmp_path / "report.json"
    out = tmp_path / "clean.jsonl"
    words = [
        "data",
        "clean",
        photos,
        "-o",
        out,
        "--words",
        tmp_path / "words.txt",
        "--report",
        report,
        "--workers",
        "0",
    ]
    outcome = run(*words)
    assert outcome.code == 0
    assert outcome.err == f"pixtell: {out}: 2 rows in 1 file\n"
    assert outcome.lines[0] == "2 of 4 pictures and 2 of 8 texts are left"
    assert "texts with a word of the list: 1" in outcome.lines and "  2: a good photo 2" in outcome.lines
    assert [row.captions for row in open_dataset([out]).rows] == [("a good photo 0",), ("a good photo 1",)]
    kept = json.loads(report.read_text())
    assert kept["dropped"]["person"]["count"] == 4 and kept["dropped"]["same"]["examples"] == [
        {"row": "3", "what": "0"}
    ]
    again = run(*words)
    assert (again.code, again.out) == (2, "") and "is there already" in again.err
    as_json = run(*words, "--overwrite", "--json")
    assert as_json.code == 0 and as_json.objects == [kept]


def test_clean_into_tars(run: Run, photos: Path, tmp_path: Path) -> None:
    (photos / "1.png").write_bytes(b"\x89PNG broken")
    outcome = run("data", "clean", photos, "-o", tmp_path / "c-%02d.tar", "--workers", "0")
    assert outcome.code == 1, "something was broken"
    assert [row.id for row in open_dataset([tmp_path / "c-00.tar"]).rows] == ["0", "2", "3"]
    assert "pictures that can't be opened: 1" in outcome.lines


def test_shard(run: Run, photos: Path, tmp_path: Path) -> None:
    words = ["data", "shard", photos, "-o", tmp_path / "s" / "%03d.tar", "--rows", "3", "--workers", "0"]
    outcome = run(*words)
    assert (outcome.code, outcome.out, outcome.err) == (0, "4 rows in 2 tars, 0 broken\n", "")
    assert run(*words).out == outcome.out
    (tmp_path / "s" / "001.tar").unlink()
    (photos / "3.png").write_bytes(b"text")
    broken = run(*words)
    assert broken.code == 1 and broken.out == "3 rows in 2 tars, 1 broken\n"
    assert broken.err.startswith("pixtell: 3: it holds text, not a photo or clip")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["shard", "{photos}", "-o", "x.tar"], 2, "tars are numbered"),
        (["shard", "{photos}"], 2, "--output"),
        (["shard", "{photos}", "-o", "{photos}/%d.tar", "--short-side", "900"], 2, "long_side 640 is smaller"),
        (["clean", "{photos}", "-o", "x.csv"], 2, "NAME.jsonl"),
        (["clean", "{photos}", "-o", "x.jsonl", "--words", "none.txt"], 1, "none.txt: no such list of words"),
        (["clean", "nowhere", "-o", "x.jsonl"], 1, "nowhere: no such file or folder"),
        (["clean", "{photos}", "-o", "x.jsonl", "--near", "99"], 2, "--near"),
    ],
)
def test_what_can_not_be_meant(run: Run, photos: Path, words: list[str], code: int, told: str) -> None:
    outcome = run("data", *(word.replace("{photos}", str(photos)) for word in words))
    assert outcome.code == code and told in outcome.err and outcome.out == ""


def test_ask(run: Run, tmp_path: Path) -> None:
    data = captions_lines(tmp_path)
    outcome = run("data", "ask", data, "-o", tmp_path / "questions.jsonl", "--hold-out", "5")
    assert outcome.code == 0 and "color" in outcome.out
    learnt, apart = (open_dataset([tmp_path / f"{name}questions.jsonl"]) for name in ("", "held-out-"))
    assert len(apart.rows) == 5 and not {row.id for row in learnt.rows} & {row.id for row in apart.rows}
    asked = [question for row in (*learnt.rows, *apart.rows) for question in row.questions]
    assert any(question.text.startswith("what color is the") for question in asked)
    refused = run("data", "ask", data, "-o", tmp_path / "questions.jsonl")
    assert refused.code != 0 and "--overwrite" in refused.err
