"""The job, with a stand-in for the model: every input has one row, whatever stops it, and nothing is asked twice.

The stand-in's text tells who shared its pass. So outputs are only equal when a job that was stopped cuts the rest of
its inputs as an uninterrupted one does.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from pixtell.batch.decode import Seen
from pixtell.batch.fetch import Fetching
from pixtell.batch.inputs import InputOptions, list_items
from pixtell.batch.item import Item
from pixtell.batch.journal import Journal
from pixtell.batch.output import OutputOptions
from pixtell.batch.outputs import open_outputs, read_rows
from pixtell.batch.row import Row
from pixtell.batch.run import Job, Summary, run_job
from pixtell.errors import ConfigError, InputError, PixtellError
from pixtell.media import Media

SETTINGS = {"beams": 4}
PICTURE = Image.new("RGB", (1, 1))
# Contents by name: two are equal to others, two are bad.
CONTENTS = {f"{n:02}.jpg": f"content {n}" for n in range(13)} | {
    "03.jpg": "content 1",
    "05.jpg": "bad",
    "09.jpg": "content 11",
    "12.jpg": "bad",
}


class Killed(BaseException):
    """Stands for the end of the process."""


class Model:
    """Tells texts, and counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def tell(self, seen: Sequence[Seen]) -> Future[list[Row]]:
        self.asked += [one.item.relative for one in seen]
        company = " ".join(one.item.relative for one in seen)
        told: Future[list[Row]] = Future()
        told.set_result([Row(one.item.name, text=f"seen with {company}", sha256=one.sha256) for one in seen])
        return told


def see_ahead(items: Sequence[Item]) -> Iterator[Seen]:
    for item in items:
        try:
            stamp, content = item.stamp(), item.read()
        except InputError as error:
            yield Seen(item, error)
            continue
        bad = InputError("broken", f"{item.name}: it is bad")
        media = Media((PICTURE,), item.name, (0.0,))
        digest = hashlib.sha256(content).hexdigest()
        yield Seen(item, bad if content == b"bad" else media, digest, stamp)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, content in CONTENTS.items():
        (folder / name).write_text(content)
    return folder


def run(
    photos: Path,
    out: Path,
    model: Model | None = None,
    *,
    stop: Callable[[], bool] = lambda: False,
    names: Sequence[str] = ("rows.jsonl", "rows.csv", "rows.json", "rows.tar", "txt"),
    on_existing: str = "skip",
    under_way: int = 1,
    more: Sequence[str] = (),
) -> Summary:
    out.mkdir(exist_ok=True)
    listing = list_items([str(photos), *more])
    options = OutputOptions(out_dir=out / "texts", settings='{"beams": 4}', on_existing=on_existing, shard_size=4)  # type: ignore[arg-type]
    outputs = open_outputs([name if name == "txt" else str(out / name) for name in names], options)
    tell = (model or Model()).tell
    job = Job(listing.found, outputs, see_ahead, tell, 3, under_way, options.on_existing)
    with Journal(out / "journal", SETTINGS) as journal:
        return run_job(job, journal, stop=stop)


