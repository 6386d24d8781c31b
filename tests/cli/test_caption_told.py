"""What a job of captions tells: true counts, an exit code that says whether it is done, and JSON for programs."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pixtell.batch.decode import seen_ahead
from pixtell.batch.devices import Here
from pixtell.batch.journal import Journal
from pixtell.batch.ray import RayJob
from pixtell.batch.run import Summary
from pixtell.cli import caption_job, caption_told
from pixtell.cli.caption_told import interruptible, tell_summary
from pixtell.errors import PixtellError

from .caption_folders import caption, photo
from .conftest import Outcome, Run


def told(outcome: Outcome) -> list[dict[str, Any]]:
    """Every line of stderr, which are all JSON."""
    return [json.loads(line) for line in outcome.err.splitlines()]


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options with which a part has two inputs."""
    monkeypatch.setattr(caption_job, "LEAST_PART", 2)
    return ["--batch-size", "2", "--workers", "0"]


def test_what_was_done_before_is_told(run: Run, tiny: list[str], folder: Path, tmp_path: Path) -> None:
    first, _ = caption(run, tiny, folder, tmp_path)
    assert "done before" not in first.err
    again, rows = caption(run, tiny, folder, tmp_path)
    assert "10 of 10 inputs: 9 ok, 1 failed" in again.err and "; all done before" in again.err and len(rows) == 10
    photo(folder / "new.png", 77)
    more, _ = caption(run, tiny, folder, tmp_path)
    assert "11 of 11 inputs: 10 ok, 1 failed" in more.err and "; 10 done before" in more.err


def test_pictures_that_are_in_no_tar_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    summary = Summary(7, ok=7, left_out=tuple(f"{number}.jpg: no such file" for number in range(7)))
    tell_summary(summary, 0, Path("errors.jsonl"), complete=True, as_json=False)
    counts, *lines = capsys.readouterr().err.splitlines()
    assert counts == "pixtell: 7 of 7 inputs: 7 ok"
    assert (lines[0], lines[-1], len(lines)) == (
        "pixtell: in no tar: 0.jpg: no such file",
        "pixtell: in no tar: 2 more",
        6,
    )


def fill_disk(monkeypatch: pytest.MonkeyPatch, parts: int) -> None:
    """From so many parts on, the journal has no room."""
    append, left = Journal.append, [parts]

    def appended(self: Journal, finished: Sequence[Any]) -> None:
        if not left[0]:
            raise PixtellError("rows.jsonl.journal: No space left on device: the same command goes on")
        left[0] -= 1
        append(self, finished)

    monkeypatch.setattr(Journal, "append", appended)


def test_a_job_that_is_not_done_ends_with_75_and_tells_how_far_it_is(
    run: Run, tiny: list[str], folder: Path, tmp_path: Path, small_parts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        fill_disk(full, 2)
        outcome, rows = caption(run, tiny, folder, tmp_path, *small_parts)
    *_, summary, goes_on, error = outcome.err.splitlines()
    assert outcome.code == 75 and len(rows) == 4
    assert summary.startswith("pixtell: 4 of 10 inputs: 4 ok") and "goes on from here" in goes_on
    assert error.startswith("pixtell: rows.jsonl.journal: No space left")
    assert caption(run, tiny, folder, tmp_path, *small_parts)[0].code == 1, "when there is room: a bad photo"


def test_a_damaged_journal_is_not_gone_on_with(run: Run, tiny: list[str], photos: list[Path], tmp_path: Path) -> None:
    """The same command would end so again, and 75 would ask for it."""
    first, rows = caption(run, tiny, photos[0].parent, tmp_path)
    journal = tmp_path / "rows.jsonl.journal"
    head, settings, *batches = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([head, settings, b"damaged\n", *batches]))
    outcome, _ = caption(run, tiny, photos[0].parent, tmp_path)
    assert (first.code, outcome.code) == (0, 1) and "line 3 is damaged" in outcome.err
    journal.write_bytes(b"".join([head, settings, *batches]))
    assert caption(run, tiny, photos[0].parent, tmp_path)[0].code == 0 and len(rows) == len(photos)


