"""Where a job's journal lies, and that the options for files and inputs are wired."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixtell.cli.caption_options import OutputChoice, folder_of

from .caption_folders import caption, photo
from .conftest import Run


@pytest.mark.parametrize(
    ("named", "folder"),
    [
        ("lists/../a.jpg", "lists/.."),
        ("a.jpg", "."),
        ("photos", "photos"),
        ("@lists/all.txt", "lists"),
        ("@all.txt", "."),
        ("@-", "."),
        ("-", "."),
        ("photos/**/*.jpg", "photos"),
        ("photos/20[12]?/a.jpg", "photos"),
        ("*.jpg", "."),
        ("/photos/*.jpg", "/photos"),
        ("/*.jpg", "/"),
        ("photos/odd[1].jpg", "photos"),
        ("https://example.org/a/b.jpg", "."),
    ],
)
def test_the_folder_of_an_input(named: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "photos" / "odd[1].jpg", 1)
    assert folder_of(named) == folder
    assert OutputChoice(sidecar=["txt"]).journal_path([named])[0] == Path(folder) / ".pixtell.journal"


def test_the_journal_of_another_output_is_gone_on_with(run: Run, tiny: list[str], folder: Path, tmp_path: Path) -> None:
    caption(run, tiny, folder, tmp_path)
    outcome = run("caption", folder, "-o", tmp_path / "a.csv", "-o", tmp_path / "rows.jsonl", *tiny)
    assert f"going on from {tmp_path / 'rows.jsonl.journal'}, the journal of another output" in outcome.err
    assert "all done before" in outcome.err and (tmp_path / "a.csv").exists()
    assert not (tmp_path / "a.csv.journal").exists()


def test_the_journal_can_be_named(run: Run, tiny: list[str], photos: list[Path], tmp_path: Path) -> None:
    caption(run, tiny, photos[0], tmp_path, "--journal", tmp_path / "mine")
    assert (tmp_path / "mine").exists() and not (tmp_path / "rows.jsonl.journal").exists()


def test_what_stood_there_before(run: Run, tiny: list[str], tmp_path: Path) -> None:
    path, text = photo(tmp_path / "a.png", 1), tmp_path / "a.txt"
    found = {}
    for choice in ("skip", "overwrite", "append", "prepend", "error"):
        text.write_text("mine")
        outcome = run(
            "caption", path, "--sidecar", "txt", "--journal", tmp_path / choice, "--on-existing", choice, *tiny
        )
        found[choice] = text.read_text()
        assert outcome.code == (2 if choice == "error" else 0)
    said = found["overwrite"]
    assert said != "mine"
    assert found == {
        **dict.fromkeys(["skip", "error"], "mine"),
        "overwrite": said,
        "append": f"mine, {said}",
        "prepend": f"{said}, mine",
    }


def test_addresses_are_fetched_only_when_allowed(run: Run, tiny: list[str], tmp_path: Path) -> None:
    address = "http://127.0.0.1:9/a.png"
    refused = run("caption", address, "-o", tmp_path / "a.jsonl", *tiny)
    assert refused.code == 1 and "--allow-urls" in (tmp_path / "a.jsonl").read_text()
    allowed = run("caption", address, "-o", tmp_path / "b.jsonl", "--allow-urls", *tiny)
    (row,) = map(json.loads, (tmp_path / "b.jsonl").read_text().splitlines())
    assert allowed.code == 1 and "--allow-urls" not in row["message"] and "127.0.0.1" in row["message"]
