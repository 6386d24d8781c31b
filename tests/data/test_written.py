"""Rows as JSON lines and as tars, read back; nothing that is there is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_data import captions_tar, noise, png

from pixtell.data.dataset import Dataset, open_dataset
from pixtell.data.written import claim, write_rows
from pixtell.errors import ConfigError, PixtellError


def photos(folder: Path) -> Dataset:
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(png(noise((20, 20), number)))
        (folder / f"{number}.json").write_text(
            '{"captions": ["ü"], "qa": [{"question": "what?", "answers": ["x", "y"]}]}'
        )
    return open_dataset([folder])


def told(dataset: Dataset) -> list[object]:
    return [
        (row.id, row.captions, [(q.text, q.answers) for q in row.questions], row.media and row.media.read())
        for row in dataset.rows
    ]


@pytest.mark.parametrize("place", ["out.jsonl", "photos/out.jsonl", "elsewhere/out.jsonl"])
def test_lines_are_read_back(tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = photos(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    assert write_rows(dataset.rows, place) == 1
    assert told(open_dataset([place])) == told(dataset)
    first = (tmp_path / place).read_text().splitlines()[0]
    assert ('"image": "photos/0.png"' in first) == (place == "out.jsonl"), "relative where they lie below"


def test_tars_are_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = photos(tmp_path / "photos")
    monkeypatch.setattr("pixtell.data.written.ROWS", 2)
    assert write_rows(dataset.rows, str(tmp_path / "out-%02d.tar")) == 2
    assert told(open_dataset([tmp_path / "out-*.tar"])) == told(dataset)


def test_lines_can_not_name_what_is_within_a_tar(tmp_path: Path) -> None:
    rows = open_dataset([captions_tar(tmp_path / "a.tar")]).rows
    with pytest.raises(
        ConfigError, match=r"JSON lines can't name red-disc\.png within .*write tars, as in -o .*x-%06d\.tar"
    ):
        claim(str(tmp_path / "x.jsonl"), rows, overwrite=False)


def test_nothing_is_lost_unless_told(tmp_path: Path) -> None:
    rows = photos(tmp_path / "photos").rows
    for name in ("x.jsonl", "x-0.tar", "x-7.tar", "x-y.tar", "y-0.tar"):
        (tmp_path / name).write_text("kept")
    for target in (str(tmp_path / "x.jsonl"), str(tmp_path / "x-%d.tar")):
        with pytest.raises(ConfigError, match="is there already: name another, or add --overwrite"):
            claim(target, rows, overwrite=False)
        claim(target, rows, overwrite=True)
    assert sorted(path.name for path in tmp_path.glob("*.*")) == ["x-y.tar", "x.jsonl", "y-0.tar"]
    claim(str(tmp_path / "new.jsonl"), rows, overwrite=False)


def test_what_is_read_from_is_never_replaced(tmp_path: Path) -> None:
    rows = open_dataset([captions_tar(tmp_path / "a-0.tar")]).rows
    with pytest.raises(ConfigError, match=r"a-0\.tar: is itself read from: name another"):
        claim(str(tmp_path / "a-%d.tar"), rows, overwrite=True)


def test_other_targets_and_full_disks(tmp_path: Path) -> None:
    rows = photos(tmp_path / "photos").rows
    with pytest.raises(ConfigError, match=r"rows are written to NAME\.jsonl or to NAME-%06d\.tar"):
        claim("x.csv", rows, overwrite=False)
    with pytest.raises(PixtellError, match=r"can't be written \((Not a directory|File exists)\)"):
        write_rows(rows, str(tmp_path / "photos" / "0.png" / "x.jsonl"))