def test_all_that_is_said_can_be_json(run: Run, tiny: list[str], folder: Path, tmp_path: Path) -> None:
    (folder / "notes.md").write_text("no picture")
    outcome, _ = caption(run, tiny, folder, tmp_path, "--json-progress")
    first, *progress, last = told(outcome)
    assert "passed over 1 file" in first["message"]
    assert progress and all(set(line) == {"progress"} for line in progress)
    summary = last["summary"]
    assert (summary["inputs"], summary["ok"], summary["failed"], summary["complete"]) == (10, 9, 1, True)
    assert summary["codes"] == {"truncated": 1} and summary["done_before"] == 0
    assert summary["failures"] == str(tmp_path / "rows.jsonl.errors.jsonl")


def test_why_it_ends_is_json_too_and_only_where_asked(
    run: Run, tiny: list[str], folder: Path, tmp_path: Path, small_parts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_disk(monkeypatch, 2)
    *_, summary, error = told(caption(run, tiny, folder, tmp_path, *small_parts, "--json-progress")[0])
    assert summary["summary"]["complete"] is False and summary["summary"]["done"] == 4
    assert "No space left" in error["error"]
    refused, _ = caption(run, tiny, folder, tmp_path, "--json-progress", "--start-with", "zebra")
    assert refused.code == 2 and set(told(refused)[-1]) == {"error"}
    assert caption(run, tiny, folder, tmp_path, "--start-with", "zebra")[0].err.startswith("pixtell: ")


def test_fail_fast_stops_at_the_first_that_fails(
    run: Run, tiny: list[str], tmp_path: Path, small_parts: list[str]
) -> None:
    folder = tmp_path / "photos"
    for number in range(8):
        photo(folder / f"{number}.png", number)
    (folder / "3.png").write_bytes(b"")
    outcome, rows = caption(run, tiny, folder, tmp_path, "--fail-fast", *small_parts)
    assert outcome.code == 1 and 4 <= len(rows) < 8
    assert outcome.err.splitlines()[-1] == f"pixtell: {rows[3]['message']} (--fail-fast)"
    assert "the same command goes on from here" in outcome.err
    photo(folder / "3.png", 3)
    outcome, rows = caption(run, tiny, folder, tmp_path, "--fail-fast", *small_parts)
    assert outcome.code == 0 and len(rows) == 8
    outcome = run("caption", tmp_path / "gone.png", folder, "-o", tmp_path / "new.jsonl", "--fail-fast", *tiny)
    assert outcome.code == 1 and "gone.png" in outcome.err and not (tmp_path / "new.jsonl").exists()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_let_the_part_in_hand_be_finished(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if not hasattr(signal, name):
        pytest.skip(f"{name} is not there")
    number = getattr(signal, name)
    usual = {signal.SIGINT: signal.default_int_handler, number: signal.default_int_handler}  # not what nohup left
    before = {each: signal.signal(each, handler) for each, handler in usual.items()}
    with interruptible() as stop:
        assert not stop()
        signal.raise_signal(number)
        assert stop() and "stopping after the pictures in hand" in capsys.readouterr().err
        if name == "SIGHUP":
            signal.raise_signal(number)  # both the shell and the system may say that the terminal has gone
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    for each, handler in before.items():
        assert signal.signal(each, handler) == usual[each]


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="SIGHUP is not there")
def test_what_nohup_keeps_away_stays_away() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop()
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="a terminal that goes is not there")
def test_a_terminal_that_has_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    with open(theirs, "w") as terminal:
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(caption_told.sys, name, terminal)
        caption_told._forget_terminal()
        os.close(ours)
        print("nobody reads this", file=terminal, flush=True)
        assert not os.isatty(terminal.fileno())


