"""What a person wrote on the contact page, brought into the journal and from there into every file of a job.

In: the lines that the page saved, and a job that has been done. Out: the journal, in which the edited rows are a
person's from now on; all outputs, brought to it; a line for each edit that could not be made.

The surprising thing: no model is loaded. Edits go into the journal, all or none, and then the job is done once more,
which finds nothing left to do but to bring its files to the journal. Sidecars alone need help, since a job never writes
over one that is there: those that are, to the byte, what it wrote of the caption before the edit make way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from pixtell.batch.caption_text import caption_text
from pixtell.batch.decode import Seen
from pixtell.batch.files import content_of, remove, write_whole
from pixtell.batch.item import Item, printable
from pixtell.batch.journal import Entry, Journal
from pixtell.batch.output import Finished, Note, OnExisting, Output, shows
from pixtell.batch.row import Row
from pixtell.batch.run import Job, Summary, run_job
from pixtell.batch.sidecars import KINDS, Kind, Sidecars
from pixtell.errors import ConfigError, InputError

_SHOWN = 60  # characters of a text that a problem shows
_MOST = 20  # problems of a file that an error lists
_DIGEST = re.compile("(?:[0-9a-f]{64})?")
_JOINTS = (", ", "\n")  # what `joined` puts between two texts
_MARK = "edit of "  # what a note is called, before the name of the output, that an edit leaves


@dataclass(frozen=True)
class Edit:
    """A row's new text, with the one it had and the digest of its content, by which a stale edit is told. An empty
    text sets the row aside. `line` is where it stands."""

    name: str
    text: str
    was: str
    sha256: str
    line: int = field(default=0, compare=False)


@dataclass
class Applied:
    """What became of edits: so many made now, so many that had been made before, a line for each that was not made or
    not everywhere. `summary` counts the job; None where other inputs wait for the model, and their files for a run."""

    made: int = 0
    before: int = 0
    problems: list[str] = field(default_factory=list)
    summary: Summary | None = None


def read_edits(path: Path) -> list[Edit]:
    """The edits of a file. Raises `InputError` for a file that can't be read, and one `ConfigError` that lists
    everything that is wrong in it."""
    shown = printable(str(path))
    try:
        content = path.read_bytes()
    except OSError as error:
        code = "missing" if isinstance(error, FileNotFoundError) else "unreadable"
        raise InputError(code, f"{shown}: {error.strerror or error}") from None
    edits: list[Edit] = []
    lines: dict[str, int] = {}  # of names
    problems = []
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            edit = _edit(json.loads(line), number)
            if lines.setdefault(edit.name, number) != number:
                raise ValueError(f"{printable(edit.name)} is edited in line {lines[edit.name]} already")
            edits.append(edit)
        except ValueError as error:  # of JSON and of UTF-8, too
            problems.append(f"line {number}: {error}")
    if problems:
        listed = [f"  - {problem}" for problem in problems[:_MOST]]
        if len(problems) > _MOST:
            listed.append(f"  - and {len(problems) - _MOST:,} more")
        count = "1 problem" if len(problems) == 1 else f"{len(problems):,} problems"
        raise ConfigError(f"{shown}: {count}, nothing was applied\n" + "\n".join(listed))
    return edits


def _edit(content: Any, line: int) -> Edit:
    """The edit of a line. Raises `ValueError`, saying why it is none."""
    names = {one.name for one in fields(Edit)} - {"line"}
    if not isinstance(content, dict) or set(content) != names:
        raise ValueError(f"not an object of {', '.join(sorted(names))} and nothing else")
    for name, value in content.items():
        if not isinstance(value, str):
            raise ValueError(f"{name} is not a text")
    if not content["name"]:
        raise ValueError("the name is empty")
    if not _DIGEST.fullmatch(content["sha256"]):
        raise ValueError("sha256 is not 64 hexadecimal digits")
    return Edit(**content, line=line)


def last_settings(path: Path) -> Mapping[str, Any]:
    """The settings of the job that wrote to this journal last: its edits are applied without its options being named
    again. Raises `InputError`."""
    found = None
    try:
        with path.open("rb") as file:
            for line in file:
                if line.startswith(b'{"settings"') and line.endswith(b"\n"):
                    found = json.loads(line)["settings"]
    except FileNotFoundError:
        raise InputError(
            "missing", f"{printable(str(path))}: no such journal: edits are of a job that has one"
        ) from None
    except (OSError, ValueError, KeyError) as error:
        raise InputError("unreadable", f"{printable(str(path))}: the journal can't be read ({error})") from None
    if not isinstance(found, dict):
        raise InputError("empty", f"{printable(str(path))}: no job is in this journal")
    return found


def quiet_job(
    inputs: Sequence[Item | Row],
    outputs: Sequence[Output],
    on_existing: OnExisting = "skip",
    also: Sequence[Output] = (),
) -> Job:
    """A job as `apply_edits` takes it, when there is no model to do it with."""
    return Job(inputs, outputs, lambda items: iter(()), _tell, 1, on_existing=on_existing, also=also)


def _tell(seen: Sequence[Seen]) -> Future[list[Row]]:
    assert not seen, "nothing is asked"
    told: Future[list[Row]] = Future()
    told.set_result([])
    return told


def apply_edits(edits: Sequence[Edit], job: Job, journal: Journal) -> Applied:
    """Make edits in the journal and in all outputs of `job`; what it would need a model for is not asked.

    When it is done again it changes nothing; when it was killed, it ends as if it had not been. Raises `PixtellError`
    when the disk refuses.
    """
    applied = Applied()
    items = {item.name: item for item in job.items}
    sidecars = [output for output in job.all_outputs if isinstance(output, Sidecars)]
    standing: list[_Standing] = []
    changed: list[tuple[Finished, tuple[int, int]]] = []
    for edit in edits:
        item, entry = items.get(edit.name), journal.entries.get(edit.name)
        problem = _problem(edit, item, entry)
        if problem or item is None or entry is None:
            applied.problems.append(f"line {edit.line}: {printable(edit.name)}: {problem}")
            continue
        places = tuple((output.name, path) for output in sidecars for path in output.places(item))
        standing.append(_Standing(edit, places))
        if _made(edit, entry.row):
            applied.before += 1
        else:
            notes = _marked(entry.notes, places)
            changed.append((Finished(item, edited(entry.row, edit), notes), entry.stamp))
    if changed:
        journal.append(changed)
        applied.made = len(changed)
    for one in standing:
        _exchange(one, journal.entries[one.edit.name], job.on_existing)
    applied.summary = _done_again(job, journal)
    for one in standing:
        row = journal.entries[one.edit.name].row
        applied.problems += [
            f"line {one.edit.line}: {printable(str(path))} is not what this job wrote: it is left as it is"
            for _, path in one.places
            if not _agrees(path, one.edit, row, job.on_existing)
        ]
    return applied


@dataclass(frozen=True)
class _Standing:
    """An edit that stands in the journal, and the sidecars of its row with the outputs that they are of."""

    edit: Edit
    places: tuple[tuple[str, Path], ...]


def edited(row: Row, edit: Edit) -> Row:
    """The row with a person's text. What the model had said stays among the alternatives; its score was not of this
    text. With nothing left to say, the row is set aside."""
    if edit.text == row.text:
        row = replace(row, edited=True)
    else:
        others = [text for text in row.alternatives if text != edit.text]
        if row.text and not row.edited:
            others.insert(0, row.text)
        row = replace(
            row,
            text=edit.text,
            alternatives=tuple(others),
            mean_logprob=None,
            logprob=None,
            same_as="",
            edited=True,
            code="",
        )
    return replace(row, review=not caption_text(row))


def _made(edit: Edit, row: Row) -> bool:
    return row.edited and row.text == edit.text


def _problem(edit: Edit, item: Item | None, entry: Entry | None) -> str:
    """Why an edit can't be made; empty where it can, or has been."""
    if item is None:
        return "is not among the inputs"
    if entry is None:
        return "is not in the journal of this job"
    row = entry.row
    if row.status != "ok":
        return f"has no caption ({row.code})"
    if edit.sha256 != row.sha256:
        return "has other content since it was edited: the caption is of another picture"
    if row.text != edit.was and not _made(edit, row):
        return f"is stale: it was {_quoted(edit.was)}, and is {_quoted(row.text)} now"
    return ""