def files(out: Path) -> dict[str, bytes]:
    """Everything in a folder but the journal, which tells how often it was begun."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != "journal"
    }


def test_every_input_has_one_row(photos: Path, tmp_path: Path) -> None:
    model = Model()
    summary = run(photos, tmp_path / "out", model, more=["nowhere.jpg"])
    assert (summary.inputs, summary.ok, summary.errors, summary.same, summary.complete) == (14, 11, 3, 2, True)
    assert summary.codes == {"broken": 2, "missing": 1}
    assert model.asked == [name for name in CONTENTS if name not in ("03.jpg", "05.jpg", "11.jpg", "12.jpg")]
    lines = (tmp_path / "out" / "rows.jsonl").read_text().splitlines()
    assert len(lines) == 14 and '"same_as": ' in lines[3]
    texts = {path.name: path.read_text() for path in (tmp_path / "out" / "texts").iterdir()}
    assert len(texts) == 11 and texts["03.txt"] == texts["01.txt"] and texts["11.txt"] == texts["09.txt"]


def test_the_second_time_nothing_is_done(photos: Path, tmp_path: Path) -> None:
    run(photos, tmp_path / "out")
    before = files(tmp_path / "out")
    model = Model()
    summary = run(photos, tmp_path / "out", model)
    assert (summary.known, summary.inputs, model.asked) == (13, 13, [])
    assert files(tmp_path / "out") == before


@pytest.mark.parametrize("under_way", [1, 3])
def test_parts_under_way_at_once_change_nothing(photos: Path, tmp_path: Path, under_way: int) -> None:
    run(photos, tmp_path / "one")
    run(photos, tmp_path / "other", under_way=under_way)
    one, other = files(tmp_path / "one"), files(tmp_path / "other")
    assert one == other


def test_stopped_after_each_part_and_gone_on(photos: Path, tmp_path: Path) -> None:
    run(photos, tmp_path / "whole")
    asked = []
    for _ in range(20):
        model = Model()
        summary = run(photos, tmp_path / "out", model, stop=lambda: True)
        asked += model.asked
        if summary.complete:
            break
        assert not (tmp_path / "out" / "rows.json").exists(), "what needs all rows waits for them"
    assert summary.complete and len(asked) == len(set(asked)) == 9
    assert files(tmp_path / "out") == files(tmp_path / "whole")


@pytest.mark.parametrize("call", ["fsync", "replace", "write"])
def test_killed_at_every_step_and_gone_on(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """The process ends before the n-th such call, for every n, and then the same command is given again."""
    run(photos, tmp_path / "whole")
    expected = files(tmp_path / "whole")
    real = getattr(os, call)
    for number in range(200):
        out = tmp_path / f"out{number}"
        left = number

        def dying(*arguments: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return real(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, dying)
            try:
                run(photos, out)
                survived = True
            except Killed:
                survived = False
        model = Model()
        run(photos, out, model)
        assert files(out) == expected, f"killed before {call} number {number}"
        if survived:
            assert number > 10 and model.asked == []
            return
    raise AssertionError("never came to its end")


def test_a_full_disk_keeps_what_is_there(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(photos, tmp_path / "whole")
    real, left = os.write, 4

    def full(handle: int, content: bytes) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(28, "No space left on device")
        return real(handle, content)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(PixtellError, match=r"No space left on device.*the same command goes on"):
            run(photos, tmp_path / "out")
    run(photos, tmp_path / "out")
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_what_changed_is_looked_at_again(photos: Path, tmp_path: Path) -> None:
    run(photos, tmp_path / "out")
    os.utime(photos / "00.jpg", ns=(1, 1))
    (photos / "01.jpg").write_text("changed content")
    (photos / "02.jpg").rename(photos / "20.jpg")
    (photos / "05.jpg").write_text("good now")
    model = Model()
    summary = run(photos, tmp_path / "out", model)
    assert model.asked == ["01.jpg", "05.jpg"], "not what was only touched or renamed"
    assert summary.complete and summary.errors == 1
    names = [
        line.split('"')[3].rpartition("/")[2] for line in (tmp_path / "out" / "rows.jsonl").read_text().splitlines()
    ]
    assert names == ["02.jpg", *sorted({*CONTENTS, "20.jpg"} - {"02.jpg"})], "the row of a file that is gone stays"


def test_a_source_that_vanished_is_tried_again(photos: Path, tmp_path: Path) -> None:
    away = photos.rename(tmp_path / "away")
    photos.mkdir()
    (photos / "00.jpg").symlink_to(away / "00.jpg")
    (photos / "01.jpg").symlink_to(tmp_path / "nowhere")
    first = run(photos, tmp_path / "out")
    assert (first.ok, first.codes) == (1, {"missing": 1})
    (photos / "01.jpg").unlink()
    (photos / "01.jpg").symlink_to(away / "01.jpg")
    second = run(photos, tmp_path / "out")
    assert (second.ok, second.errors) == (2, 0)


def test_what_an_address_answered_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that goes on without a network asks for nothing that is captioned, and says so of the rest."""
    answers = {"http://a.example/1.jpg": b"one", "http://a.example/2.jpg": b"two"}

    def answer(url: str, limits: Fetching) -> bytes:
        if url not in answers:
            raise InputError("unreadable", f"{url}: it can't be fetched")
        return answers.pop(url)

    monkeypatch.setattr("pixtell.batch.fetch.fetch", answer)
    urls = [*answers, "http://a.example/3.jpg"]
    listing = list_items(urls, InputOptions(allow_urls=True))
    for _ in range(2):
        outputs = open_outputs([str(tmp_path / "rows.jsonl"), str(tmp_path / "rows.tar")])
        with Journal(tmp_path / "journal", SETTINGS) as journal:
            summary = run_job(Job(listing.found, outputs, see_ahead, Model().tell, 3), journal)
        assert (summary.ok, summary.codes, len(summary.left_out)) == (2, {"unreadable": 1}, 2)
        assert [row.status for row in read_rows(tmp_path / "rows.jsonl")] == ["ok", "ok", "error"]


