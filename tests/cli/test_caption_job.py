"""`pixtell caption` with files to write: every control does what it says, and no way of dying loses anything."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_data
from PIL import Image
from torch import Tensor

from pixtell.batch.outputs import read_rows
from pixtell.model import GitModel

from .conftest import Outcome, Run

FORMS = ("rows.jsonl", "rows.csv", "rows.tsv", "rows.parquet", "rows.json", "rows.tar")


def photo(path: Path, number: int, size: tuple[int, int] = (48, 40)) -> Path:
    """A photo of noise, another one for each number."""
    noise = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise).save(path)
    return path


def folder_of(path: Path, count: int) -> Path:
    """Good photos among truncated, empty, huge, wrongly named and repeated ones."""
    for number in range(count):
        file = path / ("sub" if number % 5 == 4 else "") / f"{number:03}.png"
        if number % 20 == 7:
            content = photo(file, number).read_bytes()
            file.write_bytes(content[: len(content) // 2])
        elif number % 20 == 9:
            file.write_bytes(b"")
        elif number % 20 == 11:
            photo(file.with_suffix(".gif"), number).rename(file.with_suffix(".jpg"))
        elif number % 20 == 13:
            photo(file, number - 1)
        elif number == 15:
            photo(file, number, (1500, 1200))
        elif number % 20 == 16:
            file.write_text("no picture")
        else:
            photo(file, number)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "photos", 12)


Rows = list[dict[str, Any]]


def caption(run: Run, tiny: list[str], folder: Path, out: Path, *words: str | Path) -> tuple[Outcome, Rows]:
    """The outcome, and the rows of a JSONL file."""
    file = out / "rows.jsonl"
    outcome = run("caption", folder, "-o", file, *tiny, *words)
    return outcome, [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


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


def says(rows: Rows) -> list[str]:
    return [str(row["text"]) for row in rows if row["status"] == "ok"]


@pytest.mark.parametrize(
    ("words", "holds"),
    [
        (["--prefix", "by night"], lambda text: text.startswith("by night ")),
        (["--suffix", ", 35mm"], lambda text: text.endswith(", 35mm")),
        (["--trigger", "sks"], lambda text: text.startswith("sks, ")),
        (["--start-with", "the red"], lambda text: text.startswith("the red ")),
        (["--min-new-tokens", "6", "--max-new-tokens", "6", "--no-repeat-ngram", "1"], lambda text: True),
        (["--start-with", "a dog", "--replace", "dog=wolf"], lambda text: text.startswith("a wolf")),
    ],
    ids=str,
)
def test_each_control_shows_in_every_text(
    run: Run, tiny: list[str], folder: Path, tmp_path: Path, words: list[str], holds: Callable[[str], bool]
) -> None:
    _, plain = caption(run, tiny, folder, tmp_path / "plain")
    _, rows = caption(run, tiny, folder, tmp_path / "told", *words)
    assert says(rows) and all(map(holds, says(rows)))
    assert says(rows) != says(plain)


@pytest.mark.parametrize("beams", ["1", "4"])
def test_a_banned_word_never_appears(run: Run, tiny: list[str], folder: Path, tmp_path: Path, beams: str) -> None:
    _, plain = caption(run, tiny, folder, tmp_path / "plain", "--beams", beams)
    word = says(plain)[0].replace("?", " ").replace(".", " ").split()[0]
    _, rows = caption(run, tiny, folder, tmp_path / "told", "--beams", beams, "--ban", word)
    assert any(word in text for text in says(plain))
    assert not any(word in text.replace("?", " ").replace(".", " ").split() for text in says(rows))


def test_several_texts_questions_and_labels_with_one_encoding(
    run: Run, tiny: list[str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    see = GitModel.see

    def counted(self: GitModel, pixels_BFCHW: Tensor, **more: bool) -> Tensor:
        seen.append(len(pixels_BFCHW))
        return see(self, pixels_BFCHW, **more)

    monkeypatch.setattr(GitModel, "see", counted)
    words = ["--results", "3", "--ask", "who?", "--ask", "what is it?", "--classify", "dog", "--classify", "cat"]
    _, rows = caption(run, tiny, folder, tmp_path, *words)
    good = [row for row in rows if row["status"] == "ok" and "same_as" not in row]
    assert sum(seen) == len(good)
    for row in good:
        assert len(row["alternatives"]) == 2
        assert [question for question, _ in row["answers"]] == ["who?", "what is it?"]
        assert {label for label, _ in row["labels"]} == {"dog", "cat"}
    _, only = caption(run, tiny, folder, tmp_path / "only", "--no-caption", "--ask", "who?")
    assert says(only) == [""] * len(says(only)) and [row["answers"][0] for row in only if "answers" in row] == [
        row["answers"][0] for row in rows if "answers" in row
    ]


def test_low_scores_are_set_aside(run: Run, tiny: list[str], folder: Path, tmp_path: Path) -> None:
    _, plain = caption(run, tiny, folder, tmp_path / "plain")
    scores = sorted(float(str(row["mean_logprob"])) for row in plain if row["status"] == "ok")
    outcome, rows = caption(run, tiny, folder, tmp_path / "told", "--min-score", str(scores[5]), "--sidecar", "txt")
    assert f"{sum(score < scores[5] for score in scores)} set aside for review" in outcome.err
    for row in rows:
        if row["status"] == "ok":
            low = float(str(row["mean_logprob"])) < scores[5]
            assert (row.get("review", False), Path(str(row["name"])).with_suffix(".txt").exists()) == (low, not low)


def test_sampling_is_repeatable_by_its_seed(run: Run, tiny: list[str], folder: Path, tmp_path: Path) -> None:
    texts = []
    for number, seed in enumerate(("1", "1", "2")):
        words = ["--temperature", "5", "--seed", seed]
        texts.append(says(caption(run, tiny, folder, tmp_path / str(number), *words)[1]))
    assert texts[0] == texts[1] != texts[2]


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
        return [shutil.make_archive(str(place / "photos"), "zip", photos[0].parent)]
    if kind == "csv":
        with (place / "table.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["path", "note"], *([str(path), "x"] for path in photos)])
        return [str(place / "table.csv")]
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
        return [str(photos[0].parent / "*.png")]
    return [str(path) for path in photos] if kind == "files" else [str(photos[0].parent)]


@pytest.mark.parametrize("kind", ["files", "folder", "glob", "list", "tar", "zip", "csv", "jsonl", "parquet"])
def test_every_kind_of_input_in_every_form(
    run: Run, tiny: list[str], photos: list[Path], tmp_path: Path, kind: str
) -> None:
    pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
    expected = [line.split("\t")[1] for line in run("caption", *photos, *tiny).lines]
    inputs = inputs_of(kind, photos, tmp_path)
    words = [word for form in FORMS for word in ("-o", str(tmp_path / "out" / form))]
    assert run("caption", *inputs, *words, *tiny, "--sidecar", "txt", "--out-dir", tmp_path / "texts").code == 0
    for form in (*FORMS[:4], "rows-000000.tar"):
        assert [row.text for row in read_rows(tmp_path / "out" / form)] == expected
    texts = sorted((tmp_path / "texts").rglob("*.txt"))
    assert sorted(path.read_text() for path in texts) == sorted(expected)


def test_collisions_stop_it_before_the_model_is_loaded(run: Run, tmp_path: Path) -> None:
    for ending in ("png", "jpg"):
        photo(tmp_path / "a.png", 1).with_suffix(f".{ending}").write_bytes(photo(tmp_path / "a.png", 1).read_bytes())
    outcome = run("caption", tmp_path, "--sidecar", "txt", "--model", "no/such/model")
    assert outcome.code == 2 and "a.txt" in outcome.err and "--sidecar-name full" in outcome.err


def test_options_for_files_need_files(run: Run, photos: list[Path]) -> None:
    outcome = run("caption", photos[0], "--prefix", "x", "--min-score", "1")
    assert outcome.code == 2 and "--prefix, --min-score: for captions that are written to files" in outcome.err
    assert run("caption", photos[0], "-o", "x.jsonl", "--json").code == 2


def command(folder: Path, out: Path, tiny: list[str], *words: str) -> list[str]:
    outputs = [word for form in FORMS for word in ("-o", str(out / form))]
    own = ["--out-dir", str(out / "texts"), "--sidecar", "txt", "--sidecar", "xmp", "--shard-size", "50"]
    return [
        sys.executable,
        "-m",
        "pixtell",
        "caption",
        str(folder),
        "-r",
        *outputs,
        *own,
        *tiny,
        "--batch-size",
        "4",
        *words,
    ]


def files(out: Path) -> dict[str, bytes]:
    """Everything but the journal, which tells how often the job was begun."""
    paths = [path for path in out.rglob("*") if path.is_file() and path.suffix != ".journal"]
    return {str(path.relative_to(out)): path.read_bytes() for path in paths}


def kill_and_go_on(folder: Path, out: Path, tiny: list[str], delays: list[float]) -> int:
    """Begin the job again and again, kill it after each delay from its first row on, then let it end."""
    killed = 0
    for delay in delays:
        process = subprocess.Popen(command(folder, out, tiny), stderr=subprocess.DEVNULL, start_new_session=True)
        journal = out / "rows.jsonl.journal"
        before = journal.stat().st_size if journal.exists() else 0
        while process.poll() is None and (not journal.exists() or journal.stat().st_size <= before):
            time.sleep(0.005)
        time.sleep(delay)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
    done = subprocess.run(command(folder, out, tiny), stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1, done.stderr
    return killed


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is not there")
@pytest.mark.parametrize(
    ("count", "kills"), [(120, 3), pytest.param(400, 20, marks=pytest.mark.slow)], ids=["three", "twenty"]
)
def test_killed_at_random_moments(tiny: list[str], tmp_path: Path, count: int, kills: int) -> None:
    pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
    folder = folder_of(tmp_path / "photos", count)
    assert subprocess.run(command(folder, tmp_path / "whole", tiny), stderr=subprocess.DEVNULL).returncode == 1
    expected = files(tmp_path / "whole")
    assert len(expected) > count and "rows.parquet" in expected
    chance = random.Random(3)
    killed = kill_and_go_on(folder, tmp_path / "out", tiny, [chance.uniform(0, 0.1) for _ in range(kills)])
    assert killed >= min(kills, 3) - 1
    found = files(tmp_path / "out")
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []


def test_ctrl_c_finishes_what_is_in_hand(tiny: list[str], tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "photos", 120)
    process = subprocess.Popen(command(folder, tmp_path / "out", tiny), stderr=subprocess.PIPE, text=True)
    journal = tmp_path / "out" / "rows.jsonl.journal"
    while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < 3):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    assert "the same command goes on from here" in errors and "Traceback" not in errors
    rows = (tmp_path / "out" / "rows.jsonl").read_text().splitlines()
    batches = [json.loads(line)["batch"] for line in journal.read_text().splitlines()[2:]]
    assert len(rows) == sum(map(len, batches)) < 120


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
        assert full.returncode == 1 and "No space left on device" in full.stderr and "Traceback" not in full.stderr
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