def _quoted(text: str) -> str:
    return f"'{printable(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + '...')}'"


# ---- sidecars


def _marked(notes: tuple[Note, ...], places: Sequence[tuple[str, Path]]) -> tuple[Note, ...]:
    """Notes with the digest of each sidecar as it is before the edit: one that has it still has not been replaced."""
    marks = {_MARK + output: _digest(content_of(path)) for output, path in places}
    return (*(note for note in notes if note.output not in marks), *(Note(*mark) for mark in marks.items()))


def _digest(content: bytes | None) -> str:
    return "" if content is None else sha256(content).hexdigest()


def _exchange(standing: _Standing, entry: Entry, on_existing: OnExisting) -> None:
    """Replace the sidecars that are what the job wrote before the edit. Raises `PixtellError`."""
    marks = {note.output: note.seen for note in entry.notes}
    old, new = replace(entry.row, text=standing.edit.was), entry.row
    for output, path in standing.places:
        content, kind = content_of(path), KINDS[path.suffix[1:]]
        if content is None or _digest(content) != marks.get(_MARK + output):
            continue
        found = _before(kind, content, old, on_existing)
        if found is None:
            continue
        before, joins = found
        fresh: bytes | None = before
        if shows(new):
            fresh = (kind.onto(before, new, joins) if before else None) or kind.content(new)
        if not fresh:
            remove(path)
        elif fresh != content:
            write_whole(path, [fresh])