def test_shards_outlive_their_source(photos: Path, tmp_path: Path) -> None:
    """A folder that vanished, and files of a list that did: nothing is written, and it is told what would be lost."""
    out = tmp_path / "out"
    named = tmp_path / "list.txt"
    named.write_text("".join(f"{photos / name}\n" for name in CONTENTS))
    for inputs in (photos, Path(f"@{named}")):
        run(inputs, out)
        before = files(out)
        away = photos.rename(tmp_path / "away")
        with pytest.raises(ConfigError, match=r"rows\.tar: its shards hold 11 pictures.*--on-existing overwrite"):
            run(inputs, out)
        assert files(out) == before
        assert run(inputs, out, names=["rows.jsonl"]).errors
        away.rename(photos)
        run(inputs, out)
        assert files(out) == before, "not a row of what was missing for a while"
    for name in list(CONTENTS)[6:]:
        (photos / name).unlink()
    run(photos, out)
    assert not (out / "rows-000002.tar").exists(), "what was taken away on purpose goes"


def test_a_picture_that_vanished_before_its_shard_was_full(photos: Path, tmp_path: Path) -> None:
    class Removing(Model):
        def tell(self, seen: Sequence[Seen]) -> Future[list[Row]]:
            (photos / "01.jpg").unlink(missing_ok=True)
            return super().tell(seen)

    summary = run(photos, tmp_path / "out", Removing())
    assert summary.complete and summary.ok == 11
    (line,) = summary.left_out
    assert line.startswith(f"{photos / '01.jpg'}: no such file")
    assert run(photos, tmp_path / "none", names=["txt"]).left_out == ()


def test_rows_stand_once_while_a_job_grows(photos: Path, tmp_path: Path) -> None:
    """A photo that comes first, and one that changed: stopped after each part, no name is there twice, none is lost."""
    names = ("rows.jsonl", "rows.csv", "rows.tsv")
    out = tmp_path / "out"
    run(photos, out, names=names)
    (photos / "!new.jpg").write_text("new")
    (photos / "07.jpg").write_text("changed")
    (photos / "05.jpg").write_text("good now")
    for _ in range(20):
        summary = run(photos, out, names=names, stop=lambda: True)
        for name in names:
            found = [row.name.rpartition("/")[2] for row in read_rows(out / name)]
            assert len(found) == len(set(found)) and {*found} >= {*CONTENTS} - {"05.jpg", "07.jpg"}
        if summary.complete:
            break
    fresh = run(photos, tmp_path / "fresh", names=names)
    assert fresh.ok == summary.ok == 13
    ours, theirs = ([row.name for row in read_rows(folder / "rows.csv")] for folder in (out, tmp_path / "fresh"))
    assert ours == theirs == [str(photos / name) for name in sorted([*CONTENTS, "!new.jpg"])]
    (out / "journal").unlink()  # now a caption that is to be made anew stands nowhere but in the file
    run(photos, out, names=["rows.jsonl", "txt"], stop=lambda: True)
    assert {row.name for row in read_rows(out / "rows.jsonl")} >= {*ours[:-1]}


