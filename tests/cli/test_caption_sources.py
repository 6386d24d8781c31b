"""`pixtell caption` and the files that it both reads and writes, or that vanish: nothing that was there is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_data

from pixtell.batch.outputs import read_rows

from .caption_folders import photo
from .conftest import Run


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Three small photos of noise, in a folder."""
    return [photo(tmp_path / "photos" / f"{number}.png", number) for number in range(3)]


def test_a_table_is_not_written_over(run: Run, tiny: list[str], photos: list[Path], tmp_path: Path) -> None:
    table = tmp_path / "photos.csv"
    content = "".join(["name,city\n", *(f"{path},x\n" for path in photos)])
    table.write_text(content)
    for words in ([table, "-o", table], [table, photos[0], "-o", table], [f"@{table}", "-o", table]):
        assert run("caption", *words, *tiny).code == 2
        assert table.read_text() == content
    outcome = run("caption", photos[0].parent, "-o", table, *tiny)
    assert outcome.code == 2 and "was not written by pixtell caption (its columns are name, city)" in outcome.err
    assert table.read_text() == content


def test_tars_that_it_writes_are_none_that_it_reads(
    run: Run, tiny: list[str], photos: list[Path], tmp_path: Path
) -> None:
    """`data/*.tar` finds the job's own shards the second time. A data set that is called like them is not theirs."""
    data = tmp_path / "data"
    data.mkdir()
    tiny_data.write_tar(data / "in.tar", [(path.name, path.read_bytes()) for path in photos])
    for _ in range(2):
        outcome = run("caption", data / "*.tar", "-o", data / "out.tar", *tiny)
        assert outcome.code == 0 and "3 of 3 inputs: 3 ok" in outcome.err
    assert len(read_rows(data / "out.tar")) == 3
    outcome = run("caption", data / "in.tar", "-o", data / "in.tar", *tiny)
    assert outcome.code == 0, "what is written are in-000000.tar, ..."
    train = tiny_data.write_tar(data / "train-000000.tar", [(path.name, path.read_bytes()) for path in photos])
    content = train.read_bytes()
    outcome = run("caption", data / "train-*.tar", "-o", data / "train.tar", *tiny)
    assert outcome.code == 2 and "which is read" in outcome.err and train.read_bytes() == content


def test_shards_outlive_a_folder_that_vanished(run: Run, tiny: list[str], photos: list[Path], tmp_path: Path) -> None:
    words = ["caption", photos[0].parent, "-o", tmp_path / "out.tar", "--shard-size", "2", *tiny]
    assert run(*words).code == 0
    before = {path.name: path.read_bytes() for path in tmp_path.glob("out-*.tar")}
    photos[0].parent.rename(tmp_path / "away")
    outcome = run(*words)
    assert outcome.code == 2 and "hold 3 pictures that are not among the inputs now" in outcome.err
    assert {path.name: path.read_bytes() for path in tmp_path.glob("out-*.tar")} == before and len(before) == 2
    assert run(*words, "--on-existing", "overwrite").code == 1
    (tmp_path / "away").rename(photos[0].parent)
    assert run(*words).code == 0
    assert {path.name: path.read_bytes() for path in tmp_path.glob("out-*.tar")} == before


def test_a_damaged_tar_is_not_gone_on_with(run: Run, tiny: list[str], photos: list[Path], tmp_path: Path) -> None:
    """The same command would end so again: not with 75, which asks for it, nor as a fault of ours."""
    words = ["caption", photos[0].parent, "-o", tmp_path / "out.tar", *tiny]
    assert run(*words).code == 0
    shard = tmp_path / "out-000000.tar"
    whole = shard.read_bytes()
    last = whole.rindex(b'{"name"')
    shard.write_bytes(whole[:last] + b"!" + whole[last + 1 :])
    outcome = run(*words)
    assert outcome.code == 1 and "out-000000.tar: 000000002.json is damaged" in outcome.err
    shard.rename(tmp_path / "away.tar")
    assert run(*words).code == 0 and shard.read_bytes() == whole
