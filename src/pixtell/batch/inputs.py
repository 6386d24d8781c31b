"""What the user named becomes the list of photos and clips to be captioned, in a fixed order.

In: names, mixed as they come: files, folders, patterns (`photos/**/*.jpg`), lists (`@list.txt`, `@-`), tars, zips,
tables, addresses, `-`. Out: items in the order named, those of a folder in natural order; a row for each name that
can't be used, while the rest goes on; and how many files were passed over, by suffix.

    inputs.py     one name after another
      folders.py    folders, patterns     archives.py  tars, zips             tables.py, parquet.py  columns of tables
      kinds.py      what a name says      fetch.py     the only way to the network
      found.py      what all of these report, and item.py, what comes out

The surprising thing: almost nothing is opened. Whether a `.jpg` is there and holds a photo is found out when it is its
turn, in a worker. Only what is named on the command line is looked at, as a slip of the pen should be told at once.
"""

from __future__ import annotations

import os
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pixtell.batch.archives import list_tar, list_zip
from pixtell.batch.fetch import Address, Fetching, is_address
from pixtell.batch.folders import Folders, expand, fixed_part, is_pattern, is_photo_or_clip
from pixtell.batch.found import Found, Link, PassedOver, problem
from pixtell.batch.item import File, FrameFolder, Held, Item, printable, safe_relative, stamp_of
from pixtell.batch.kinds import SIDECARS, Named, head_of, kind_of, looks_like_media, suffix_of
from pixtell.batch.parquet import list_parquet
from pixtell.batch.row import Row
from pixtell.batch.tables import list_table
from pixtell.errors import ConfigError, InputError

STDIN, LIST = "-", "@"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")  # what a list begins with that Windows' shell has written


@dataclass(frozen=True)
class InputOptions:
    """How names are understood.

    `recursive` looks into the folders below a folder. With `folder_is_clip` a folder's pictures are the frames of one
    clip. `column` is the one of tables that holds photos, clips or their paths, where that can't be found out.
    `allow_urls` lets addresses be fetched, within `fetching`. `lists` makes `@name` a list; without it, it is a file.
    `outputs` are files that the job writes, which are never its inputs.
    """

    recursive: bool = False
    folder_is_clip: bool = False
    column: str | None = None
    allow_urls: bool = False
    fetching: Fetching = field(default=Fetching())
    lists: bool = True
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """What was found, in order: items, and a row for each name that can't be used; and (suffix, count) of the files
    that are neither photos nor clips, the most frequent first. `sources` are the lists, tables and archives."""

    found: tuple[Item | Row, ...]
    passed_over: tuple[tuple[str, int], ...]
    sources: tuple[Path, ...] = ()

    @property
    def items(self) -> tuple[Item, ...]:
        return tuple(one for one in self.found if isinstance(one, Item))

    @property
    def problems(self) -> tuple[Row, ...]:
        return tuple(one for one in self.found if isinstance(one, Row))


def list_items(named: Sequence[str], options: InputOptions | None = None, stdin: IO[bytes] | None = None) -> Listing:
    """Find the photos and clips that are meant by `named`; each is listed once, where it comes first.

    Raises `ConfigError` when standard input is named both as a photo and as a list, and when nothing is named but what
    the job writes; `MissingExtraError` for parquet without pyarrow. All else that is wrong is in `Listing.problems`.
    """
    options = options or InputOptions()
    if STDIN in named and LIST + STDIN in named and options.lists:
        raise ConfigError("-: standard input can't be both a photo (-) and a list (@-): name one of them")
    lister = _Lister(options, stdin, alone=len(named) == 1)
    for name in dict.fromkeys(named):
        lister.add_named(name)
    names = {one.name for one in lister.found if isinstance(one, Item)} if lister.problems else set()
    found = tuple(one for one in lister.found if isinstance(one, Item) or one.name not in names)  # named twice: one row
    if not found and lister.written:
        raise ConfigError(f"{printable(lister.written[0])}: is read and would be written: name another output")
    passed = sorted(lister.passed_over.items(), key=lambda pair: (-pair[1], pair[0]))
    return Listing(found, tuple(passed), tuple(lister.sources))