def test_rows_of_what_was_missing_go_when_it_is_back(photos: Path, tmp_path: Path) -> None:
    names = ("rows.jsonl", "rows.csv", *(["rows.parquet"] if find_spec("pyarrow") else []))
    run(photos, tmp_path / "whole", names=names)
    away = photos.rename(tmp_path / "away")
    assert run(photos, tmp_path / "out", names=names).codes == {"missing": 1}
    away.rename(photos)
    run(photos, tmp_path / "out", names=names)
    found, expected = files(tmp_path / "out"), files(tmp_path / "whole")
    assert [name for name in expected if found[name] != expected[name]] == []


def test_known_outcomes_do_not_move_the_ends_of_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part has an end, however few in it are new; a job that goes on, past what it knows, has its parts all the same.

    Number 3 is missing, so each run looks at it again, and from there on.
    """
    monkeypatch.setattr("pixtell.batch.run.MOST", 5)
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(14):
        (folder / f"{number:02}.jpg").write_text("bad" if number in (7, 8, 9) else f"content {number}")
    (folder / "03.jpg").unlink()
    (folder / "03.jpg").symlink_to(tmp_path / "nowhere")
    run(folder, tmp_path / "whole", names=["rows.jsonl"])
    parts = 0
    for left in range(1, 9):  # so many parts in a run
        asked = iter([False] * (left - 1) + [True] * 9)
        parts += not run(folder, tmp_path / str(left), names=["rows.jsonl"], stop=lambda: next(asked)).complete  # noqa: B023
        run(folder, tmp_path / str(left), names=["rows.jsonl"])
        assert files(tmp_path / str(left)) == files(tmp_path / "whole"), left
    assert parts >= 3


def test_what_is_there_is_kept(photos: Path, tmp_path: Path) -> None:
    texts = tmp_path / "out" / "texts"
    texts.mkdir(parents=True)
    (texts / "00.txt").write_text("by hand")
    model = Model()
    summary = run(photos, tmp_path / "out", model, names=["txt"])
    assert (summary.skipped, summary.codes["exists"]) == (1, 1)
    assert "00.jpg" not in model.asked and (texts / "00.txt").read_text() == "by hand"
    (texts / "01.txt").write_text("mended")
    run(photos, tmp_path / "out", names=["txt"])
    assert (texts / "01.txt").read_text() == "mended"


def test_what_is_in_the_way_stops_a_job_that_says_so(photos: Path, tmp_path: Path) -> None:
    texts = tmp_path / "out" / "texts"
    texts.mkdir(parents=True)
    (texts / "00.txt").write_text("by hand")
    with pytest.raises(ConfigError, match=r"1 of 13 inputs have an output already \(.*00.jpg\)"):
        run(photos, tmp_path / "out", names=["txt"], on_existing="error")


def test_equal_inputs_that_the_model_refuses_fail_each_by_its_name(photos: Path, tmp_path: Path) -> None:
    class Refusing(Model):
        def tell(self, seen: Sequence[Seen]) -> Future[list[Row]]:
            told = super().tell(seen).result()
            rows: Future[list[Row]] = Future()
            rows.set_result(
                [
                    Row(row.name, "error", code="frames", message=f"{row.name}: too many", sha256=row.sha256)
                    if row.name.endswith("01.jpg")
                    else row
                    for row in told
                ]
            )
            return rows

    model = Refusing()
    summary = run(photos, tmp_path / "out", model, names=["rows.jsonl"])
    assert summary.codes == {"frames": 2, "broken": 2} and "03.jpg" not in model.asked
    fourth = json.loads((tmp_path / "out" / "rows.jsonl").read_text().splitlines()[3])
    assert fourth["message"] == f"{photos / '03.jpg'}: too many"


def test_without_a_journal_it_is_done_anew(photos: Path) -> None:
    listing = list_items([str(photos)])
    model = Model()
    summary = run_job(Job(listing.found, (), see_ahead, model.tell, 3), None)
    assert summary.complete and len(model.asked) == 9
    assert replace(summary, seconds=0.0).finished == 13
