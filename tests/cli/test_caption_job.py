"""`pixtell caption` with files to write: every control does what it says, and no way of dying loses anything."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny_data

from pixtell.batch.journal import Journal
from pixtell.batch.outputs import read_rows
from pixtell.cli import caption_job

from .caption_folders import FORMS, caption, folder_of, photo
from .conftest import Run


def test_rows_errors_and_a_summary_that_adds_up(run: Run, tiny: list[str], folder: Path, tmp_path: Path) -> None:
    outcome, rows = caption(run, tiny, folder, tmp_path, "-r", "--sidecar", "txt")
    assert outcome.code == 1 and outcome.out == ""
    assert outcome.err.splitlines()[-1].startswith("pixtell: 12 of 12 inputs: 10 ok, 2 failed, see ")
    by_status = {status: [row for row in rows if row["status"] == status] for status in ("ok", "error")}
    assert (len(by_status["ok"]), [row["code"] for row in by_status["error"]]) == (10, ["truncated", "empty"])
    for row in by_status["ok"]:
        assert Path(str(row["name"])).with_suffix(".txt").read_text() == row["text"]
    failures = [json.loads(line) for line in (tmp_path / "rows.jsonl.errors.jsonl").read_text().splitlines()]
    assert [one["name"] for one in failures] == [row["name"] for row in by_status["error"]]


def test_texts_are_those_of_the_plain_command(run: Run, tiny: list[str], folder: Path, tmp_path: Path) -> None:
    plain = {source: text for source, text in (line.split("\t") for line in run("caption", folder, *tiny).lines)}
    _, rows = caption(run, tiny, folder, tmp_path, "--exact", "--workers", "2", "--batch-size", "3")
    assert {row["name"]: row["text"] for row in rows if row["status"] == "ok"} == plain


def test_settings_are_stored_with_each_row(run: Run, tiny: list[str], folder: Path, tmp_path: Path) -> None:
    _, rows = caption(run, tiny, folder, tmp_path, "--beams", "2", "--ban", "dog", "--prefix", "x")
    for row in rows:
        settings = row["settings"]
        assert isinstance(settings, dict) and len(settings["model_sha256"]) == 64
        assert (settings["beams"], settings["banned"], settings["prefix"]) == (2, ["dog"], "x")


def test_every_form_holds_the_same_rows(run: Run, tiny: list[str], folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
    odd = folder / "ä\n„odd“.png"
    photo(odd, 99)
    words = [word for form in FORMS for word in ("-o", str(tmp_path / form))]
    assert run("caption", folder, *words, *tiny).code == 1
    rows = read_rows(tmp_path / "rows.jsonl")
    assert str(odd) in {row.name for row in rows}
    for form in ("rows.csv", "rows.tsv", "rows.parquet"):
        assert read_rows(tmp_path / form) == rows
    good = [(row.name, row.text) for row in rows if row.status == "ok"]
    assert [(row.name, row.text) for row in read_rows(tmp_path / "rows-000000.tar") if row.status == "ok"] == good
    assert [one["caption"] for one in json.loads((tmp_path / "rows.json").read_text())] == [text for _, text in good]


def inputs_of(kind: str, photos: list[Path], place: Path) -> list[str]:
    """The same photos as each kind of input."""
    if kind == "tar":
        files = [(path.name, path.read_bytes()) for path in photos]
        return [str(tiny_data.write_tar(place / "photos.tar", files))]
    if kind == "zip":
        with zipfile.ZipFile(place / "photos.zip", "w") as file:
            for path in photos:
                file.write(path, path.name)
        return [str(place / "photos.zip")]
    if kind in ("csv", "tsv"):
        with (place / f"table.{kind}").open("w", newline="") as file:
            rows = [["path", "note"], *([str(path), "x"] for path in photos)]
            csv.writer(file, delimiter="," if kind == "csv" else "\t").writerows(rows)
        return [str(place / f"table.{kind}")]
    if kind == "jsonl":
        (place / "table.jsonl").write_text("".join(json.dumps({"image": str(path)}) + "\n" for path in photos))
        return [str(place / "table.jsonl")]
    if kind == "parquet":
        pyarrow = pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        table = pyarrow.table({"jpg": [path.read_bytes() for path in photos]})
        parquet.write_table(table, place / "table.parquet")
        return [str(place / "table.parquet")]
    if kind == "list":
        (place / "list.txt").write_text("".join(f"{path}\n" for path in photos))
        return [f"@{place / 'list.txt'}"]
    if kind == "glob":
        return [str(photos[0].parent / "photo*")]
    return [str(path) for path in photos] if kind == "files" else [str(photos[0].parent)]


@pytest.fixture
def media(photos: list[Path], clip: Path, tmp_path: Path) -> list[Path]:
    """Photos, and behind them a clip, in one folder."""
    folder = tmp_path / "media"
    folder.mkdir()
    names = [*(path.name for path in photos), "photo9.mp4"]
    return [Path(shutil.copy(path, folder / name)) for path, name in zip([*photos, clip], names, strict=True)]


@pytest.mark.parametrize("kind", ["files", "folder", "glob", "list", "tar", "zip", "csv", "tsv", "jsonl", "parquet"])
def test_every_kind_of_input_in_every_form(
    run: Run, tiny: list[str], media: list[Path], tmp_path: Path, kind: str
) -> None:
    pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
    expected = [line.split("\t")[1] for line in run("caption", *media, *tiny).lines]
    inputs = inputs_of(kind, media, tmp_path)
    words = [word for form in FORMS for word in ("-o", str(tmp_path / "out" / form))]
    sidecars = ["--sidecar", "txt", "--sidecar", "xmp", "--out-dir", tmp_path / "texts"]
    assert run("caption", *inputs, *words, *tiny, *sidecars).code == 0
    for form in (*FORMS[:5], "rows-000000.tar"):
        assert [row.text for row in read_rows(tmp_path / "out" / form)] == expected
    for ending in ("txt", "xmp"):
        texts = [read_rows(path) for path in sorted((tmp_path / "texts").rglob(f"*.{ending}"))]
        assert sorted(row.text for (row,) in texts) == sorted(expected)


def test_collisions_stop_it_before_the_model_is_loaded(run: Run, tmp_path: Path) -> None:
    for ending in ("png", "jpg"):
        photo(tmp_path / "a.png", 1).with_suffix(f".{ending}").write_bytes(photo(tmp_path / "a.png", 1).read_bytes())
    outcome = run("caption", tmp_path, "--sidecar", "txt", "--model", "no/such/model")
    assert outcome.code == 2 and "a.txt" in outcome.err and "--sidecar-name full" in outcome.err


def test_options_for_files_need_files(run: Run, photos: list[Path]) -> None:
    outcome = run("caption", photos[0], "--prefix", "x", "--min-score", "1")
    assert outcome.code == 2 and "--prefix, --min-score: for captions that are written to files" in outcome.err
    assert run("caption", photos[0], "-o", "x.jsonl", "--json").code == 2


def test_who_opens_the_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process for a handful, one for few; then one for each core beside a model there, half as many beside a GPU."""
    monkeypatch.setattr(caption_job.os, "cpu_count", lambda: 6)
    assert [caption_job.default_workers(inputs, on_cpu=True) for inputs in (1, 4, 5, 16, 17, 50_000)] == [
        0,
        0,
        1,
        1,
        6,
        6,
    ]
    assert [caption_job.default_workers(inputs, on_cpu=False) for inputs in (4, 16, 17)] == [0, 1, 3]
    monkeypatch.setattr(caption_job.os, "cpu_count", lambda: None)
    assert caption_job.default_workers(100, on_cpu=False) == 1


