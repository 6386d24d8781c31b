"""Folders and patterns become the photos and clips in them.

In: a folder's path, or a pattern such as `photos/**/*.jpg` that the shell has left as it is. Out: items in natural
order (2 before 10), those of a folder before those of the folders below it.

The surprising thing: a file whose suffix is a photo's or clip's is not looked at, so that a hundred thousand are listed
within seconds; only a file whose suffix says nothing is opened for its first bytes. No folder is listed twice, however
many links lead to it, so that a link to a folder above does no harm; links are followed last, so that files are called
by their own paths.
"""

from __future__ import annotations

import glob
import os
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from pixtell.batch.found import Found, PassedOver, problem
from pixtell.batch.item import File, FrameFolder, Item
from pixtell.batch.kinds import head_of, kind_of, looks_like_media, suffix_of
from pixtell.errors import InputError

_DIGITS = re.compile(r"\d+")
_EVERYWHERE = "**"


def natural(name: str) -> tuple[str, str]:
    """A sort key that puts frame2 before frame10: each number is preceded by its length."""
    return _DIGITS.sub(lambda found: _with_length(found.group()), name.casefold()), name


def _with_length(digits: str) -> str:
    number = digits.lstrip("0")
    return f"0{len(number):03}{number}"


class Folders:
    """The folders of one job, each listed once."""

    def __init__(self, *, recursive: bool, as_clips: bool) -> None:
        self._recursive = recursive
        self._as_clips = as_clips
        self._visited: set[str] = set()

    def list(self, root: str, relative: str = "", *, may_be_empty: bool = False) -> Iterator[Found]:
        """The photos and clips in a folder, or the folder itself as a clip; a folder that can't be read is a problem,
        and so is a `root` without any. `relative` is the root's own path below what the user named, ending in /."""
        pending, links = [(root, relative)], deque[tuple[str, str]]()
        items, others, unseen = 0, 0, 0
        while pending or links:
            path, relative = pending.pop() if pending else links.popleft()
            if not self._enter(path):
                may_be_empty = True  # what is in it has been listed
                continue
            try:
                files, folders, linked = _scan(path)
            except OSError as error:
                yield problem(path, InputError("unreadable", f"{path}: it can't be listed: {error.strerror or error}"))
                may_be_empty = True
                continue
            folder = Path(path)  # one for all of its files
            found = (_file(path, name, relative, folder, is_special) for name, is_special in files)
            for one in self._clip(path, relative, found) if self._as_clips else found:
                items, others = items + isinstance(one, Item), others + isinstance(one, PassedOver)
                yield one
            if self._recursive:
                pending += [(os.path.join(path, name), f"{relative}{name}/") for name in reversed(folders)]
                links += [(os.path.join(path, name), f"{relative}{name}/") for name in linked]
            else:
                unseen += len(folders) + len(linked)
        if not items and not may_be_empty:
            below = f"; --recursive looks into the folders below it, {unseen:,} of them" if unseen else ""
            line = f"{root}: no photos or clips in this folder ({others:,} other files){below}"
            yield problem(root, InputError("no_pictures", line))

    def _enter(self, path: str) -> bool:
        real = os.path.realpath(path)
        entered = real not in self._visited
        self._visited.add(real)
        return entered

    def _clip(self, path: str, relative: str, found: Iterator[Found]) -> Iterator[Found]:
        """The folder as one item, if it holds any frames."""
        if any(isinstance(one, Item) for one in found):
            parent, name = os.path.split(os.path.abspath(path))
            yield Item(path, FrameFolder(path, path), relative.rstrip("/") or name, Path(parent))


def _scan(path: str) -> tuple[list[tuple[str, bool]], list[str], list[str]]:
    """The files of a folder (with whether each is something special, such as a pipe), the folders, and the links to
    folders, each in natural order; nothing hidden."""
    files: list[tuple[str, bool]] = []
    folders: list[str] = []
    linked: list[str] = []
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                (linked if entry.is_symlink() else folders).append(entry.name)
            else:
                # A link that leads nowhere is not special: it is to be told as a file that is missing.
                files.append((entry.name, not _is_file(entry) and os.path.exists(entry.path)))
    files.sort(key=lambda file: natural(file[0]))
    return files, sorted(folders, key=natural), sorted(linked, key=natural)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _file(parent: str, name: str, relative: str, folder: Path, is_special: bool) -> Found:
    path = os.path.join(parent, name)
    if is_photo_or_clip(path, is_special=is_special):
        return Item(path, File(path, path), relative + name, folder)
    return PassedOver(suffix_of(name))


def is_photo_or_clip(path: str, *, is_special: bool) -> bool:
    """Whether a file that nobody named is worth a row. What is special, such as a pipe, is not even opened."""
    kind = "other" if is_special else kind_of(path)
    return kind == "media" or (kind == "unknown" and looks_like_media(head_of(path)))


# ---- patterns


def is_pattern(text: str) -> bool:
    return glob.has_magic(text)


def fixed_part(pattern: str) -> str:
    """The folders that a pattern begins with, before its first part with `*`, `?` or `[`."""
    parts = pattern.split("/")
    magic = next(place for place, part in enumerate(parts) if is_pattern(part))
    return "/".join(parts[:magic]) + ("/" if magic else "")


def expand(pattern: str) -> list[str]:
    """The paths that match, in natural order; `**` is any folders or none, and nothing hidden unless the pattern is."""
    return sorted(set(_matches(pattern)), key=lambda path: [natural(part) for part in path.split("/")])


def _matches(pattern: str) -> Iterator[str]:
    parts = pattern.split("/")
    if _EVERYWHERE not in parts:
        yield from glob.iglob(pattern)
        return
    # Not glob's own `**`: it follows links in circles until the system refuses the path.
    place = parts.index(_EVERYWHERE)
    before, after = "/".join(parts[:place]), "/".join(parts[place + 1 :]) or "*"
    for root in glob.iglob(f"{before}/") if before else ["/" if place else ""]:
        for folder in _folders_below(root):
            yield from _matches(os.path.join(glob.escape(folder), after))


def _folders_below(root: str) -> Iterator[str]:
    """A folder and all below it, each once."""
    pending, links, visited = [root], deque[str](), set[str]()
    while pending or links:
        path = pending.pop() if pending else links.popleft()
        real = os.path.realpath(path)
        if real in visited:
            continue
        visited.add(real)
        yield path
        try:
            _, folders, linked = _scan(path or ".")
        except OSError:
            continue  # as a shell does: what can't be looked into matches nothing
        pending += [os.path.join(path, name) for name in folders]
        links += [os.path.join(path, name) for name in linked]
