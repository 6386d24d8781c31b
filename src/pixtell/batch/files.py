"""Files that are whole or not there at all, whatever happens while they are written.

In: a path and bytes. Out: the file, on the disk when the function returns; an error of the disk is one line.

The surprising thing: the temporary file of a target always has the same name, made from the target's. So what a killed
run left behind is found again without looking through folders, and the name fits wherever the target's fits.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from errno import EACCES, ENAMETOOLONG, ENOTDIR
from pathlib import Path

from pixtell.batch.item import printable
from pixtell.errors import PixtellError

# No file system in use has a smaller limit for a name, in bytes (eCryptfs; most have 255): a shorter one is not tried.
SHORT = 143


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Tell an error of the disk as one line, with what it means for the job."""
    try:
        yield
    except OSError as error:
        raise PixtellError(
            f"{printable(str(path))}: can't be written ({error.strerror or error}); all finished rows are kept, and "
            "the same command goes on from them"
        ) from None


def temporary(path: Path) -> Path:
    """Where the file is written before it takes its place."""
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()
    return path.with_name(f".pixtell-{digest[:16]}.partial")


def remove(path: Path) -> None:
    """Remove a file, if it is there. Raises `PixtellError`."""
    with telling(path), suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(path)


def sweep(path: Path) -> None:
    """Remove what a killed run left of a file that was to take this place."""
    remove(temporary(path))


def write_whole(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file whole or not at all; one that is there keeps its permissions. Raises `PixtellError`, also when its
    folder has vanished: making it anew would fill the place of a disk that was taken away."""
    fresh = temporary(path)
    with telling(path):
        try:
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
            try:
                for piece in pieces:
                    _write(handle, piece)
                _keep_mode(handle, path)
                os.fsync(handle)
            finally:
                os.close(handle)
            os.replace(fresh, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(fresh)
            raise


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, and see that it can be written to. Raises `PixtellError`."""
    with telling(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(EACCES, os.strerror(EACCES))


def append(path: Path, content: bytes, keep: int | None = None) -> None:
    """Add to the end of a file that is there, after cutting it to `keep` bytes. When the disk refuses, the file is as
    it was, but for what was cut. Raises `PixtellError`."""
    with telling(path):
        handle = os.open(path, os.O_WRONLY | getattr(os, "O_BINARY", 0))
        try:
            end = os.lseek(handle, 0, os.SEEK_END)
            if keep is not None and keep != end:
                os.ftruncate(handle, keep)
                end = os.lseek(handle, keep, os.SEEK_SET)
            try:
                _write(handle, content)
                os.fsync(handle)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(handle, end)
                raise
        finally:
            os.close(handle)


def _write(handle: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(handle, view) :]


def _keep_mode(handle: int, path: Path) -> None:
    with suppress(OSError, AttributeError):  # nothing there; a file system, or Windows, without permissions
        os.fchmod(handle, stat.S_IMODE(os.stat(path).st_mode))


def content_of(path: Path) -> bytes | None:
    """What a file holds, None where there is none. Raises `PixtellError`."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise PixtellError(f"{printable(str(path))}: is there but can't be read ({error.strerror or error})") from None


def fitting(folder: Path, name: str, ending: str = "") -> Path:
    """`name` + `ending` in `folder`; where the file system refuses that name for its length, and only there, the name
    is cut, and what was cut is stood for by a digest."""
    whole = name + ending
    if len(os.fsencode(whole)) <= SHORT or not _too_long(folder, whole):
        return folder / whole
    digest = "-" + hashlib.sha256(os.fsencode(whole)).hexdigest()[:16]
    room = SHORT - len(os.fsencode(digest + ending))
    cut = name
    while len(os.fsencode(cut)) > room:
        cut = cut[: min(len(cut) - 1, room)]
    return folder / f"{cut}{digest}{ending}"


def _too_long(folder: Path, name: str) -> bool:
    """Whether the file system of `folder`, or of what is there of the way to it, refuses the name."""
    while True:
        try:
            os.lstat(folder / name)
        except FileNotFoundError:
            if folder.exists() or folder == folder.parent:
                return False
            folder = folder.parent
        except OSError as error:
            if error.errno == ENOTDIR and folder != folder.parent:
                folder = folder.parent
                continue
            return error.errno == ENAMETOOLONG
        else:
            return False