class _Lister:
    """What was found so far."""

    def __init__(self, options: InputOptions, stdin: IO[bytes] | None, *, alone: bool) -> None:
        self._options = options
        self._stdin = stdin
        self._alone = alone
        self._folders = Folders(recursive=options.recursive, as_clips=options.folder_is_clip)
        self._parents: dict[str, _Parent] = {}  # a folder as it was named
        self._listed: dict[str, set[str]] = {}  # a folder without links -> names of files in it
        self.found: list[Item | Row] = []
        self.problems: set[str] = set()  # names of those that can't be used
        self.passed_over: Counter[str] = Counter()
        self.sources: list[Path] = []
        self.written: list[str] = []  # those named that the job writes
        self._outputs: dict[str, frozenset[str]] = {}
        for path in options.outputs:
            self._is_new(path)
        self._outputs = {folder: frozenset(names) for folder, names in self._listed.items()}

    # ---- names

    def add_named(self, name: str) -> None:
        """One name of the command line."""
        if name == STDIN:
            self._take_from(name, lambda: self._held(name))
        elif name.startswith(LIST) and self._options.lists:
            self._take_from(name, lambda: self._listed_in(name))
        elif is_address(name):
            self._add_address(name)
        elif is_pattern(name) and not os.path.lexists(name):
            self._add_pattern(name)
        else:
            self._add_path(name, os.path.basename(name))

    def _add_link(self, text: str, base: str = "") -> None:
        """A path or an address of a list or a table; a file with a photo's or clip's suffix is not looked at."""
        if is_address(text):
            self._add_address(text)
            return
        path = os.path.join(base, text)
        if kind_of(text) == "media":
            self._add_file(path, safe_relative(text))
        else:
            self._add_path(path, safe_relative(text))

    def _add_pattern(self, pattern: str) -> None:
        """What matches, as the shell would have named it, but other kinds of files are passed over."""
        before, passed = len(self.found), self.passed_over.total()
        paths, fixed = expand(pattern), len(fixed_part(pattern))
        for path in paths:
            if os.path.isdir(path) or kind_of(path) not in ("media", "other", "unknown"):
                self._add_path(path, path[fixed:], from_pattern=True)
            elif is_photo_or_clip(path, is_special=os.path.exists(path) and not os.path.isfile(path)):
                self._add_file(path, path[fixed:])
            else:
                self.passed_over[suffix_of(path)] += 1
        if not paths:
            self._refuse(pattern, InputError("missing", f"{pattern}: no file matches this pattern"))
        elif len(self.found) == before and self.passed_over.total() - passed == len(paths):
            line = f"{pattern}: none of the {len(paths):,} files that match is a photo or clip"
            self._refuse(pattern, InputError("no_pictures", line))

    def _add_path(self, path: str, relative: str, *, from_pattern: bool = False) -> None:
        """A file or a folder, after a look at which it is."""
        try:
            mode = os.stat(path).st_mode
        except (OSError, ValueError):
            self._take_from(path, lambda: self._absent(path))
            return
        if stat.S_ISDIR(mode):
            below = f"{relative}/" if from_pattern else ""
            self._take_from(path, lambda: self._folders.list(path, below, may_be_empty=from_pattern))
        elif stat.S_ISFIFO(mode):
            self._take_from(path, lambda: self._piped(path, relative))
        elif not stat.S_ISREG(mode):
            self._refuse(
                path, InputError("unsupported", f"{path}: neither a file nor a folder, but a device or socket")
            )
        else:
            self._add_regular(path, relative)

    def _add_regular(self, path: str, relative: str) -> None:
        kind, options = kind_of(path), self._options
        if kind == "unknown":
            kind = _kind_inside(path)
        if kind == "media" or (kind == "other" and not self._is_sidecar(path)):
            self._add_file(path, relative)  # of the latter, whoever reads it says what it is
        elif kind == "other":
            self.passed_over[suffix_of(path)] += 1
        elif self._is_new(path):
            self.sources.append(Path(path))
            column, inside = options.column, relative or os.path.basename(path)
            self._take_from(path, lambda: _contents(kind, path, inside, column), container=True)

    def _is_sidecar(self, path: str) -> bool:
        """Whether a file is what lies beside photos (`photos/*` names it with them), and not what is asked about."""
        return not self._alone and suffix_of(path) in SIDECARS and not looks_like_media(head_of(path))

    def _add_file(self, path: str, relative: str) -> None:
        self._take(Item(path, File(path, path), relative, self._parent(os.path.dirname(path)).path))

    def _add_address(self, text: str) -> None:
        url = text.strip()
        if not self._options.allow_urls:
            self._refuse(url, InputError("unsupported", f"{url}: addresses are fetched only with --allow-urls"))
        elif self._is_new(url, folder="://"):
            relative = safe_relative(url.partition("://")[2])
            self.found.append(Item(url, Address(url, self._options.fetching), relative))

    # ---- what they hold

    def _held(self, name: str) -> Iterator[Found]:
        stdin = self._stdin or sys.stdin.buffer
        if stdin.isatty():
            raise InputError("empty", f"{name}: nothing is piped in: write pixtell ... {name} < photo.jpg")
        yield Item(name, Held(name, stdin.read()), "stdin")

    def _listed_in(self, name: str) -> Iterator[Found]:
        """The entries of a list: a line each, or NUL between them where there is one."""
        path = name.removeprefix(LIST)
        if path == STDIN:
            stdin = self._stdin or sys.stdin.buffer
            if stdin.isatty():
                raise InputError("empty", f"{name}: nothing is piped in: write ls photos/*.jpg | pixtell ... {name}")
            content = stdin.read()
        else:
            try:
                content = Path(path).read_bytes()
                self.sources.append(Path(path))
            except (OSError, ValueError):
                stamp_of(path, name)  # says it is missing
                raise InputError("unreadable", f"{name}: the list {path} can't be read") from None
        entries = read_list(content)
        if not entries:
            raise InputError("empty", f"{name}: the list holds no names")
        yield from map(Link, entries)

    def _absent(self, path: str) -> Iterator[Found]:
        if "://" in path:
            raise InputError("unsupported", f"{path}: of addresses, only http and https are fetched")
        stamp_of(path, path)
        raise InputError("unreadable", f"{path}: it can't be looked at")
        yield  # a generator, as the others are

    def _piped(self, path: str, relative: str) -> Iterator[Found]:
        """A pipe with a name, as a shell's <(command) makes it, is read at once: it can be read only here and now."""
        try:
            yield Item(path, Held(path, Path(path).read_bytes()), safe_relative(relative))
        except OSError as error:
            raise InputError("unreadable", f"{path}: it can't be read: {error.strerror or error}") from None

    # ---- taking

    def _take_from(self, name: str, source: Callable[[], Iterator[Found]], *, container: bool = False) -> None:
        """Everything that `source` gives; an error of it is the problem of `name`."""
        before = len(self.found), self.passed_over.total()
        base = _Base(os.path.dirname(name)) if container else None
        try:
            links = 0
            for found in source():
                if isinstance(found, Link):
                    links += 1
                    self._add_link(found.text, base.of(found.text) if base else "")
                else:
                    self._take(found)
        except InputError as error:
            self._refuse(name, error)
            return
        if container and not links and before[0] == len(self.found):
            others = self.passed_over.total() - before[1]
            line = f"{name}: no photos or clips in it ({others:,} other members)"
            self._refuse(name, InputError("no_pictures", line))

    def _take(self, found: Found) -> None:
        if isinstance(found, Row):
            self._add_problem(found)
        elif isinstance(found, PassedOver):
            self.passed_over[found.suffix] += 1
        elif isinstance(found, Item) and (
            not isinstance(found.place, (File, FrameFolder)) or self._is_new(found.place.path)
        ):
            self.found.append(found)

    def _refuse(self, name: str, error: InputError) -> None:
        self._add_problem(problem(name, error))

    def _add_problem(self, row: Row) -> None:
        if row.name not in self.problems:
            self.problems.add(row.name)
            self.found.append(row)

    def _is_new(self, path: str, folder: str | None = None) -> bool:
        """Whether a file was not listed before, under this name or another that leads to the same folder."""
        shown = path
        if folder is None:
            parent, path = os.path.split(path)
            folder = self._parent(parent).real
        if path in self._outputs.get(folder, ()):
            self.written.append(shown)
        names = self._listed.setdefault(folder, set())
        before = len(names)
        names.add(path)
        return len(names) > before

    def _parent(self, folder: str) -> _Parent:
        found = self._parents.get(folder)
        if found is None:
            try:
                real = os.path.realpath(folder)
            except ValueError:  # what no folder can be called, with a NUL in it: there are no files in it
                real = folder
            found = self._parents[folder] = _Parent(Path(folder), real)
        return found