def _before(kind: Kind, content: bytes, row: Row, on_existing: OnExisting) -> tuple[bytes, OnExisting] | None:
    """What can have been in a sidecar's place, and how the text was joined to it, if `content` is what was written
    there of `row`; None if it is not."""
    try:
        if content == kind.content(row):
            return b"", "overwrite"
        if not caption_text(row):  # nothing written over anything leaves that as it is
            return None
        if kind.onto(content, row, "overwrite") == content:
            return content, "overwrite"
        if kind.row is None or on_existing not in ("append", "prepend"):
            return None
        there, mine = caption_text(kind.row(content, "")), caption_text(row)
        for joint in _JOINTS:
            rest = there.removesuffix(joint + mine) if on_existing == "append" else there.removeprefix(mine + joint)
            before = kind.onto(content, Row("", text=rest), "overwrite")
            if before and rest != there and kind.onto(before, row, on_existing) == content:
                return before, on_existing
    except ValueError:  # it is of another kind by now
        pass
    return None


def _agrees(path: Path, edit: Edit, row: Row, on_existing: OnExisting) -> bool:
    """Whether a sidecar says what the row says; of a row that was set aside, whether it no longer says what it did."""
    content, kind = content_of(path), KINDS[path.suffix[1:]]
    if content is None:
        return not shows(row) or kind.content(row) is None
    if shows(row):
        return _before(kind, content, row, on_existing) is not None
    return not edit.was or edit.was.encode("utf-8", "replace") not in content


# ---- the job once more


class _Unfinished(Exception):
    """Inputs wait for the model."""


def _done_again(job: Job, journal: Journal) -> Summary | None:
    """Bring all outputs to the journal; None when inputs wait for the model, so that not all outputs could be."""

    def see_ahead(items: Sequence[Item]) -> Iterator[Seen]:
        entries = [journal.entries.get(item.name) for item in items]
        if not all(entry and entry.row.status == "error" for entry in entries):
            raise _Unfinished
        for item, entry in zip(items, entries, strict=True):  # what failed is tried again by runs, not here
            assert entry is not None
            yield Seen(item, InputError(entry.row.code, entry.row.message), entry.row.sha256, entry.stamp)

    try:
        return run_job(replace(job, see_ahead=see_ahead, tell=_tell, under_way=1), journal)
    except _Unfinished:
        return None
