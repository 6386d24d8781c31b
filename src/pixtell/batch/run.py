"""The job: every input ends as ok, skipped or error, in the journal first and then in every output, in order.

In: items, outputs, a journal, and whoever tells the rows of media that were seen. Out: files, and a summary whose
counts add up to the inputs.

The surprising thing: a part of the inputs is closed by the number of media in it that are new to the model or, where
few are, of those that were looked at; what was known before doesn't count. So a run that was killed cuts the rest into
the very parts that it would have had, and its numbers, which may depend on who shares a pass, are those of a run that
was not killed.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from pixtell.batch.decode import Seen
from pixtell.batch.item import File, Item, printable, safe_relative
from pixtell.batch.journal import Entry, Journal
from pixtell.batch.output import Finished, OnExisting, Output, noted
from pixtell.batch.row import Row
from pixtell.batch.row_files import EXISTS
from pixtell.batch.work import failed_row
from pixtell.errors import ConfigError, InputError

MOST = 2_000  # items that are looked at for a part, when few of them are new
NAMED = 5  # items that an error names one by one

# Tells a row for each of some media, what fails being a row too. It may come later, so that several devices can work.
Tell = Callable[[Sequence[Seen]], "Future[list[Row]]"]
SeeAhead = Callable[[Sequence[Item]], Iterator[Seen]]


@dataclass(frozen=True)
class Job:
    """What is to be done: the inputs in order (a row is one that can't be used), where rows go, how
    media are seen and told about, how many new ones make a part, and how many parts may be under way at once.

    `also` are outputs that get all rows, too, but whose being there is no reason to pass an input over.
    """

    inputs: Sequence[Item | Row]
    outputs: Sequence[Output]
    see_ahead: SeeAhead
    tell: Tell
    part: int
    under_way: int = 1
    on_existing: OnExisting = "skip"
    also: Sequence[Output] = ()

    @property
    def items(self) -> list[Item]:
        """The inputs that can be looked at."""
        return [one for one in self.inputs if isinstance(one, Item)]

    @property
    def all_outputs(self) -> tuple[Output, ...]:
        return (*self.outputs, *self.also)


@dataclass
class Summary:
    """How far a job is. `ok`, `skipped` and `errors` add up to the inputs that are finished; `known` of them were so
    before, `same` have another input's content, `codes` counts the reasons: of those that are not ok, and of those that
    are, but without text. `left_out` has a line for each that is ok, and yet not in a tar, as its picture is gone."""

    inputs: int
    ok: int = 0
    skipped: int = 0
    errors: int = 0
    review: int = 0
    same: int = 0
    known: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    latest: Row | None = None
    left_out: tuple[str, ...] = ()

    @property
    def finished(self) -> int:
        return self.ok + self.skipped + self.errors

    @property
    def complete(self) -> bool:
        return self.finished == self.inputs

    @property
    def a_second(self) -> float:
        """Inputs a second, without those that were known."""
        return (self.finished - self.known) / self.seconds if self.seconds else 0.0

    def count(self, row: Row) -> None:
        """Add one finished input."""
        self.ok += row.status == "ok"
        self.skipped += row.status == "skipped"
        self.errors += row.status == "error"
        self.review += row.review
        self.same += bool(row.same_as)
        if row.code:
            self.codes[row.code] += 1
        if row.status == "ok":
            self.latest = row


@dataclass(frozen=True)
class _Outcome:
    """A finished item with its file's stamp, and whether the journal need not be told of it."""

    finished: Finished
    stamp: tuple[int, int] = (0, 0)
    known: bool = True


def run_job(
    job: Job,
    journal: Journal | None,
    on_progress: Callable[[Summary], None] = lambda summary: None,
    stop: Callable[[], bool] = lambda: False,
) -> Summary:
    """Do the job, or go on with it. `stop` is asked after each part; what is finished by then is kept.

    Raises `ConfigError` when something is in the way of outputs that may not replace it, and `PixtellError` when the
    disk refuses.
    """
    entries = journal.entries if journal else {}
    if journal and job.on_existing != "overwrite":  # what a person wrote stands, whatever the settings are now
        entries = {**journal.edited, **entries}
    settled = _settle(job, entries)
    first = next((place for place, (_, outcome) in enumerate(settled) if outcome is None), len(settled))
    rows = {item.name: outcome.finished.row if outcome else None for item, outcome in settled}
    for output in job.all_outputs:
        output.spare(rows)
    summary = Summary(len(settled), known=sum(outcome is not None for _, outcome in settled))
    begun = time.monotonic()
    done = _keep(job, journal, summary, [outcome for _, outcome in settled[:first] if outcome])
    expected = _expected(settled[first:], entries)
    for output in job.all_outputs:
        output.expect(expected)
        output.start(done)
    on_progress(summary)
    known = _Known(entries)
    for one in done:
        known.told(one.row)
    for part in _parts(job, settled[first:], known):
        finished = _keep(job, journal, summary, part)
        for output in job.all_outputs:
            output.add(finished)
        done += finished
        summary.seconds = time.monotonic() - begun
        on_progress(summary)
        if stop():
            break
    if summary.complete:
        for output in job.all_outputs:
            output.finish(done)
    summary.left_out = tuple(line for output in job.all_outputs for line in output.left_out)
    summary.seconds = time.monotonic() - begun
    return summary


def _expected(settled: Sequence[tuple[Item, _Outcome | None]], entries: Mapping[str, Entry]) -> dict[str, Row | None]:
    """The rows that come, by their names; None where what the journal has no longer holds. What it doesn't have may
    stand in the outputs alone: such rows stay until there are others."""
    return {
        item.name: outcome.finished.row if outcome else None
        for item, outcome in settled
        if outcome or item.name in entries
    }


def _settle(job: Job, entries: Mapping[str, Entry]) -> list[tuple[Item, _Outcome | None]]:
    """Each input in order with its outcome, where that is known without opening it."""
    settled: list[tuple[Item, _Outcome | None]] = []
    for one in job.inputs:
        if isinstance(one, Item):
            settled.append((one, _settled(job, one, entries.get(one.name))))
        else:
            item = Item(one.name, File(one.name, one.name), safe_relative(one.name))
            settled.append((item, _Outcome(Finished(item, one))))
    if job.on_existing == "error":
        there = [item.name for item, outcome in settled if outcome and outcome.finished.row.code == EXISTS]
        if there:
            named = ", ".join(map(printable, there[:NAMED])) + (", ..." if len(there) > NAMED else "")
            raise ConfigError(
                f"{len(there):,} of {len(settled):,} inputs have an output already ({named}): choose --on-existing "
                "skip, overwrite, append or prepend"
            )
    return settled


def _settled(job: Job, item: Item, entry: Entry | None) -> _Outcome | None:
    """The outcome of an item that the journal knows or the outputs hold; None when it must be looked at."""
    try:
        if entry is not None:
            stamp = item.stamp()
            return _Outcome(Finished(item, entry.row, entry.notes), stamp) if entry.still_holds(stamp) else None
        held = [output.existing(item) for output in job.outputs]
    except InputError as error:
        return _Outcome(Finished(item, failed_row(Seen(item, error), error)))
    there = any(held) if job.on_existing == "error" else job.on_existing == "skip" and bool(held) and all(held)
    return _Outcome(Finished(item, Row(item.name, "skipped", code=EXISTS))) if there else None


def _keep(job: Job, journal: Journal | None, summary: Summary, part: Sequence[_Outcome]) -> list[Finished]:
    """Note what outputs have in their places, write what is new to the journal, and count."""
    finished = [noted(outcome.finished, job.all_outputs) for outcome in part]
    pairs = zip(part, finished, strict=True)
    new = [(now, was.stamp) for was, now in pairs if not was.known or now is not was.finished]
    if journal and new:
        journal.append(new)
    for one in finished:
        summary.count(one.row)
    return finished


@dataclass
class _Part:
    """A stretch of the inputs: known outcomes, and media that were seen. `new` are those that the model is asked."""

    outcomes: list[_Outcome | Seen] = field(default_factory=list)
    new: list[Seen] = field(default_factory=list)
    looked: int = 0  # how many of the outcomes were seen
    rows: Future[list[Row]] | None = None

    @property
    def is_past_the_known(self) -> bool:
        """Whether the next look begins where an earlier run may have begun a part, behind what it had finished."""
        return not self.new and bool(self.outcomes) and isinstance(self.outcomes[-1], _Outcome)

    def is_full(self, new: int) -> bool:
        return sum(seen.count for seen in self.new) >= new or (self.looked or len(self.outcomes)) >= MOST


class _Known:
    """Rows by the digest of their content: of inputs that came before, and of other names in the journal."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self.entries = entries
        self.elsewhere = {e.row.sha256: e.row for e in entries.values() if e.row.status == "ok" and e.row.sha256}
        self.before: dict[str, str] = {}  # digest -> name of the first input with that content
        self.rows: dict[str, Row] = {}  # of those, once they are told

    def is_new(self, seen: Seen) -> bool:
        """Whether the model must be asked; the first input of a content answers for the later ones."""
        if isinstance(seen.outcome, InputError):
            return False
        entry = self.entries.get(seen.item.name)
        if entry and entry.row.status == "ok" and entry.row.sha256 == seen.sha256:
            return False
        return self.before.setdefault(seen.sha256, seen.item.name) == seen.item.name and (
            seen.sha256 not in self.elsewhere
        )

    def told(self, row: Row) -> None:
        """Remember a row that was told or known: of a content that the model refused, too."""
        if row.status != "skipped" and row.sha256 and not row.same_as:
            self.before.setdefault(row.sha256, row.name)
            self.rows.setdefault(row.sha256, row)

    def outcome(self, seen: Seen) -> _Outcome:
        """The outcome of a medium that is not new."""
        if isinstance(seen.outcome, InputError):
            return _Outcome(Finished(seen.item, failed_row(seen, seen.outcome)), seen.stamp, known=False)
        entry = self.entries.get(seen.item.name)
        if entry and entry.row.sha256 == seen.sha256 and entry.row.status == "ok":
            return _Outcome(Finished(seen.item, entry.row, entry.notes), seen.stamp, known=False)
        twin = self.rows.get(seen.sha256)
        if twin is not None and twin.status == "error":
            message = twin.message.replace(printable(twin.name), printable(seen.item.name), 1)
            row = replace(twin, name=seen.item.name, message=message)
        elif twin is not None:
            row = replace(twin, name=seen.item.name, same_as=twin.name)
        else:
            row = replace(self.elsewhere[seen.sha256], name=seen.item.name, same_as="")
        return _Outcome(Finished(seen.item, row), seen.stamp, known=False)


def _parts(job: Job, settled: Sequence[tuple[Item, _Outcome | None]], known: _Known) -> Iterator[list[_Outcome]]:
    """Outcomes in the order of the inputs, a part at a time."""
    under_way: deque[_Part] = deque()
    for part in _stretches(job, settled, known):
        part.rows = job.tell(part.new)
        under_way.append(part)
        while len(under_way) >= job.under_way:
            yield _landed(under_way.popleft(), known)
    for part in under_way:
        yield _landed(part, known)


def _stretches(job: Job, settled: Sequence[tuple[Item, _Outcome | None]], known: _Known) -> Iterator[_Part]:
    """The parts, seen and not yet told about."""
    seen_ahead = job.see_ahead([item for item, outcome in settled if outcome is None])
    part = _Part()
    for _, outcome in settled:
        if outcome is not None:
            part.outcomes.append(outcome)
        else:
            if part.is_past_the_known:
                yield part
                part = _Part()
            seen = next(seen_ahead)
            part.looked += 1
            if known.is_new(seen):
                part.new.append(seen)
            else:
                seen = seen.without_frames()
            part.outcomes.append(seen)
        if part.is_full(job.part):
            yield part
            part = _Part()
    if part.outcomes:
        yield part


def _landed(part: _Part, known: _Known) -> list[_Outcome]:
    """The outcomes of a part whose media have been told about."""
    assert part.rows is not None
    rows = iter(part.rows.result())
    new = {id(seen) for seen in part.new}
    outcomes = []
    for one in part.outcomes:
        if isinstance(one, Seen):
            if id(one) in new:
                one = _Outcome(Finished(one.item, next(rows)), one.stamp, known=False)
            else:
                one = known.outcome(one)
        known.told(one.finished.row)
        outcomes.append(one)
    return outcomes