def test_ctrl_c_finishes_what_is_in_hand(
    run: Run, tiny: list[str], tmp_path: Path, ctrl_c: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes when the second part has been told, and is not in the journal yet."""
    folder = folder_of(tmp_path / "photos", 40)
    append, parts = Journal.append, 0

    def interrupted(self: Journal, finished: Sequence[Any]) -> None:
        nonlocal parts
        parts += 1
        if parts == 2:
            ctrl_c()
        append(self, finished)

    monkeypatch.setattr(caption_job, "LEAST_PART", 4)
    words = ["-r", "--batch-size", "4", "--workers", "1"]
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", interrupted)
        outcome, rows = caption(run, tiny, folder, tmp_path, *words)
    assert outcome.code == 130 and "the same command goes on from here" in outcome.err
    journal = (tmp_path / "rows.jsonl.journal").read_text().splitlines()
    batches = [json.loads(line)["batch"] for line in journal[2:]]
    assert len(batches) == 2 and len(rows) == sum(map(len, batches)) < 40
    outcome, more = caption(run, tiny, folder, tmp_path, *words)
    assert outcome.code == 1 and len(more) == 40 and more[: len(rows)] == rows


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting a small disk needs root on Linux")
def test_a_full_disk(tiny: list[str], tmp_path: Path) -> None:
    """2 MB are too few for the job: a clear error, earlier rows intact, and it ends when there is room."""
    folder = folder_of(tmp_path / "photos", 400)
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        words = ["-o", str(disk / "rows.jsonl"), "--suffix", "x" * 4000]
        begin = [sys.executable, "-m", "pixtell", "caption", str(folder), "-r", *words, *tiny]
        full = subprocess.run(begin, stderr=subprocess.PIPE, text=True)
        assert full.returncode == 75 and "No space left on device" in full.stderr and "Traceback" not in full.stderr
        assert "the same command goes on" in full.stderr
        rows = [json.loads(line) for line in (disk / "rows.jsonl").read_text().splitlines()]
        assert 0 < len(rows) < 400
        subprocess.run(["mount", "-o", "remount,size=32m", str(disk)], check=True)
        assert subprocess.run(begin, stderr=subprocess.DEVNULL).returncode == 1
        after = [json.loads(line) for line in (disk / "rows.jsonl").read_text().splitlines()]
        assert after[: len(rows)] == rows and len(after) == 400
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks at memory in /proc")
def test_a_hundred_thousand_files_are_begun_soon(bundled: str, tmp_path: Path) -> None:
    """Listed and started within 20 seconds and 500 MB, the bundled model among them."""
    sources = [photo(tmp_path / f"{number}.png", number) for number in range(10)]  # a file has at most 65,000 links
    for number in range(100_000):
        folder = tmp_path / "photos" / f"{number % 100:02}"
        folder.mkdir(parents=True, exist_ok=True)
        os.link(sources[number % 10], folder / f"{number:06}.png")
    rows = tmp_path / "rows.jsonl"
    words = ["caption", str(tmp_path / "photos"), "-r", "-o", str(rows), "--model", bundled]
    start = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "pixtell", *words], stderr=subprocess.DEVNULL)
    while process.poll() is None and not (rows.exists() and rows.stat().st_size):
        time.sleep(0.05)
    seconds = time.monotonic() - start
    status = Path(f"/proc/{process.pid}/status").read_text()
    process.kill()
    process.wait()
    peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1000
    print(f"first row after {seconds:.1f} s, {peak:.0f} MB at most")
    assert seconds < 20 and peak < 500
