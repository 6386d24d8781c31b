"""Where rows go: names of files become outputs, and what an output wrote becomes rows again.

In: what the user named, as `captions.jsonl` or `txt`; all items of the job. Out: outputs, which write as they are told
(see `output.py`); one error that lists what would collide; rows.

    name.jsonl  name.csv  name.tsv      row_files.py    a row a line, while the job runs
    name.parquet  name.json             whole_files.py  all rows at the end; .json is COCO's results
    name.tar                            shards.py       WebDataset, a shard at a time
    txt  xmp                            sidecars.py     a file beside each picture

The surprising thing: names that differ only by case, or by how accents are composed, collide, though this machine may
tell them apart. A folder of captions is copied to others, and there one would quietly replace the other.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from pixtell.batch.caption_text import name_of
from pixtell.batch.item import Item, printable
from pixtell.batch.output import Finished, Note, OnExisting, Output, OutputOptions, SidecarName, noted, shows
from pixtell.batch.row import Row
from pixtell.batch.row_files import JsonLines, RowFile, Separated
from pixtell.batch.shards import Shards, rows_of_tar
from pixtell.batch.sidecars import KINDS, Sidecars
from pixtell.batch.whole_files import CocoResults, Parquet, WholeFile
from pixtell.errors import ConfigError, InputError

__all__ = [
    "Finished",
    "Note",
    "OnExisting",
    "Output",
    "OutputOptions",
    "SidecarName",
    "check_collisions",
    "noted",
    "open_outputs",
    "read_rows",
    "shows",
]

_SHOWN = 5  # collisions that an error lists

_FORMS: dict[str, Callable[[str, OutputOptions], Output]] = {
    ".jsonl": lambda name, options: RowFile(name, JsonLines(), options),
    ".csv": lambda name, options: RowFile(name, Separated(","), options),
    ".tsv": lambda name, options: RowFile(name, Separated("\t"), options),
    ".parquet": lambda name, options: WholeFile(name, Parquet(), options),
    ".json": lambda name, options: WholeFile(name, CocoResults(), options),
    ".tar": Shards,
}


def open_outputs(names: Sequence[str], options: OutputOptions = OutputOptions()) -> list[Output]:  # noqa: B008 - frozen
    """The outputs that the user named; nothing is written yet.

    Raises `ConfigError` for names that don't tell a form, or come twice, and `MissingExtraError`.
    """
    forms = ", ".join([*_FORMS, *KINDS])
    problems, outputs, seen = [], [], set()
    for name in names:
        ending = os.path.splitext(name)[1].lower()
        if name not in KINDS and ending not in _FORMS:
            problems.append(f"{printable(name)}: not a form of output; the ending tells it: {forms}")
        elif (key := name if name in KINDS else _folded(os.path.realpath(name))) in seen:
            problems.append(f"{printable(name)}: is named twice")
        else:
            seen.add(key)
            outputs.append(Sidecars(name, options) if name in KINDS else _FORMS[ending](name, options))
    if problems:
        raise ConfigError.listing("outputs", problems)
    return outputs


def check_collisions(items: Sequence[Item], outputs: Sequence[Output], sources: Iterable[Path] = ()) -> None:
    """See, before the model starts, that no two rows go to one place, and none to a file that is read.

    `sources` are files that are read besides those of the items: lists, tables and archives. Raises one `ConfigError`
    that lists the first collisions, with how many there are and what to do.
    """
    named = [str(path) for path in sources]
    inputs = {os.path.abspath(path): path for path in (*named, *_files_read(items))}
    inputs |= {os.path.realpath(path): path for path in named}  # an output that is a link is written where it leads
    folded = {_folded(path): shown for path, shown in inputs.items()}
    problems: list[str] = []
    for output in outputs:
        for path in output.files(len(items)):
            read = folded.get(_folded(os.path.abspath(path)))
            if read is not None:
                problems.append(
                    f"{printable(output.name)} would overwrite {printable(read)}, which is read: name another"
                )
        problems += [*_closed_folders(items, output), *_shared_places(items, output, folded)]
        if isinstance(output, WholeFile):
            problems += _shared_keys(items, output)
    if problems:
        shown = problems[:_SHOWN]
        if len(problems) > _SHOWN:
            shown.append(f"and {len(problems) - _SHOWN:,} more")
        count = "1 collision" if len(problems) == 1 else f"{len(problems):,} collisions"
        raise ConfigError(f"outputs: {count}, nothing was written\n" + "\n".join(f"  - {one}" for one in shown))


def _files_read(items: Iterable[Item]) -> Iterator[str]:
    """The files that hold items, each once where many lie in one."""
    last = None
    for item in items:
        path = getattr(item.place, "path", None)  # an address, or bytes from a pipe, have none
        if path is not None and path != last:
            yield str(path)
            last = path


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _shared_places(items: Iterable[Item], output: Output, read: dict[str, str]) -> Iterator[str]:
    """What is wrong with the places of single items."""
    taken: dict[str, tuple[Item, Path]] = {}
    for item in items:
        try:
            places = output.places(item)
        except ConfigError as error:
            yield str(error)
            continue
        for path in places:
            key = _folded(os.path.abspath(path))
            if key in read:
                yield f"{_shown(item)} would overwrite {printable(read[key])}, which is read: --out-dir FOLDER"
            other, place = taken.setdefault(key, (item, path))
            if other is not item and not (place != path and _told_apart(other, item, path)):
                yield f"{_shown(other)} and {_shown(item)} would share {printable(str(path))}: {_cure(other, item)}"


def _closed_folders(items: Iterable[Item], output: Output) -> Iterator[str]:
    """Folders beside whose pictures nothing can be written."""
    if isinstance(output, Sidecars) and output.beside:
        for folder in dict.fromkeys(item.folder for item in items if item.folder is not None):
            if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
                yield f"{printable(str(folder))} can't be written to: --out-dir FOLDER puts {output.name} elsewhere"


def _told_apart(one: Item, other: Item, path: Path) -> bool:
    """Whether two items whose own names differ by case alone can keep names that do: not where the disk of `path` takes
    both for the same."""
    if _folded(one.relative) != _folded(other.relative):
        return False
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    for there in (folder, *folder.parents):
        swapped = there.with_name(there.name.swapcase()) if there.name else there
        if swapped != there:
            return not (swapped.exists() and swapped.samefile(there))
    return True


def _cure(one: Item, other: Item) -> str:
    if _folded(PurePosixPath(one.relative).name) != _folded(PurePosixPath(other.relative).name):
        return "--sidecar-name full gives each its own"
    if _folded(one.relative) == _folded(other.relative) and one.relative != other.relative:
        return "rename one"
    return "name the folder above both, or caption each with an --out-dir of its own"


def _shared_keys(items: Iterable[Item], output: WholeFile) -> Iterator[str]:
    """Items that a file calls by one name: COCO's results have numbers alone."""
    taken: dict[str | int, Item] = {}
    for item in items:
        other = taken.setdefault(output.key(item), item)
        if other is not item:
            both = f"{_shown(other)} and {_shown(item)} are both picture {output.key(item)}"
            yield f"{both} in {printable(output.name)}: name a .jsonl, or rename one"


