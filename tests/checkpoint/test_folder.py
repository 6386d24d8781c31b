"""Folders appear whole or not at all, and nothing that is not a checkpoint is overwritten."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pixtell.checkpoint.folder import write_folder
from pixtell.errors import CheckpointError


def fill(folder: Path) -> None:
    (folder / "config.json").write_text("new")
    (folder / "weights").write_text("new")


def old_checkpoint(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("old")
    (folder / "leftover").write_text("old")
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.iterdir()}


NEW = {"config.json": "new", "weights": "new"}
OLD = {"config.json": "old", "leftover": "old"}


def test_a_new_folder_with_its_parents(tmp_path: Path) -> None:
    write_folder(tmp_path / "deep" / "er", fill, overwrite=False, ours=("config.json",))
    assert contents(tmp_path / "deep" / "er") == NEW
    assert os.listdir(tmp_path / "deep") == ["er"]


def test_the_folder_can_be_read_by_whom_other_folders_can(tmp_path: Path) -> None:
    (tmp_path / "usual").mkdir()
    write_folder(tmp_path / "ours", fill, overwrite=False, ours=())
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_what_is_there_is_only_replaced_when_allowed(tmp_path: Path) -> None:
    target = old_checkpoint(tmp_path / "model")
    with pytest.raises(CheckpointError, match="exists already"):
        write_folder(target, fill, overwrite=False, ours=("config.json",))
    assert contents(target) == OLD
    write_folder(target, fill, overwrite=True, ours=("config.json",))
    assert contents(target) == NEW, "nothing of the old one is left behind"
    assert os.listdir(tmp_path) == ["model"]


def test_an_empty_folder_is_filled_and_a_strange_one_left_alone(tmp_path: Path) -> None:
    empty, photos, file = tmp_path / "empty", tmp_path / "photos", tmp_path / "file"
    empty.mkdir()
    write_folder(empty, fill, overwrite=False, ours=("config.json",))
    assert contents(empty) == NEW
    photos.mkdir()
    (photos / "1.jpg").write_text("x")
    with pytest.raises(CheckpointError, match=r"is not a checkpoint \(1 other files\)"):
        write_folder(photos, fill, overwrite=True, ours=("config.json",))
    file.write_text("x")
    with pytest.raises(CheckpointError, match="is a file"):
        write_folder(file, fill, overwrite=True, ours=("config.json",))


@pytest.mark.parametrize("fault", ["mkdir", "fsync", "first rename", "second rename"])
def test_a_disk_that_fails_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    target = old_checkpoint(tmp_path / "model")
    calls = {"rename": 0}
    rename = Path.rename

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    def failing_rename(self: Path, to: Path) -> Path:
        calls["rename"] += 1
        if calls["rename"] == (1 if fault == "first rename" else 2):
            full()
        return rename(self, to)

    if fault == "mkdir":
        monkeypatch.setattr(Path, "mkdir", full)
    elif fault == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "rename", failing_rename)
    with pytest.raises(CheckpointError, match="can't be written \\(No space left on device\\)"):
        write_folder(target, fill, overwrite=True, ours=("config.json",))
    monkeypatch.undo()
    assert contents(target) == OLD
    assert os.listdir(tmp_path) == ["model"], "no temporary folder stays behind"


def test_a_mistake_of_ours_while_filling_leaves_nothing(tmp_path: Path) -> None:
    def broken(folder: Path) -> None:
        fill(folder)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_folder(tmp_path / "model", broken, overwrite=False, ours=())
    assert os.listdir(tmp_path) == []