@dataclass(frozen=True, slots=True)
class _Parent:
    """A folder that files lie in: as it was named, and without links. One for all of its files."""

    path: Path
    real: str


class _Base:
    """Where the paths of a table begin: at the current folder, as those of lists, or beside the table, as in data sets
    that are moved about. The first path that exists in one of the two decides."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._chosen: str | None = "" if not folder else None

    def of(self, text: str) -> str:
        if self._chosen is None and not is_address(text):
            for base in ("", self._folder):
                if os.path.exists(os.path.join(base, text)):
                    self._chosen = base
                    break
        return self._chosen or ""


def read_list(content: bytes) -> list[str]:
    """The entries of a list; empty lines count for nothing."""
    if content.startswith(_UTF16):
        return [line for line in content.decode("utf-16", "replace").splitlines() if line]
    content = content.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in content:
        return [os.fsdecode(entry) for entry in content.split(b"\0") if entry.strip(b"\r\n")]
    return [os.fsdecode(line) for line in (line.rstrip(b"\r") for line in content.split(b"\n")) if line]


def _kind_inside(path: str) -> Named:
    """What a file holds whose name doesn't tell; what is nothing special is left to whoever decodes it."""
    try:
        with open(path, "rb", buffering=0) as file:
            head = file.read(512)
    except OSError:
        return "media"
    if head[257:262] == b"ustar":
        return "tar"
    return "parquet" if head.startswith(b"PAR1") else "media"


def _contents(kind: Named, path: str, relative: str, column: str | None) -> Iterator[Found]:
    """What an archive or a table holds. Raises `InputError`."""
    if kind == "tar":
        return list_tar(path, path, relative)
    if kind == "zip":
        return list_zip(path, path, relative)
    if kind == "parquet":
        return list_parquet(path, path, relative, column)
    if kind in ("csv", "tsv", "jsonl"):
        return list_table(kind, path, path, relative, column)
    raise InputError("unsupported", f"{path}: a packed tar can't be read member by member: unpack it to a plain .tar")