def _shown(item: Item) -> str:
    return printable(item.name)


def read_rows(path: str | Path) -> list[Row]:
    """The rows of a file that an output wrote, or a person edited: of any form, sidecars too; of a tar all its shards.

    Text sidecars, XMP and COCO's results hold no more than a name and texts. Raises `InputError`.
    """
    path = Path(path)
    ending = path.suffix.lower()
    try:
        if ending == ".tar":
            return rows_of_tar(path)
        content = path.read_bytes()
        if ending in (".jsonl", ".csv", ".tsv"):
            form = JsonLines() if ending == ".jsonl" else Separated("," if ending == ".csv" else "\t")
            return [record.row for record in form.records(content)]
        if ending in (".parquet", ".json"):
            return (Parquet() if ending == ".parquet" else CocoResults()).rows(content)
        kind = KINDS.get(ending[1:])
        if kind is not None and kind.row is not None:
            return [kind.row(content, name_of(path))]
    except FileNotFoundError:
        raise InputError("missing", f"{printable(str(path))}: no such file") from None
    except OSError as error:
        raise InputError("unreadable", f"{printable(str(path))}: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError("broken", f"{printable(str(path))}: {error}") from None
    forms = ", ".join([*_FORMS, *(f".{kind}" for kind in KINDS)])
    raise InputError("unsupported", f"{printable(str(path))}: rows are read from {forms}")
