"""Where pictures and clips lie that a data set only names.

In: names as a file has them, with an ending or without. Out: the files there, found without opening any.

The surprising thing: a folder is listed once and then looked up, since asking for each of 100,000 files takes minutes
on a network disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pixtell.data.formats.entry import printable
from pixtell.data.row import Stored

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic")
CLIP_ENDINGS = (".mp4", ".mov", ".mkv", ".webm", ".avi")
MEDIA_ENDINGS = PICTURE_ENDINGS + CLIP_ENDINGS


def split_ending(name: str) -> tuple[str, str]:
    """A file's name and its ending, in small letters with its dot; the ending is empty where there is none."""
    stem, dot, ending = name.rpartition(".")
    return (stem, f".{ending.lower()}") if dot and stem and "/" not in ending else (name, "")


def media_key(name: str) -> str:
    """The name of a picture or clip without its ending, by which a data set without ids knows it."""
    stem, ending = split_ending(name)
    return stem if ending in MEDIA_ENDINGS else name


@dataclass(frozen=True)
class _Listing:
    files: frozenset[str]
    by_key: dict[str, str]
    folders: tuple[str, ...]

    def named(self, name: str) -> str:
        """The file of this name, or of this name and an ending, or the folder of frames."""
        if name in self.files:
            return name
        return self.by_key.get(name, name if name in self.folders else "")


class Pictures:
    """Finds media in `media`, where given, and near the file that names them.

    In `media` and in `folders`, its roots, names without a folder are looked for one folder deeper too, as COCO's
    pictures lie in `val2014`.
    """

    def __init__(self, media: Path | None, folders: Iterable[Path] = ()) -> None:
        self.media = media
        self.roots = [str(folder) for folder in (*([media] if media else []), *folders)]
        self._listings: dict[str, _Listing] = {}

    def find(self, names: Sequence[str], near: Path | None) -> list[Stored]:
        """The file of the first name that is there; several where it can't be told which is meant."""
        for base in self._bases(near):
            if hit := self._first(base, names):
                return [hit]
            if base in self.roots:
                bare = [name for name in names if "/" not in name]
                below = (os.path.join(base, folder) for folder in self._listing(base).folders)
                if hits := [hit for folder in below if (hit := self._first(folder, bare))]:
                    return hits
        return []

    def expected(self, names: Sequence[str], near: Path | None) -> Stored:
        """Where a file should be that isn't there, so that reading it says so."""
        return Stored(Path(self._bases(near)[0], names[0]), printable(names[0]))

    def looks(self, near: Path | None) -> bool:
        """Whether there is any folder to look in."""
        return bool(self._bases(near))

    def _bases(self, near: Path | None) -> list[str]:
        return [str(base) for base in (self.media, near) if base is not None]

    def _first(self, base: str, names: Iterable[str]) -> Stored | None:
        for name in names:
            folder, leaf = os.path.split(os.path.join(base, name))
            if found := self._listing(folder).named(leaf):
                return Stored(Path(folder, found), printable(name))
        return None

    def _listing(self, folder: str) -> _Listing:
        if folder not in self._listings:
            self._listings[folder] = _list(folder)
        return self._listings[folder]


def _list(folder: str) -> _Listing:
    try:
        with os.scandir(folder) as found:
            entries = sorted((entry.name, entry.is_dir()) for entry in found)
    except (OSError, ValueError):  # a name that can't be one
        entries = []
    files = [name for name, is_folder in entries if not is_folder]
    by_key = {media_key(name): name for name in reversed(files)}
    return _Listing(frozenset(files), by_key, tuple(name for name, is_folder in entries if is_folder))
