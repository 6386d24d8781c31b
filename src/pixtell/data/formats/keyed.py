"""Files that belong together by name: `KEY.jpg` with `KEY.json`, `KEY.txt`, `KEY.caption` or `KEY.cls`.

In: the files of a tar or of a folder. Out: a row for every picture or clip. The surprising thing: a tar as img2dataset
writes it and the folder it unpacks to are one format, and give the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pixtell.data.formats.description import add_texts
from pixtell.data.formats.entry import Entry, Misshapen, encodable, parse_json
from pixtell.data.formats.pictures import MEDIA_ENDINGS, split_ending
from pixtell.data.formats.table import Draft, RowTable
from pixtell.data.row import Stored
from pixtell.errors import InputError

LINES = (".txt", ".caption")  # a caption a line
TEXT_ENDINGS = (".json", *LINES, ".cls")


def add_keyed(table: RowTable, files: Iterable[Stored], place: Callable[[Stored], str]) -> None:
    """Add the rows of some files, in the order of their pictures; `place` says in words where a file lies."""
    media: dict[str, Stored] = {}
    texts: dict[str, dict[str, Stored]] = {}
    for file in files:
        name = file.name.removeprefix("./")
        if name.rpartition("/")[2].startswith("."):  # hidden; macOS puts "._KEY.jpg" beside KEY.jpg
            continue
        key, ending = split_ending(encodable(name))
        if ending in MEDIA_ENDINGS:
            taken = media.setdefault(key, file)
        elif ending in TEXT_ENDINGS:
            taken = texts.setdefault(key, {}).setdefault(ending, file)
        else:
            continue
        if taken is not file:
            table.problem("duplicate", place(file), f": the key {key} has {taken.name} already")
    for key, file in media.items():
        if draft := table.new(key, place(file)):
            draft.media = file
            if not _describe(table, draft, texts.get(key, {}), place):
                del table.drafts[key]
    for key in sorted(texts.keys() - media.keys()):
        _tell_orphan(table, texts[key], place)


def _describe(table: RowTable, draft: Draft, texts: dict[str, Stored], place: Callable[[Stored], str]) -> bool:
    """Add what a key's files say, JSON first; False, and a problem, where one of them is broken."""
    for file in sorted(texts.values(), key=lambda file: TEXT_ENDINGS.index(split_ending(file.name)[1])):
        try:
            _read(table, draft, file, place(file))
        except Misshapen as error:
            table.problem("broken", place(file), f" {error}")
            return False
        except InputError as error:
            table.problem(error.code, place(file), f": {error}")
            return False
    return True


def _read(table: RowTable, draft: Draft, file: Stored, where: str) -> None:
    """Add what one file says. img2dataset writes a caption into two files, so lines count where JSON has no texts."""
    ending = split_ending(file.name)[1]
    if ending == ".json":
        add_texts(table, draft, where, Entry(parse_json(file.read())))
        return
    if ending in LINES and (draft.captions or draft.questions):
        return
    try:
        text = file.read().decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise Misshapen(f"is not UTF-8 text (byte {error.start})") from None
    if ending == ".cls":
        draft.label = draft.label or text
    else:
        draft.captions += [line.strip() for line in text.splitlines() if line.strip()]


def _tell_orphan(table: RowTable, texts: dict[str, Stored], place: Callable[[Stored], str]) -> None:
    """Texts without their picture are a problem; other JSON files may lie there too."""
    if ".json" not in texts:
        return
    file, scratch = texts[".json"], RowTable()
    draft = scratch.row(file.name, "")
    try:
        add_texts(scratch, draft, "", Entry(parse_json(file.read())))
    except (Misshapen, InputError):
        return
    if not draft.is_bare:
        table.problem("missing", place(file), " has no picture or clip beside it")
