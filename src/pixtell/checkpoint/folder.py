"""Folders that appear whole or not at all.

In: a target and a function that fills a folder. The files are written beside the target under a temporary name,
flushed to disk and renamed, so that a crash or a full disk leaves what was there before.

The surprising thing: replacing a folder takes two renames, since none replaces a filled one. Between the two the old
folder stands beside the target, named `.NAME.old-...`; it is put back when the second rename fails.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from pixtell.errors import CheckpointError


def write_folder(target: Path, fill: Callable[[Path], None], *, overwrite: bool, ours: Iterable[str]) -> None:
    """Let `fill` write files into a new folder, and put that at `target`.

    An existing target is only replaced when `overwrite` is set, and then only an empty folder or one that holds one of
    the files `ours` (so that a mistyped name costs no one their photos). Raises `CheckpointError` otherwise, and when
    the disk is full or may not be written to.
    """
    target = Path(os.path.abspath(target.expanduser()))
    tag = secrets.token_hex(4)
    fresh, old = target.with_name(f".{target.name}.new-{tag}"), target.with_name(f".{target.name}.old-{tag}")
    try:
        _check_target(target, overwrite, list(ours))
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh.mkdir()
        fill(fresh)
        for file in sorted(fresh.iterdir()):
            _flush(file)
        _flush(fresh)
        if target.exists():
            target.rename(old)
        _place(fresh, target, old)
        _flush(target.parent)
    except OSError as error:
        raise CheckpointError(f"{target}: can't be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _place(fresh: Path, target: Path, old: Path) -> None:
    try:
        fresh.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise


def _check_target(target: Path, overwrite: bool, ours: list[str]) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise CheckpointError(f"{target}: is a file; name a folder, a checkpoint is several files")
    content = {file.name for file in target.iterdir()}
    if not content:
        return
    if not overwrite:
        raise CheckpointError(f"{target}: exists already; name another folder, or allow overwriting it")
    if not content & set(ours):
        raise CheckpointError(f"{target}: is not a checkpoint ({len(content)} other files); it is not overwritten")


def _flush(path: Path) -> None:
    """Make sure a file or folder is on the disk, not only in its cache."""
    if path.is_dir() and os.name == "nt":
        return  # Windows can't open a folder to flush it
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