def test_the_page_is_made_and_its_edits_are_applied(
    run: Run, tiny: list[str], photos: list[Path], tmp_path: Path
) -> None:
    html, edits = tmp_path / "page.html", tmp_path / "edits.jsonl"
    _, rows = caption(run, tiny, photos[0], tmp_path, "--html", html)
    assert rows[0]["text"] in html.read_text()
    edit = {"name": rows[0]["name"], "text": "mine", "was": rows[0]["text"], "sha256": rows[0]["sha256"]}
    edits.write_text(json.dumps(edit) + "\n")
    outcome, rows = caption(run, tiny, photos[0], tmp_path, "--html", html, "--apply", edits)
    assert outcome.code == 0 and "1 of 1 edits made" in outcome.err and rows[0]["text"] == "mine"
    assert "mine" in html.read_text()
    words = ["-o", tmp_path / "rows.jsonl", "--apply", edits, *tiny]
    waiting = run("caption", photos[0], photos[1], *words)
    assert waiting.code == 75 and "some inputs wait for the model" in waiting.err


def test_ctrl_c_is_heard_while_the_page_is_made(
    run: Run,
    tiny: list[str],
    photos: list[Path],
    tmp_path: Path,
    ctrl_c: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pixtell.batch.contact import Contact

    finish = Contact.finish

    def interrupted(self: Contact, rows: Any) -> None:
        ctrl_c()
        finish(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(Contact, "finish", interrupted)
        outcome, _ = caption(run, tiny, photos[0], tmp_path, "--html", tmp_path / "page.html")
    assert outcome.code == 130 and "the same command goes on from here" in outcome.err
    assert not (tmp_path / "page.html").exists()
    assert caption(run, tiny, photos[0], tmp_path, "--html", tmp_path / "page.html")[0].code == 0
    assert (tmp_path / "page.html").exists()


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A cluster that is this process; the folders of the jobs that it has forgotten."""
    folders: list[Path] = []

    class FakeRay:
        def __init__(self, job: RayJob) -> None:
            self.folder = job.folder
            self.see_ahead = lambda items: seen_ahead(items, job.wish, 0, 8)
            self.tell = Here(job.load(job.device), job.work).tell

        def __enter__(self) -> FakeRay:
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def forget(self) -> None:
            folders.append(self.folder)

    monkeypatch.setattr("pixtell.batch.ray.OnRay", FakeRay)
    return folders


def test_a_cluster_forgets_a_job_that_is_done(
    run: Run,
    tiny: list[str],
    folder: Path,
    tmp_path: Path,
    small_parts: list[str],
    forgotten: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["--engine", "ray", *small_parts[:2]]
    with monkeypatch.context() as full:
        fill_disk(full, 2)
        assert caption(run, tiny, folder, tmp_path, *words)[0].code == 75 and forgotten == []
    outcome, rows = caption(run, tiny, folder, tmp_path, *words)
    assert outcome.code == 1 and forgotten == [tmp_path / "rows.jsonl.journal.ray"]
    assert rows == caption(run, tiny, folder, tmp_path / "here", *small_parts)[1]


@pytest.mark.parametrize(("bad", "complete"), [(0, False), (3, True)])
def test_a_cluster_forgets_what_is_done_and_not_what_failed_fast(
    run: Run, tiny: list[str], tmp_path: Path, small_parts: list[str], forgotten: list[Path], bad: int, complete: bool
) -> None:
    """The code is 1 both when the first of two parts has a bad photo, and when the last has."""
    for number in range(4):
        photo(tmp_path / "photos" / f"{number}.png", number)
    (tmp_path / "photos" / f"{bad}.png").write_bytes(b"")
    words = ["--engine", "ray", "--fail-fast", *small_parts[:2]]
    outcome, rows = caption(run, tiny, tmp_path / "photos", tmp_path, *words)
    assert (outcome.code, len(rows) == 4, len(forgotten)) == (1, complete, complete)
